"""Charts: what is on them, what is not, and that they can be read."""

from __future__ import annotations

import dataclasses
import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from bench.analysis.summary import Summary, summarise
from bench.charts import Chart, draw
from bench.charts.bars import MOST_DOTS, bars
from bench.charts.latency import latencies
from bench.charts.ratio import ratios
from bench.charts.style import looks, settings
from bench.errors import StoreError
from bench.model import Cell, Placement, PlannedTrial, Status
from bench.store import load

from .synthetic import write_run


def summary_of(path: Path, **options: object) -> Summary:
    return summarise(load(write_run(path / "run", **options)))  # type: ignore[arg-type]


def troubled(planned: PlannedTrial) -> tuple[Status, str] | None:
    cell = planned.cell
    if cell.driver == "macvlan" and cell.placement is Placement.CROSS_HOST:
        return Status.SKIPPED, "the network filters MAC addresses"
    if cell.driver == "overlay" and cell.placement is Placement.SAME_HOST:
        return Status.FAILED, "refused"
    return None


def throughput(summary: Summary) -> Figure | None:
    workload, metric = summary.headlines[0]
    return bars(summary, workload, metric)


def texts(part: Figure | Axes) -> list[str]:
    return [one.get_text() for one in part.findobj(Text) if one.get_text()]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, tuple[Chart, ...]]:
    """All charts of one run: drawing them takes a second, so it is done once."""
    folder = tmp_path_factory.mktemp("charts")
    summary = summary_of(folder, blocks=3)
    return summary, draw(summary, folder / "charts")


def test_all_charts_are_drawn_as_png_and_svg(drawn: tuple[Summary, tuple[Chart, ...]]) -> None:
    charts = drawn[1]
    assert [chart.png.name for chart in charts] == [
        "ratio-to-host.png",
        "iperf3-tcp-throughput.png",
        "http-echo-requests.png",
        "http-echo-latency.png",
    ]
    for chart in charts:
        picture = imread(chart.png)
        assert picture.shape[0] > 500
        assert picture.shape[1] > 900
        assert picture[..., :3].std() > 0.05
        assert 10 < len(chart.alt) < 1000


def test_the_same_summary_gives_the_same_files(
    drawn: tuple[Summary, tuple[Chart, ...]], tmp_path: Path
) -> None:
    for first, second in zip(drawn[1], draw(drawn[0], tmp_path / "charts"), strict=True):
        assert first.svg.read_bytes() == second.svg.read_bytes()
        assert first.png.read_bytes() == second.png.read_bytes()
        assert b"<dc:date>" not in first.svg.read_bytes()


def test_the_svg_asks_for_nothing_from_elsewhere(drawn: tuple[Summary, tuple[Chart, ...]]) -> None:
    for chart in drawn[1]:
        root = ET.fromstring(chart.svg.read_text())  # noqa: S314 - written by this test
        assert root.tag.endswith("svg")
        for element in root.iter():
            for name, value in element.attrib.items():
                if name.endswith("href"):
                    assert value.startswith("#")


def test_skipped_and_failed_cells_are_words_and_no_bars(tmp_path: Path) -> None:
    figure = throughput(summary_of(tmp_path, fate=troubled))
    assert figure is not None
    same, cross = figure.axes
    assert "failed" in texts(same)
    assert "skipped" in texts(cross)
    for axes in (same, cross):
        heights = [bar.get_height() for bar in axes.findobj(Rectangle) if bar is not axes.patch]
        assert len(heights) == 2 * 3  # a fill and a hatch each
        assert min(heights) > 0


