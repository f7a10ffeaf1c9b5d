"""How all charts look: colours, markers, figure, footer, and what is written where nothing is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.summary import CellSummary, Summary
from bench.model import Access, Cell

INK = "#222222"
FAINT = "#6b6b6b"
GRID = "#dddddd"

# The footer's letters: their size in points and about how many inches one is wide.
_SMALL = 8
_LETTER = 0.066
# The same of a title's.
_TITLE_LETTER = 0.125
# As many letters stand beside a panel.
_BESIDE = 34


@dataclass(frozen=True, slots=True)
class Look:
    """What one treatment looks like in every chart of a run."""

    color: str
    hatch: str
    marker: str
    line: tuple[float, tuple[float, ...]]


# Okabe and Ito's palette, without its yellow, which is too faint for lines on white.
_LOOKS = (
    Look("#4d4d4d", "", "o", (0, ())),
    Look("#e69f00", "///", "s", (0, (5, 2))),
    Look("#0072b2", "...", "^", (0, (6, 2, 1, 2))),
    Look("#009e73", "\\\\\\", "D", (0, (1, 1.2))),
    Look("#cc79a7", "xxx", "v", (0, (5, 1, 1, 1, 1, 1))),
    Look("#d55e00", "+++", "P", (0, (7, 2))),
    Look("#56b4e9", "---", "X", (0, (1, 2))),
    Look("#000000", "ooo", "*", (0, (3, 3))),
)


# A/A cells are no driver: the baseline's marker, in a grey of their own.
_COPY = Look("#a8a8a8", "", "o", (0, (1, 3)))


@contextmanager
def settings() -> Iterator[None]:
    """Have matplotlib draw our way, and put its settings back afterwards."""
    with mpl.rc_context(
        {
            "svg.hashsalt": "netbench",
            "svg.fonttype": "path",
            # A dollar sign in a name is a dollar sign.
            "text.parse_math": False,
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": FAINT,
            "axes.titlesize": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "grid.color": GRID,
            "xtick.color": INK,
            "ytick.color": INK,
            "hatch.linewidth": 0.8,
            "legend.frameon": False,
        }
    ):
        yield


def looks(summary: Summary) -> dict[Cell, Look]:
    """A look for every cell: one per driver, and per access where a driver has several.

    A/A cells take none of the drivers' looks."""
    slots: dict[tuple[str, int], None] = {}
    accesses: dict[tuple[str, str, str], list[Access]] = {}
    found: dict[Cell, tuple[str, int]] = {}
    copies: dict[Cell, Look] = {}
    for cell in dict.fromkeys(one.cell for one in summary.cells):
        if cell.aa:
            copies[cell] = _COPY
            continue
        several = accesses.setdefault((cell.driver, cell.placement, cell.workload), [])
        slot = (cell.driver, len(several))
        several.append(cell.access)
        slots[slot] = None
        found[cell] = slot
    order = {slot: _LOOKS[place % len(_LOOKS)] for place, slot in enumerate(slots)}
    return {cell: order[slot] for cell, slot in found.items()} | copies


def figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def title(figure: Figure, text: str) -> None:
    lines = textwrap.wrap(text, int(figure.get_figwidth() / _TITLE_LETTER))
    figure.suptitle("\n".join(lines), x=0.008, ha="left", fontsize=13, fontweight="bold")


def footer(figure: Figure, summary: Summary, explained: str) -> None:
    """What the marks mean, which run it is, and whether the hosts were machines of their own."""
    parts = [f"run {summary.run}"]
    if summary.shared_kernel:
        parts.append("hosts share one kernel (lab)")
    room = int(figure.get_figwidth() / _LETTER)
    lines = [
        wrapped
        for line in (*explained.split("\n"), " · ".join(parts))
        for wrapped in textwrap.wrap(line, room)
    ]
    figure.supxlabel(
        "\n".join(lines),
        x=0.008,
        ha="left",
        fontsize=_SMALL,
        color=FAINT,
        linespacing=1.5,
    )


def value_label(axes: Axes, text: str) -> None:
    """What the values are, beside their axis: in as many lines as its height takes."""
    axes.set_ylabel("\n".join(textwrap.wrap(text, _BESIDE)))


def panel_title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", color=INK)


def absent(axes: Axes, place: int, top: float, text: str) -> None:
    """Say where a bar would be, on an axis that goes up to ``top``, why there is none."""
    axes.text(
        *(place, 0.03 * top, text),
        ha="center",
        va="bottom",
        rotation=90,
        color=FAINT,
        style="italic",
    )


def drivers_only(cells: Iterable[CellSummary]) -> tuple[CellSummary, ...]:
    """The cells of drivers: A/A cells are left out where drivers are compared."""
    return tuple(cell for cell in cells if not cell.cell.aa)


def comparable(cells: Iterable[CellSummary]) -> bool:
    """Whether there are two values to compare; a chart of one is no chart."""
    return sum(cell.median is not None for cell in cells) >= 2
