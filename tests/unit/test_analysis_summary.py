"""From a stored run to its summary: pairing, counting, and that no failure becomes a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.export import as_json
from bench.analysis.frame import SAMPLE_COLUMNS, samples_frame
from bench.analysis.summary import CellSummary, Summary, summarise
from bench.analysis.verdict import Kind
from bench.errors import StoreError
from bench.estimate import half_width, median_interval, paired_ratio
from bench.model import Placement, PlannedTrial, Sample, Status, Stopping, Trial
from bench.store import StoredRun, load

from .synthetic import write_run

KEYS = [
    "driver",
    "aa",
    "access",
    "placement",
    "workload",
    "metric",
    "unit",
    "better",
    "headline",
    "median",
    "ci",
    "ratio",
    "ratio_ci",
    "half_width",
    "pairs",
    "verdict",
    "words",
    "completed",
    "skipped",
    "failed",
    "rested",
    "zeros",
    "reason",
]


def stored(path: Path, **options: object) -> StoredRun:
    return load(write_run(path / "run", **options))  # type: ignore[arg-type]


def one(
    summary: Summary, driver: str, metric: str = "throughput", placement: str = "cross-host"
) -> CellSummary:
    found = [
        cell
        for cell in summary.cells
        if (cell.driver, cell.metric.name, cell.placement) == (driver, metric, placement)
    ]
    assert len(found) == 1
    return found[0]


def metrics_of(run: StoredRun) -> int:
    return sum(len(metrics) for metrics in run.info.metrics.values())


def when(condition: Callable[[PlannedTrial], bool], status: Status, reason: str) -> object:
    return lambda planned: (status, reason) if condition(planned) else None


def test_medians_and_paired_ratios_are_those_of_the_trials(tmp_path: Path) -> None:
    run = stored(tmp_path, blocks=7)
    summary = summarise(run)
    values: dict[tuple[str, int], float] = {}
    for trial in run.trials:
        if trial.cell.workload == "iperf3-tcp" and trial.cell.placement is Placement.CROSS_HOST:
            values[trial.cell.driver, trial.block] = trial.samples[0].value
    for driver in ("host", "bridge", "overlay", "macvlan"):
        cell = one(summary, driver)
        own = [values[driver, block] for block in range(7)]
        ratios = [values[driver, block] / values["host", block] for block in range(7)]
        assert cell.values == tuple(own)
        assert cell.median == pytest.approx(np.median(own))
        assert cell.ratio == pytest.approx(np.median(ratios))
        assert cell.ratio_ci is not None
        assert min(ratios) * 0.999 <= cell.ratio_ci[0] <= cell.ratio_ci[1] <= max(ratios) * 1.001
        assert (cell.pairs, cell.planned, cell.completed) == (7, 7, 7)
    overlay = one(summary, "overlay")
    assert overlay.ratio == pytest.approx(0.74, abs=0.03)
    assert overlay.ci is not None
    assert overlay.ratio_ci is not None
    # The drift between blocks is in the values and not in the ratios.
    assert overlay.ci[1] / overlay.ci[0] > 1.2 * overlay.ratio_ci[1] / overlay.ratio_ci[0]


def test_there_is_a_row_for_every_cell_and_metric_in_the_plans_order(tmp_path: Path) -> None:
    run = stored(tmp_path, blocks=1)
    summary = summarise(run)
    assert [(row.cell, row.metric) for row in summary.cells] == [
        (cell, metric) for cell in run.info.plan.cells for metric in run.info.metrics[cell.workload]
    ]


def test_a_block_without_a_baseline_is_no_pair(tmp_path: Path) -> None:
    def lost(planned: PlannedTrial) -> bool:
        return planned.cell.driver == "host" and planned.block in (1, 3)

    summary = summarise(stored(tmp_path, blocks=6, fate=when(lost, Status.FAILED, "gone")))
    overlay, host = one(summary, "overlay"), one(summary, "host")
    assert (overlay.completed, overlay.pairs, len(overlay.values)) == (6, 4, 6)
    assert (host.completed, host.failed, host.reason) == (4, 2, "gone")
    assert overlay.ratio == pytest.approx(0.74, abs=0.03)


def test_without_any_baseline_there_is_no_ratio(tmp_path: Path) -> None:
    fate = when(lambda planned: planned.cell.driver == "host", Status.FAILED, "refused")
    summary = summarise(stored(tmp_path, fate=fate))
    for cell in summary.cells:
        assert (cell.ratio, cell.ratio_ci, cell.pairs) == (None, None, 0)
    assert one(summary, "overlay").median is not None
    assert one(summary, "host").median is None


def test_with_too_many_baselines_lost_the_verdict_goes_and_nothing_else(tmp_path: Path) -> None:
    def lost(planned: PlannedTrial) -> bool:
        return planned.cell.driver == "host" and planned.block in (1, 3)

    fate = when(lost, Status.FAILED, "gone")
    few = one(summarise(stored(tmp_path / "few", blocks=7, fate=fate)), "overlay")
    assert few.verdict.words == "too few blocks: 5 of 6"
    assert few.ratio_ci is not None
    enough = one(summarise(stored(tmp_path / "enough", blocks=8, fate=fate)), "overlay")
    assert (enough.pairs, enough.verdict.kind) == (6, Kind.WORSE)


def test_one_block_has_values_and_ratios_and_no_verdict(tmp_path: Path) -> None:
    for cell in summarise(stored(tmp_path, blocks=1)).cells:
        assert cell.completed == 1
        assert (cell.ci, cell.ratio_ci, cell.half_width) == (None, None, None)
        if cell.is_baseline:
            assert cell.verdict.words == "baseline"
        elif cell.ratio is None:
            assert cell.verdict.words == ""
        else:
            assert cell.verdict.words == "too few blocks: 1 of 6"


def test_a_cell_that_never_worked_has_no_verdict_and_the_others_have_theirs(
    tmp_path: Path,
) -> None:
    fate = when(lambda planned: planned.cell.driver == "bridge", Status.FAILED, "no route")
    summary = summarise(stored(tmp_path, blocks=9, fate=fate))
    bridge = one(summary, "bridge")
    assert (bridge.verdict.kind, bridge.verdict.words, bridge.failed) == (Kind.NONE, "", 9)
    assert one(summary, "overlay").verdict.kind is Kind.WORSE


def test_host_pairs_are_resampled_before_their_blocks(tmp_path: Path) -> None:
    def of_pair(planned: PlannedTrial) -> float:
        overlay = planned.cell.driver == "overlay"
        return 0.7 if overlay and planned.pair.client == "lab2" else 1.0

    run = stored(tmp_path, blocks=12, shape=of_pair)
    values: dict[str, list[float]] = {"host": [], "overlay": []}
    pairs = []
    for trial in sorted(run.trials, key=lambda trial: trial.block):
        cell = trial.cell
        if cell.workload == "iperf3-tcp" and cell.placement is Placement.CROSS_HOST:
            if cell.driver in values:
                values[cell.driver].append(trial.samples[0].value)
            if cell.driver == "host":
                pairs.append(["lab1", "lab2", "lab3"].index(trial.pair.client))
    own, base = np.array(values["overlay"]), np.array(values["host"])
    found = one(summarise(run), "overlay")
    assert (found.ratio, found.ratio_ci) == paired_ratio(own, base, np.array(pairs))
    assert found.ci == median_interval(own, np.array(pairs))
    assert found.ratio is not None
    assert found.ratio_ci is not None
    flat = paired_ratio(own, base)[1]
    assert flat is not None
    assert found.half_width == half_width(found.ratio, found.ratio_ci)
    assert found.half_width > half_width(found.ratio, flat)


@pytest.mark.parametrize("hosts", [("only",), ("a", "b")])
def test_with_one_host_or_two_it_is_the_same_method(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    placements = [Placement.SAME_HOST]
    run = stored(tmp_path, blocks=8, hosts=hosts, placements=placements)
    found = one(summarise(run), "overlay", placement="same-host")
    assert (found.pairs, found.verdict.kind) == (8, Kind.WORSE)
    assert found.ratio == pytest.approx(0.74, abs=0.03)


def test_an_aa_cell_is_compared_with_the_baseline_like_any_other(tmp_path: Path) -> None:
    summary = summarise(stored(tmp_path, blocks=12, aa=1))
    copies = [cell for cell in summary.cells if cell.cell.aa and cell.metric.name == "throughput"]
    assert [cell.placement.value for cell in copies] == ["same-host", "cross-host"]
    for cell in copies:
        assert cell.driver == "host"
        assert not cell.is_baseline
        assert (cell.pairs, cell.planned) == (12, 12)
        assert cell.ratio == pytest.approx(1, abs=0.03)
        assert cell.ratio != 1
        assert cell.verdict.kind in (Kind.INDISTINGUISHABLE, Kind.NOISY)
    baselines = [cell for cell in summary.cells if cell.is_baseline]
    assert all(cell.verdict.kind is Kind.BASELINE for cell in baselines)
    assert all(cell.ratio in (1, None) for cell in baselines)


def zeroed(driver: str, block: int) -> Callable[[Trial], Trial]:
    """The throughput of one trial set to 0, as netbench before this one could have stored it."""

    def change(trial: Trial) -> Trial:
        if (trial.cell.driver, trial.block, trial.cell.workload) != (driver, block, "iperf3-tcp"):
            return trial
        return replace(trial, samples=(Sample("throughput", 0.0), *trial.samples[1:]))

    return change


def test_a_zero_in_a_headline_is_counted_and_is_no_value(tmp_path: Path) -> None:
    summary = summarise(stored(tmp_path, blocks=8, change=zeroed("overlay", 2)))
    cell, other = one(summary, "overlay"), one(summary, "bridge")
    assert (cell.zeros, len(cell.values), cell.pairs, cell.completed) == (1, 7, 7, 8)
    assert min(cell.values) > 0
    assert cell.ratio == pytest.approx(0.74, abs=0.03)
    assert (other.zeros, other.pairs) == (0, 8)
    assert one(summary, "overlay", "retransmits").zeros == 0


def test_a_zero_of_the_baseline_takes_its_block_from_all(tmp_path: Path) -> None:
    summary = summarise(stored(tmp_path, blocks=8, change=zeroed("host", 2)))
    assert [one(summary, driver).pairs for driver in ("host", "bridge", "overlay")] == [7, 7, 7]
    assert one(summary, "overlay").zeros == 0
    assert one(summary, "overlay").ratio == pytest.approx(0.74, abs=0.03)


ADAPTIVE = Stopping(target=0.1, budget=600, min_blocks=6)


def after_block(last: int) -> Callable[[PlannedTrial], bool]:
    return lambda planned: planned.cell.driver == "bridge" and planned.block > last


def test_a_cell_at_rest_is_not_missing(tmp_path: Path) -> None:
    run = stored(tmp_path, blocks=10, stopping=ADAPTIVE, resting=after_block(6))
    summary = summarise(run)
    bridge, overlay = one(summary, "bridge"), one(summary, "overlay")
    assert summary.blocks == 10
    assert (bridge.planned, bridge.completed, bridge.rested, bridge.pairs) == (10, 7, 3, 7)
    assert (overlay.planned, overlay.completed, overlay.rested) == (10, 10, 0)
    assert bridge.verdict.target == 0.1


def test_what_a_cut_off_block_lacks_did_not_rest(tmp_path: Path) -> None:
    options = {"stopping": ADAPTIVE, "resting": after_block(6), "blocks": 10}
    run = stored(tmp_path, **options, stop_after=9 * 16 + 1)
    begun = run.trials[-1].cell
    for cell in summarise(run).cells:
        rested = 3 if cell.driver == "bridge" else 0
        assert (cell.planned, cell.rested) == (10, rested)
        present = 7 if cell.driver == "bridge" else 9 + (cell.cell == begun)
        assert cell.completed == present
    killed = summarise(stored(tmp_path / "killed", **options, ended=False, stop_after=5 * 16))
    assert {(cell.planned, cell.rested) for cell in killed.cells} == {(5, 0)}
    nothing = summarise(stored(tmp_path / "none", **options, ended=False, stop_after=0))
    assert {(cell.planned, cell.rested, cell.median) for cell in nothing.cells} == {(0, 0, None)}


def test_a_run_that_is_not_adaptive_has_planned_its_blocks(tmp_path: Path) -> None:
    summary = summarise(stored(tmp_path, blocks=6, stop_after=20))
    assert {(cell.planned, cell.rested) for cell in summary.cells} == {(6, 0)}
    assert {cell.verdict.target for cell in summary.cells} == {0.03}


def test_pairs_are_never_taken_across_placements_workloads_or_hosts(tmp_path: Path) -> None:
    def only_same_host(planned: PlannedTrial) -> bool:
        return planned.cell.driver == "host" and planned.cell.placement is Placement.CROSS_HOST

    fate = when(only_same_host, Status.SKIPPED, "no")
    summary = summarise(stored(tmp_path, fate=fate))
    assert one(summary, "overlay").ratio is None
    assert one(summary, "overlay", placement="same-host").ratio is not None


def test_skipped_and_failed_cells_have_no_number(tmp_path: Path) -> None:
    fate = when(lambda planned: planned.cell.driver == "macvlan", Status.SKIPPED, "MACs filtered")
    run = stored(tmp_path, fate=fate)
    cell = one(summarise(run), "macvlan", "latency_p99")
    assert (cell.median, cell.ci, cell.iqr, cell.ratio, cell.ratio_ci) == (None,) * 5
    assert (cell.completed, cell.skipped, cell.failed) == (0, 5, 0)
    assert cell.reason == "MACs filtered"
    frame = samples_frame(run)
    skipped = frame[frame["driver"] == "macvlan"]
    assert len(skipped) == 5 * 2 * metrics_of(run)
    assert skipped["value"].isna().all()
    assert (skipped["reason"] == "MACs filtered").all()


def test_several_reasons_are_all_told(tmp_path: Path) -> None:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        if planned.cell.driver != "overlay":
            return None
        return (Status.FAILED, f"reason {planned.block % 2}") if planned.block else None

    cell = one(summarise(stored(tmp_path, fate=fate)), "overlay")
    assert set((cell.reason or "").split("; ")) == {"reason 0", "reason 1"}
    assert (cell.completed, cell.failed, cell.ci, cell.ratio_ci) == (1, 4, None, None)
    assert cell.median is not None
    assert cell.ratio is not None


def test_a_metric_that_was_zero_has_a_median_and_no_ratio(tmp_path: Path) -> None:
    cell = one(summarise(stored(tmp_path)), "overlay", "errors")
    assert (cell.median, cell.ratio, cell.ratio_ci) == (0.0, None, None)


@pytest.mark.parametrize(
    "options",
    [
        {"stop_after": 0},
        {"stop_after": 1},
        {"stop_after": 37, "ended": False},
        {"blocks": 1},
        {"hosts": ["only"], "placements": [Placement.SAME_HOST]},
        {"driver_names": ["host"]},
        {"driver_names": ["overlay"]},
        {"fate": lambda planned: (Status.FAILED, "all of it")},
        {"factors": {"host": 1e-3, "bridge": 1.0, "overlay": 50.0, "macvlan": 1.0}},
    ],
)
def test_the_json_is_whole_whatever_the_run(tmp_path: Path, options: dict[str, object]) -> None:
    run = stored(tmp_path, **options)
    found = as_json(summarise(run))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        *("run", "outcome", "shared_kernel", "blocks", "cells", "latencies", "aa", "flags")
    ]
    for latency in found["latencies"]:
        assert list(latency["percentiles"]) == ["50", "90", "99", "99.9", "99.99"]
        assert latency["requests"] > 0
    assert found["run"] == run.info.run
    assert len(found["cells"]) == sum(
        len(run.info.metrics[cell.workload]) for cell in run.info.plan.cells
    )
    for cell in found["cells"]:
        assert list(cell) == KEYS
        for bounds in ("ci", "ratio_ci"):
            assert cell[bounds] is None or cell[bounds][0] <= cell[bounds][1]
        assert (cell["median"] is None) == (cell["completed"] == 0)
        assert cell["reason"] is None or cell["skipped"] + cell["failed"] > 0


def test_the_same_run_gives_the_same_summary(tmp_path: Path) -> None:
    run = stored(tmp_path)
    assert summarise(run) == summarise(load(run.path))


def test_the_frame_has_a_row_for_each_trial_and_each_metric(tmp_path: Path) -> None:
    run = stored(tmp_path, blocks=2)
    samples = samples_frame(run)
    assert samples["sequence"].nunique() == len(run.trials) == 2 * 16
    assert tuple(samples.columns) == SAMPLE_COLUMNS
    assert len(samples) == 2 * 8 * metrics_of(run)
    assert samples["value"].notna().all()
    same = samples["placement"] == "same-host"
    assert (samples["client"].astype(str) == samples["server"].astype(str))[same].all()
    assert (samples["client"].astype(str) != samples["server"].astype(str))[~same].all()
    units = dict(zip(samples["metric"], samples["unit"], strict=True))
    assert (units["throughput"], units["latency_p50"]) == ("bit/s", "s")


def test_percentiles_of_a_cell_come_from_all_its_requests(tmp_path: Path) -> None:
    summary = summarise(stored(tmp_path, blocks=3))
    assert len(summary.latencies) == 8
    for latency in summary.latencies:
        assert latency.requests == 3 * 20_000
        p50, p90, p99, p999 = (latency.percentiles[at] for at in (50.0, 90.0, 99.0, 99.9))
        assert p50 is not None
        assert p90 is not None
        assert p99 is not None
        assert p999 is not None
        assert p50 < p90 < p99 < p999
        row = one(summary, latency.cell.driver, "latency_p50", latency.cell.placement)
        assert min(row.values) * 0.99 <= p50 <= max(row.values) * 1.01
        assert list(latency.curve) == sorted(latency.curve)
        assert dict(latency.curve)[99.0] == p99
        # No point of the curve rests on fewer than ten requests.
        assert (100 - latency.curve[-1][0]) / 100 * latency.requests > 9.99


def test_a_damaged_histogram_names_file_trial_and_cell(tmp_path: Path) -> None:
    run = stored(tmp_path, workload_names=["http-echo"], blocks=1)
    file = run.path / "trials.jsonl"
    for broken in ("", "AAAA", "HISTFAAA", "!!!!", "HISTFAAAACl42pJpmSzM"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        lines[3]["histogram"] = broken
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(
            StoreError, match=r"trials\.jsonl:( trial 3 .*http-echo|4: Invalid base64).*damaged"
        ):
            summarise(load(run.path))
