"""The chart of loss against rate: what is on it, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.summary import Summary, summarise
from bench.charts import draw
from bench.charts.loss import losses
from bench.model import Sample, Step, Trial
from bench.store import load

from .synthetic import write_run

NAME = "udp-stream:size=512"
# Of what a host network carries, by the step: loss, and whether it was paced.
STEPS = ((4.0, 0.5, False), (1.1, 0.02, True), (1.0, 0.004, True), (0.9, 0.0, True))
CARRIES = {"host": 1e9, "overlay": 5e8, "macvlan": 8e8}


def searched(trial: Trial) -> Trial:
    best = CARRIES[trial.cell.driver] * (1 + trial.block / 100)
    steps = tuple(Step(best * at, best * at * (1 - lost), lost, on) for at, lost, on in STEPS)
    return replace(trial, samples=(Sample("udp_goodput", best * 0.996),), steps=steps)


def run(folder: Path, names: tuple[str, ...] = ("host", "overlay", "macvlan")) -> Summary:
    made = write_run(folder, workload_names=(NAME,), driver_names=names, blocks=6, change=searched)
    return summarise(load(made))


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return run(tmp_path_factory.mktemp("searched") / "run")


def test_every_step_is_stored_and_drawn_by_its_rate_and_loss(summary: Summary) -> None:
    assert {one.cell.driver: len(one.steps) for one in summary.searches} == dict.fromkeys(
        CARRIES, 6 * 4
    )
    chart = losses(summary, NAME)
    assert chart is not None
    for axes in chart.axes:
        assert axes.get_xscale() == "log"
        small = [line for line in axes.get_lines() if line.get_markersize() == 4.5]
        drawn = sorted(
            (float(x), float(y))
            for line in small
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        )
        best = [rate * (1 + block / 100) / 1e9 for rate in CARRIES.values() for block in range(6)]
        wanted = sorted((one * at, 100 * lost) for one in best for at, lost, _ in STEPS)
        assert [x for x, _ in drawn] == pytest.approx([x for x, _ in wanted])
        assert sorted(y for _, y in drawn) == pytest.approx(sorted(y for _, y in wanted))
        # One mark for each treatment where its median is.
        large = [line for line in axes.get_lines() if line.get_markersize() == 9]
        assert len(large) == 3
        assert {tuple(line.get_ydata()) for line in large} == {(0.5,)}


def test_the_chart_is_among_those_of_a_report_and_said_in_words(
    summary: Summary, tmp_path: Path
) -> None:
    (chart,) = [one for one in draw(summary, tmp_path) if one.png.stem.endswith("-loss")]
    assert chart.png.exists()
    assert chart.svg.exists()
    assert "host cross-host 18 rates from 0.900 to 1.16 Gbit/s" in chart.alt


def test_one_treatment_alone_has_no_chart(tmp_path: Path) -> None:
    assert losses(run(tmp_path / "run", ("host",)), NAME) is None
