"""How values, ratios and cells are written wherever they are shown."""

from __future__ import annotations

from collections.abc import Iterable

from bench import drivers, units
from bench.analysis.summary import CellSummary
from bench.model import Access, Cell
from bench.units import DASH, NOTHING, Scale, number


def scale_for(unit: str, values: Iterable[float | None]) -> Scale:
    """The unit in which the largest of ``values`` reads best; all of them are to share it."""
    present = [abs(value) for value in values if value is not None]
    largest = max(present, default=0.0)
    if largest == 0:
        return Scale(unit)
    return units.scale_for(largest, unit)


def shared_scales(cells: Iterable[CellSummary]) -> dict[str, Scale]:
    """For each unit of ``cells`` one scale that suits all of their medians."""
    medians: dict[str, list[float | None]] = {}
    for cell in cells:
        medians.setdefault(cell.unit, []).append(cell.median)
    return {unit: scale_for(unit, values) for unit, values in medians.items()}


def ratio_text(ratio: float | None) -> str:
    """A ratio to the baseline, with two decimals where it is near 1."""
    if ratio is None:
        return NOTHING
    return f"{ratio:.2f}" if 0.1 <= ratio < 10 else number(ratio, 2 if ratio < 1 else 3)


def ratio_span(ratio: float | None, bounds: tuple[float, float] | None) -> str:
    """A ratio with its interval: 0.74 and in brackets from 0.71 to 0.78."""
    if bounds is None:
        return ratio_text(ratio)
    return f"{ratio_text(ratio)} ({ratio_text(bounds[0])}{DASH}{ratio_text(bounds[1])})"


def treatment(cell: Cell, between: str = " ") -> str:
    """The driver, and in brackets the access where it is not the plain one, or which A/A copy; or
    that it is the most that the machine's own stack does."""
    if cell.aa:
        return f"{cell.driver}{between}(A/A)" if cell.aa == 1 else f"{cell.driver} (A/A {cell.aa})"
    if is_ceiling(cell):
        return f"{cell.driver}{between}(ceiling)"
    plain = cell.access is Access.DIRECT
    return cell.driver if plain else f"{cell.driver}{between}({cell.access})"


def is_ceiling(cell: Cell) -> bool:
    """Whether a cell measures a network namespace in itself, and nothing that Docker adds to it."""
    driver = drivers.known().get(cell.driver)
    return driver is not None and driver.shares_namespace


def absence(cell: CellSummary) -> str:
    """Why a cell has no value, in a word or two."""
    if cell.failed and cell.skipped:
        return "skipped, failed"
    if cell.failed:
        return "failed"
    return "skipped" if cell.skipped else "not measured"
