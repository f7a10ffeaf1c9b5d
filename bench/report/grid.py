"""A table as both pages have it: plain text in rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; ``kind`` is worse, better, alarm or empty; ``repeats`` says
    that the first cell is the same as in the line before."""

    cells: tuple[str, ...]
    kind: str = ""
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first ``texts`` of its columns hold text, the others numbers.

    ``wide`` names the columns whose text may run over several lines, ``note`` is said below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    texts: int = 2
    wide: tuple[str, ...] = ()
    note: str = ""
