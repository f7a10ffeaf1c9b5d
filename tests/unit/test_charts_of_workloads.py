"""The charts of parameters and of CPU time by kind: what is on them, and when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from bench.analysis.cpu import cpu_use
from bench.analysis.summary import Summary, summarise
from bench.charts import draw
from bench.charts.cost import costs
from bench.charts.sweep import against, sweeps
from bench.store import StoredRun, load

from .synthetic import write_run

STREAMS = ("iperf3-tcp", "iperf3-tcp:streams=4", "iperf3-tcp:streams=16")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    folder = tmp_path_factory.mktemp("sweep") / "run"
    names = ("host", "overlay")
    return load(write_run(folder, workload_names=STREAMS, driver_names=names, blocks=6))


@pytest.fixture(scope="module")
def summary(run: StoredRun) -> Summary:
    return summarise(run)


def texts(part: Figure) -> list[str]:
    return [one.get_text() for one in part.findobj(Text) if one.get_text()]  # type: ignore[attr-defined]


def test_a_line_for_each_driver_with_a_point_for_each_number_of_streams(summary: Summary) -> None:
    (sweep,) = sweeps(STREAMS)
    assert (sweep.name, list(sweep.names)) == ("iperf3-tcp", [1, 4, 16])
    workload, metric = summary.headlines[0]
    assert workload == "iperf3-tcp"
    chart = against(summary, sweep, metric)
    assert chart is not None
    assert len(chart.axes) == 2
    for axes in chart.axes:
        assert axes.get_ylim()[0] == 0
        lines = [line for line in axes.get_lines() if line.get_marker() in "os"]
        assert len(lines) == 2
        for line in lines:
            # A little aside of the value, so that one driver's whiskers do not cover another's.
            assert list(line.get_xdata()) == pytest.approx([1, 4, 16], rel=0.1)  # type: ignore[arg-type]
    assert {"host", "overlay", "streams at once"} <= {*texts(chart)}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("tcp-rr",), []),
        (("iperf3-tcp", "tcp-rr"), []),
        (("iperf3-tcp", "iperf3-tcp:direction=both"), []),
        (("iperf4", "iperf4:streams=2"), []),
        (("tcp-rr", "tcp-rr:size=64", "tcp-rr:size=1024"), [("tcp-rr", "size", [1, 64, 1024])]),
        (
            ("http-echo:body=0", "http-echo:connections=64", "http-echo:body=0:connections=64"),
            [
                ("http-echo:body=0", "connections", [16, 64]),
                ("http-echo:connections=64", "body", [0, 1024]),
            ],
        ),
        # A rate that follows from a load is no rate of 0.
        (("http-open", "http-open:rate=500"), []),
        (
            ("http-open", "http-open:load=80", "http-open:rate=500", "http-open:rate=900"),
            [("http-open", "load", [50, 80]), ("http-open", "rate", [500, 900])],
        ),
        (("udp-paced:rate=50", "udp-paced:load=30", "udp-paced:rate=9:size=64"), []),
    ],
)
def test_only_workloads_that_differ_in_one_number_make_a_line(
    names: tuple[str, ...], found: list[tuple[str, str, list[int]]]
) -> None:
    told = [(one.name, one.parameter.name, list(one.names)) for one in sweeps(names)]
    assert sorted(told) == found


def test_the_stacks_are_as_high_as_the_cost_and_divided_as_the_cpu_time(
    run: StoredRun, summary: Summary
) -> None:
    metric = next(row.metric for row in summary.cells if row.metric.name == "cpu_per_gb")
    chart = costs(summary, cpu_use(run), "iperf3-tcp", metric)
    assert chart is not None
    for axes, placement in zip(chart.axes, summary.placements, strict=True):
        rows = summary.rows("iperf3-tcp", placement, metric)
        for place, row in enumerate(rows):
            own = [
                bar
                for bar in axes.patches
                if isinstance(bar, Rectangle) and abs(bar.get_x() + 0.35 - place) < 0.01
            ]
            heights = [bar.get_height() for bar in own]
            assert sum(heights) == pytest.approx(row.median)
            # All hosts are one machine here: the cores of the trial's first end, two a trial. The
            # kinds of `synthetic.ends`: user, system, softirq, irq.
            kinds = (0.5, 2.3, 0.8, 0.0)
            assert heights == pytest.approx([(row.median or 0) * one / 3.6 for one in kinds])
    assert {"user", "system", "softirq", "irq"} <= {*texts(chart)}


def test_without_the_processors_use_or_anything_to_compare_there_is_no_chart(
    run: StoredRun, summary: Summary, tmp_path: Path
) -> None:
    metric = next(row.metric for row in summary.cells if row.metric.name == "cpu_per_gb")
    assert costs(summary, (), "iperf3-tcp", metric) is None
    alone = load(write_run(tmp_path / "alone", driver_names=("host",), blocks=2))
    assert costs(summarise(alone), cpu_use(alone), "iperf3-tcp", metric) is None


def test_what_the_values_are_is_wrapped_beside_their_axis(tmp_path: Path) -> None:
    names = ("udp-paced:size=512:load=30", "udp-paced:size=512:load=60")
    one = load(write_run(tmp_path / "paced", workload_names=names, blocks=3))
    summary = summarise(one)
    metric = next(it for _, it in summary.headlines if it.name == "cpu_per_paced_gb")
    chart = costs(summary, cpu_use(one), names[0], metric)
    assert chart is not None
    lines = chart.axes[0].get_ylabel().split("\n")
    assert " ".join(lines) == "CPU time per GB of UDP at a rate (size=512, load=30) (s/GB)"
    assert max(map(len, lines)) < 40


def test_both_are_drawn_into_files(run: StoredRun, summary: Summary, tmp_path: Path) -> None:
    charts = {chart.png.name: chart for chart in draw(summary, tmp_path, cpu_use(run))}
    swept = charts["iperf3-tcp-throughput-by-streams.png"]
    assert swept.alt.startswith("streams 1: ")
    assert swept.png.stat().st_size > 10_000
    assert charts["iperf3-tcp-cpu-per-gb.png"].title == "CPU time per GB by kind (iperf3-tcp)"
    assert "iperf3-tcp-streams-4-throughput.png" in charts
