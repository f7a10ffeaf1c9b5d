"""How values, ratios and cells are written wherever they are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench import units
from bench.analysis.summary import CellSummary
from bench.model import Access, Cell

# Between the bounds of an interval, and in place of a value that does not exist.
DASH = NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit to show values in: its name, and how much of the stored unit one of it is."""

    unit: str
    size: float = 1.0

    def apply(self, value: float) -> float:
        return value / self.size

    def text(self, value: float | None) -> str:
        """The value's three leading digits; an en dash for what does not exist."""
        if value is None:
            return NOTHING
        # Counts are whole and stay so: 4 retransmits, not 4.00.
        whole = self.size == 1 and value.is_integer() and abs(value) < 1e15
        return f"{value:,.0f}" if whole else number(self.apply(value))

    def span(self, bounds: tuple[float, float] | None) -> str:
        return NOTHING if bounds is None else f"{self.text(bounds[0])}{DASH}{self.text(bounds[1])}"


def scale_for(unit: str, values: Iterable[float | None]) -> Scale:
    """The unit in which the largest of ``values`` reads best; all of them are to share it."""
    present = [abs(value) for value in values if value is not None]
    largest = max(present, default=0.0)
    if largest == 0:
        return Scale(unit)
    chosen = units.scale_for(largest, unit)
    return Scale(chosen.unit, chosen.factor)


def shared_scales(cells: Iterable[CellSummary]) -> dict[str, Scale]:
    """For each unit of ``cells`` one scale that suits all of their medians."""
    medians: dict[str, list[float | None]] = {}
    for cell in cells:
        medians.setdefault(cell.unit, []).append(cell.median)
    return {unit: scale_for(unit, values) for unit, values in medians.items()}


def number(value: float, digits: int = 3) -> str:
    """``digits`` leading digits, never an exponent below 10^15, thousands grouped."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude >= 15 or magnitude < -9:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


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
