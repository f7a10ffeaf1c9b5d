"""The rates that a cell's trials tried, where its workload searches for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.model import Cell, Status, Step
from bench.store import StoredRun


@dataclass(frozen=True, slots=True)
class Search:
    """Every rate that the completed trials of a cell tried, in their order."""

    cell: Cell
    steps: tuple[Step, ...]


def searches(run: StoredRun, cells: Iterable[Cell]) -> tuple[Search, ...]:
    """For each of ``cells`` whose trials have searched, in that order."""
    found: dict[Cell, list[Step]] = {}
    for one in run.results:
        if one.status is Status.COMPLETED and one.steps:
            found.setdefault(one.cell, []).extend(one.steps)
    return tuple(Search(cell, tuple(found[cell])) for cell in cells if cell in found)
