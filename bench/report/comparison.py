"""Two runs held against each other, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.analysis.change import MINUS, CellChange, Comparison, Kind, percent
from bench.analysis.display import ratio_text, shared_scales, treatment
from bench.analysis.likeness import Difference
from bench.model import Placement, RunInfo
from bench.report.words import counted, printable, unfinished
from bench.store import StoredRun
from bench.units import NOTHING, Scale

_STYLES = {Kind.WORSE: "yellow", Kind.BETTER: "green", Kind.NOISY: "yellow", Kind.FEW: "yellow"}
_TROUBLE = frozenset({Kind.NEWLY_FAILED, Kind.NEWLY_SKIPPED, Kind.FAILS_MORE})
_TO = "\N{RIGHTWARDS ARROW}"


def render_comparison(found: Comparison, base: StoredRun, new: StoredRun) -> RenderableType:
    """What differs between the runs, one table per workload and placement, what no longer works,
    and how to read it. Show it with `bench.report.console`."""
    widest = max((len(treatment(row.cell)) for row in found.cells), default=0)
    places = dict.fromkeys((row.cell.workload, row.cell.placement) for row in found.cells)
    return Group(
        *_section("These runs differ in what matters", _differing(found, matters=True)),
        *_section("Also different", _differing(found, matters=False)),
        Text(f"BASE  {_told(base)}"),
        Text(f"NEW   {_told(new)}"),
        Text(""),
        *(
            part
            for workload, placement in places
            for part in _table(found, workload, placement, widest)
        ),
        *_section("No longer works as it did", tuple(_troubles(found))),
        *_section(
            "Before you trust this",
            (
                *(f"BASE: {line}" for line in unfinished(base)),
                *(f"NEW: {line}" for line in unfinished(new)),
                *_reading(found),
            ),
        ),
    )


def listed(differences: tuple[Difference, ...]) -> tuple[str, ...]:
    """Differences in plain lines."""
    return tuple(printable(str(one)) for one in differences)


def closing(found: Comparison) -> str:
    """The comparison in one line: what got worse, or how much could be judged at all."""
    worse = [row for row in found.regressions if row.kind is Kind.CREDIBLY_WORSE]
    broken = dict.fromkeys(row.cell for row in found.regressions if row.kind in _TROUBLE)
    judged = len(found.judged)
    limit = percent(found.threshold)
    said = []
    if worse:
        said.append(f"{len(worse)} of {judged} judged credibly worse by more than {limit}")
    if broken:
        said.append(f"{counted(len(broken), 'cell')} newly failed, skipped or failing more often")
    if not said and not judged:
        return "nothing could be judged: measure 6 blocks or more in both runs"
    if not said:
        said.append(f"none of {judged} judged is credibly worse by more than {limit}")
    noisy = sum(row.kind is Kind.NOISY for row in found.cells)
    few = sum(row.kind is Kind.FEW for row in found.cells)
    if noisy:
        said.append(f"{noisy} too noisy to tell")
    if few:
        said.append(f"{few} with too few blocks")
    return "; ".join(said)


def _told(run: StoredRun) -> str:
    info: RunInfo = run.info
    return printable(f"{info.run}, {info.created}, {run.path}")


def _differing(found: Comparison, *, matters: bool) -> tuple[str, ...]:
    return listed(tuple(one for one in found.differences if one.matters is matters))


def _table(
    found: Comparison, workload: str, placement: Placement, widest: int
) -> Iterator[RenderableType]:
    rows = [
        row
        for row in found.cells
        if (row.cell.workload, row.cell.placement) == (workload, placement)
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text("driver".ljust(widest + 2)), no_wrap=True)
    table.add_column("BASE", justify="right", no_wrap=True, min_width=5)
    table.add_column("NEW", justify="right", no_wrap=True, min_width=5)
    table.add_column("change", justify="right", no_wrap=True, min_width=6)
    table.add_column("to host", no_wrap=True, min_width=9)
    table.add_column("verdict")
    sides = [one for row in rows for one in (row.base, row.new) if one is not None]
    scales = shared_scales(sides)
    for metric in dict.fromkeys(row.metric for row in rows):
        scale = scales[metric.unit]
        table.add_row(Text(f"{printable(metric.title)}, {scale.unit}"))
        for row in rows:
            if row.metric == metric:
                table.add_row(*_row(row, scale, found.threshold))
    yield Text(f"{printable(workload)}, {placement}", style="bold")
    yield table
    yield Text("")


def _row(row: CellChange, scale: Scale, threshold: float) -> tuple[RenderableType, ...]:
    style = "red" if row.regression else _STYLES.get(row.kind, "")
    medians = [None if one is None else one.median for one in (row.base, row.new)]
    return (
        Padding(Text(printable(treatment(row.cell))), (0, 0, 0, 2)),
        *(Text(scale.text(one)) for one in medians),
        Text(_moved(row)),
        Text("baseline" if row.is_baseline else _ratios(row)),
        Text(row.words(threshold), style=style),
    )


def _moved(row: CellChange) -> str:
    """The change of the value: +12 %, -3.1 %."""
    if row.value is None or row.value.ratio is None:
        return NOTHING
    share = row.value.ratio - 1
    percents = abs(share) * 100
    text = f"{percents:,.0f} %" if percents >= 9.95 else f"{percents:.1f} %"
    return ("+" if share >= 0 else MINUS) + text


def _ratios(row: CellChange) -> str:
    ratios = [None if one is None else one.ratio for one in (row.base, row.new)]
    return _TO.join(ratio_text(ratio) for ratio in ratios)


def _troubles(found: Comparison) -> Iterator[str]:
    seen = set()
    for row in found.regressions:
        if row.kind in _TROUBLE and row.cell not in seen:
            seen.add(row.cell)
            why = (row.new.reason if row.new else None) or "no trial of it ran"
            yield (
                f"{treatment(row.cell)}, {row.cell.placement}, {row.cell.workload}: "
                f"{row.words(found.threshold)}: {why}"
            )


def _reading(found: Comparison) -> Iterator[str]:
    yield (
        "Drivers are judged by the change of their ratio to host, host by its own value. Intervals "
        "are 95 % each and not adjusted; what is called credible is, over all judged cells "
        "together (Holm, 5 %)."
    )
    if any(row.kind is Kind.NOISY for row in found.cells):
        yield "Too noisy to tell is not the same as no change: more blocks (--blocks) tell more."


def _section(title: str, lines: tuple[str, ...]) -> list[RenderableType]:
    if not lines:
        return []
    said = [Padding(Text(printable(line)), (0, 0, 0, 2), expand=False) for line in lines]
    return [Text(title, style="bold"), *said, Text("")]