def test_bars_begin_at_zero_and_hold_the_median_interval_and_trials(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    figure = throughput(summary)
    assert figure is not None
    workload, metric = summary.headlines[0]
    for axes, placement in zip(figure.axes, summary.placements, strict=True):
        rows = summary.rows(workload, placement, metric)
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylabel() == "TCP throughput (Gbit/s)"
        drawn = [bar for bar in axes.findobj(Rectangle) if bar is not axes.patch]
        for row, bar in zip(rows, drawn[::2], strict=True):
            assert row.median is not None
            assert bar.get_y() == 0
            assert bar.get_height() == pytest.approx(row.median / 1e9)
            assert axes.get_ylim()[1] > max(row.values) / 1e9
        whiskers = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
        assert len(whiskers) == len(rows)
        dots = [one for one in axes.collections if isinstance(one, PathCollection)]
        for row, own in zip(rows, dots, strict=True):
            assert own.get_offsets()[:, 1].tolist() == pytest.approx([v / 1e9 for v in row.values])


def test_partly_failed_cells_say_how_many_trials_they_rest_on(tmp_path: Path) -> None:
    def once(planned: PlannedTrial) -> tuple[Status, str] | None:
        lost = planned.cell.driver == "bridge" and planned.block == 1
        return (Status.FAILED, "refused") if lost else None

    figure = throughput(summary_of(tmp_path, fate=once))
    assert figure is not None
    assert "bridge\n(published-host)\n4 of 5 trials" in texts(figure)


def test_very_many_trials_are_drawn_as_a_selection(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path,
        driver_names=["host", "overlay"],
        workload_names=["iperf3-tcp"],
        blocks=110,
        placements=[Placement.CROSS_HOST],
    )
    figure = throughput(summary)
    assert figure is not None
    assert any(f"{MOST_DOTS} of the trials" in text for text in texts(figure))
    for axes in figure.axes:
        assert max(len(dots.get_offsets()) for dots in axes.collections) == MOST_DOTS


@pytest.mark.parametrize(
    "options",
    [
        {"stop_after": 0},
        {"stop_after": 1},
        {"fate": lambda planned: (Status.FAILED, "all")},
        {"driver_names": ["host"]},
        {"fate": lambda p: None if p.cell.driver == "host" else (Status.SKIPPED, "no")},
    ],
)
def test_there_is_no_chart_of_fewer_than_two_things(
    tmp_path: Path, options: dict[str, object]
) -> None:
    assert draw(summary_of(tmp_path, **options), tmp_path / "charts") == ()
    assert not (tmp_path / "charts").exists()


def test_one_block_is_drawn_without_intervals(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, blocks=1)
    figure = throughput(summary)
    assert figure is not None
    assert not any(
        isinstance(one, ErrorbarContainer) for axes in figure.axes for one in axes.containers
    )
    assert ratios(summary) is not None
    assert latencies(summary, "http-echo") is not None


def test_ratios_have_a_line_at_one_and_a_dot_for_each(tmp_path: Path) -> None:
    figure = ratios(summary_of(tmp_path, fate=troubled))
    assert figure is not None
    assert len(figure.axes) == 4 * 2
    for axes in figure.axes:
        assert [1.0, 1.0] in [list(line.get_xdata()) for line in axes.lines]
        dots = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
        assert len(dots) == 2
        assert {"skipped", "failed"} & set(texts(axes))
        low, high = axes.get_xlim()
        assert low < 1 < high
        assert axes.get_xscale() == "linear"
    assert "times the host network's value" in texts(figure)
    assert any("(lower is better)" in text for text in texts(figure))


def test_wide_ratios_are_on_a_log_axis(tmp_path: Path) -> None:
    factors = {"host": 1.0, "bridge": 0.9, "overlay": 0.01, "macvlan": 30.0}
    figure = ratios(summary_of(tmp_path, factors=factors))
    assert figure is not None
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert figure.axes[0].get_xlim()[0] < 0.01
    assert figure.axes[0].get_xlim()[1] > 30


def test_latencies_are_lines_on_a_log_axis(tmp_path: Path) -> None:
    figure = latencies(summary_of(tmp_path, fate=troubled), "http-echo")
    assert figure is not None
    for axes in figure.axes:
        assert axes.get_yscale() == "log"
        assert len([line for line in axes.lines if len(line.get_xdata()) > 20]) == 3
        assert axes.get_xlabel() == "percentile of requests (%)"
        assert axes.get_legend() is not None
    assert figure.axes[0].get_ylabel() == "latency (ms), log scale"
    words = texts(figure)
    assert "macvlan: skipped" in words
    assert "overlay: failed" in words


def test_a_copy_of_the_baseline_is_no_driver(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, aa=1, blocks=6)
    plain = summary_of(tmp_path / "plain", blocks=6)
    for figure in (throughput(summary), latencies(summary, "http-echo")):
        assert figure is not None
        assert not any("A/A" in text for text in texts(figure))
    figure = ratios(summary)
    assert figure is not None
    for axes in figure.axes:
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert labels[-1] == "host (A/A)"
        assert len(labels) == 4
    assert any("Grey (A/A)" in text for text in texts(figure))
    copies = [cell for cell in looks(summary) if cell.aa]
    assert len(copies) == 4
    assert len({looks(summary)[cell] for cell in copies}) == 1
    drivers = {cell: look for cell, look in looks(summary).items() if not cell.aa}
    assert drivers == looks(plain)
    assert looks(summary)[copies[0]] not in drivers.values()


def test_footers_speak_of_whiskers_only_where_there_are_some(tmp_path: Path) -> None:
    for blocks in (1, 6):
        summary = summary_of(tmp_path / str(blocks), blocks=blocks)
        for figure in (throughput(summary), ratios(summary)):
            assert figure is not None
            assert any("whiskers" in text for text in texts(figure)) == (blocks == 6)


@pytest.mark.parametrize("shared", [True, False])
def test_every_chart_names_its_run_and_a_shared_kernel(tmp_path: Path, shared: bool) -> None:  # noqa: FBT001 - parametrised
    summary = summary_of(tmp_path, shared_kernel=shared, name="my-$run$", blocks=2)
    for figure in (throughput(summary), ratios(summary), latencies(summary, "http-echo")):
        assert figure is not None
        said = "\n".join(texts(figure))
        assert "run my-$run$" in said
        assert ("hosts share one kernel (lab)" in said) == shared


def test_no_two_treatments_look_alike(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, blocks=1)
    found = looks(summary)
    for placement in summary.placements:
        own = [look for cell, look in found.items() if cell.placement is placement]
        by_name = {cell.driver: look for cell, look in found.items()}
        for part in ("color", "hatch", "marker", "line"):
            assert len({getattr(look, part) for look in by_name.values()}) == 4
        assert len(set(own)) == 4
    for driver in ("host", "bridge", "overlay", "macvlan"):
        assert len({look for cell, look in found.items() if cell.driver == driver}) == 1


def renamed(summary: Summary, names: dict[str, str]) -> Summary:
    def rename(cell: Cell) -> Cell:
        return dataclasses.replace(cell, driver=names.get(cell.driver, cell.driver))

    return dataclasses.replace(
        summary,
        cells=tuple(dataclasses.replace(row, cell=rename(row.cell)) for row in summary.cells),
        latencies=tuple(
            dataclasses.replace(one, cell=rename(one.cell)) for one in summary.latencies
        ),
    )


def shown_ticks(axes: Axes) -> list[Text]:
    """The tick labels of an axes that are drawn: those within its limits."""
    return [
        tick.label1
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if tick.label1.get_visible()
        and min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]


@pytest.mark.parametrize("names", [{}, {"overlay": "overlay-encrypted", "macvlan": "ipvlan-l2"}])
def test_no_label_lies_on_another(tmp_path: Path, names: dict[str, str]) -> None:
    summary = renamed(summary_of(tmp_path, fate=troubled), names)
    with settings():
        for figure in (throughput(summary), ratios(summary), latencies(summary, "http-echo")):
            assert figure is not None
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            boxes = [
                (text.get_text(), text.get_window_extent(canvas.get_renderer()))
                for axes in figure.axes
                for text in (*shown_ticks(axes), axes.yaxis.label, *axes.texts)
                if text.get_text()
            ]
            seen = {(text, tuple(box.extents)): box for text, box in boxes}
            for (one, first), (two, second) in itertools.combinations(seen.items(), 2):
                inner = first.padded(-1)
                assert not (inner.overlaps(second) and one != two), (one, two)
            width, height = canvas.get_width_height()
            footer = figure._supxlabel.get_window_extent(canvas.get_renderer())  # type: ignore[attr-defined]
            assert footer.x1 < width, figure._supxlabel.get_text()  # type: ignore[attr-defined]
            for (text, _), box in seen.items():
                assert box.x0 > -1, text
                assert box.x1 < width + 1, text
                assert box.y0 > -1, text
                assert box.y1 < height + 1, text


def test_the_footer_of_a_narrow_chart_is_whole(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, driver_names=["host", "overlay"], blocks=6, aa=1)
    with settings():
        for figure in (throughput(summary), ratios(summary), latencies(summary, "http-echo")):
            assert figure is not None
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            footer = figure._supxlabel  # type: ignore[attr-defined]
            assert footer.get_text().endswith("hosts share one kernel (lab)")
            box = footer.get_window_extent(canvas.get_renderer())
            assert box.x0 >= 0
            assert box.x1 < canvas.get_width_height()[0]
            assert box.y0 >= 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, blocks=1)
    (tmp_path / "charts").write_text("a file in the way")
    with pytest.raises(StoreError, match=r"charts.*--out"):
        draw(summary, tmp_path / "charts")
