"""What a gate says, in plain lines and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.analysis.change import percent
from bench.analysis.verdict import difference
from bench.drivers import BASELINE
from bench.history.gate import FEWEST_RUNS, Broken, Verdict, Worse
from bench.history.grids import treatment
from bench.history.sequence import Measured
from bench.model import Cell

MEANINGS = {
    0: "nothing is credibly worse by more than the threshold",
    1: "something is credibly worse by more than the threshold, or newly failed",
    2: "nothing could be judged",
}


def lines(found: Verdict) -> Iterator[str]:
    """All that was found, a line each."""
    for one in found.worse:
        yield f"worse: {_worse(one)}"
    for cell in found.broken:
        yield f"newly {cell.status}: {_broken(cell)}"
    begun = [one.since for one in found.worse] + [one.since for one in found.broken]
    for since in dict.fromkeys(begun):
        if new := _new(found, since):
            yield f"new in {since.info.run}: {'; '.join(new)}"
    if found.gone:
        cells = ", ".join(map(_cell, found.gone))
        yield f"not measured by the newest run, and not judged: {cells}"
    if found.apart:
        yield (
            f"left out: {_runs(len(found.apart))} with other --duration, --warmup or --pin than "
            "the newest"
        )


def closing(found: Verdict) -> str:
    """The gate in one line."""
    limit = percent(found.threshold)
    said = []
    if found.worse:
        said.append(f"{len(found.worse)} of {found.judged} judged credibly worse by over {limit}")
    if found.broken:
        cells = "cell" if len(found.broken) == 1 else "cells"
        said.append(f"{len(found.broken)} {cells} newly failed or skipped")
    if not said and not found.judged:
        return (
            f"nothing could be judged in {_runs(len(found.runs))}: it takes {FEWEST_RUNS} runs "
            "with values of one cell"
        )
    if not said:
        said.append(f"none of {found.judged} judged is credibly worse by over {limit}")
    return f"{'; '.join(said)} (the newest of {_runs(len(found.runs))}: {_run(found.runs[-1])})"


def for_programs(found: Verdict, machine: str) -> dict[str, Any]:
    """The same as plain JSON values, as `docs/regressions.md` describes them."""
    return {
        "machine": machine,
        "newest": found.runs[-1].info.run,
        "runs": len(found.runs),
        "threshold": found.threshold,
        "judged": found.judged,
        "exit": found.exit,
        "meaning": MEANINGS[found.exit],
        "worse": [
            {
                **_named(one.cell),
                "metric": one.metric.name,
                "judged_by": "value" if one.cell.driver == BASELINE else "ratio",
                "since": one.since.info.run,
                "ratio": one.ratio,
                "ci": list(one.interval),
                "runs_after": one.after,
                "runs_before": one.before,
                "p_adjusted": one.p,
                "new_then": list(found.changed(one.since)),
                "words": _worse(one),
            }
            for one in found.worse
        ],
        "broken": [
            {
                **_named(one.cell),
                "since": one.since.info.run,
                "status": one.status.value,
                "reason": one.reason,
                "new_then": list(found.changed(one.since)),
            }
            for one in found.broken
        ],
        "gone": [_named(cell) for cell in found.gone],
    }


def _named(cell: Cell) -> dict[str, Any]:
    return {
        "driver": cell.driver,
        "access": cell.access.value,
        "placement": cell.placement.value,
        "workload": cell.workload,
    }


def _worse(one: Worse) -> str:
    by = "" if one.cell.driver == BASELINE else ", next to host"
    return (
        f"{_cell(one.cell)}: {one.metric.title}{by}: "
        f"{difference(one.metric, one.ratio, one.interval)} since {_run(one.since)}; "
        f"{_runs(one.after)} against {one.before} before"
    )


def _broken(one: Broken) -> str:
    return f"{_cell(one.cell)}: no value since {_run(one.since)}: {one.reason}"


def _new(found: Verdict, since: Measured) -> tuple[str, ...]:
    note = (f"note: {since.info.note}",) if since.info.note else ()
    return (*note, *found.changed(since))


def _cell(cell: Cell) -> str:
    return f"{treatment(cell)} {cell.placement} {cell.workload}"


def _run(run: Measured) -> str:
    return f"{run.info.run} ({run.created:%Y-%m-%d %H:%M} UTC)"


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
