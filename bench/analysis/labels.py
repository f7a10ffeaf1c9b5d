"""What cells are called wherever they are shown, and what is written where a value is missing."""

from __future__ import annotations

from bench.analysis.summary import CellSummary
from bench.model import Access, Cell


def treatment(cell: Cell, between: str = " ") -> str:
    """The driver, and in brackets the access where it is not the plain one."""
    plain = cell.access is Access.DIRECT
    return cell.driver if plain else f"{cell.driver}{between}({cell.access})"


def absence(cell: CellSummary) -> str:
    """Why a cell has no value, in a word or two."""
    if cell.failed and cell.skipped:
        return "skipped, failed"
    if cell.failed:
        return "failed"
    return "skipped" if cell.skipped else "not measured"
