"""What a plan can be expected to tell before anything is measured: how narrow intervals get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from bench.errors import UsageError
from bench.model import Plan
from bench.plan import affordable, pairs, seconds_a_block
from bench.units import NOTHING, lasting, percent

if TYPE_CHECKING:
    from bench.analysis.summary import Summary

# What the ratio of two trials of one block may scatter by from block to block: from a quiet machine
# of one's own to a small cloud VM with neighbours.
NOISES = (0.02, 0.05, 0.1, 0.2)
SIMULATED = 200
SEED = 20_240_229


def blocks_of(plan: Plan) -> int:
    """How many blocks of all cells the plan comes to: those that its budget is expected to hold,
    where it has one."""
    if plan.stopping is None:
        return plan.blocks
    return min(affordable(plan, plan.stopping.budget), plan.blocks)


def expected_width(noise: float, blocks: int, host_pairs: int) -> float | None:
    """The half-width (a share) to expect of a paired ratio's 95 % interval; None below 3 blocks.

    ``noise`` is the standard deviation of the ratio's logarithm from block to block. It is the
    median of what the estimate itself makes of simulated runs: about 1.96 x 1.2533 x noise /
    sqrt(blocks), the standard error of a median, and more for few blocks and several host pairs.
    """
    import numpy as np

    from bench.estimate import half_width, paired_ratio

    draw = np.random.default_rng(SEED)
    groups = np.arange(blocks) % host_pairs
    widths = []
    for _ in range(SIMULATED):
        ratio, interval = paired_ratio(
            np.exp(draw.normal(0.0, noise, blocks)), np.ones(blocks), groups
        )
        if ratio is None or interval is None:
            return None
        widths.append(half_width(ratio, interval))
    return float(np.median(widths))


def budget_lines(plan: Plan) -> list[str]:
    """What the plan's budget can be expected to buy, in words; nothing without a budget."""
    stopping = plan.stopping
    if stopping is None:
        return []
    blocks, host_pairs = blocks_of(plan), len(pairs(plan))
    rest = "; cells that are settled rest and leave time for more" if stopping.target else ""
    block = lasting(seconds_a_block(plan))
    lines = [f"{lasting(stopping.budget)} hold about {blocks} blocks of {block}{rest}"]
    for noise in NOISES:
        width = expected_width(noise, blocks, host_pairs)
        if width is None:
            continue
        line = f"  with {percent(noise)} noise between blocks: about ±{percent(width)}"
        if stopping.target:
            needed = max(stopping.min_blocks, _needed(width, blocks, stopping.target))
            line += f"; ±{percent(stopping.target)} takes about {needed} blocks"
        lines.append(line)
    if stopping.target:
        lines.append(
            f"a cell is settled when all its headline ratios are within ±{percent(stopping.target)}"
            f", after {stopping.min_blocks} blocks at least"
        )
    return lines


def like_table(plan: Plan, path: Path) -> Table:
    """By the spread that an earlier run measured: what to expect of each cell of this plan."""
    from bench.analysis.summary import summarise
    from bench.store import load

    run = load(path)
    summary = summarise(run)
    if not {cell.cell for cell in summary.cells if not cell.is_baseline} & {*plan.cells}:
        raise UsageError(f"{path} measured none of this plan's cells", "give --like another run")
    blocks, target = blocks_of(plan), plan.stopping.target if plan.stopping else None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.title = f"like {path.name}, with its trials of {run.info.plan.duration} s"
    table.title_justify = "left"
    for title in ("workload", "placement", "driver", "metric"):
        table.add_column(title, no_wrap=True)
    table.add_column("there", justify="right")
    table.add_column(f"in {blocks} blocks", justify="right")
    if target:
        table.add_column(f"for ±{percent(target)}", justify="right")
    for row in _rows(plan, summary, blocks, target):
        table.add_row(*row)
    return table


def _rows(plan: Plan, summary: Summary, blocks: int, target: float | None) -> list[list[str]]:
    from bench.analysis.display import treatment
    from bench.estimate import half_width, width_after

    headline = set(summary.headlines)
    found = []
    for cell in summary.cells:
        if cell.cell not in plan.cells or cell.is_baseline:
            continue
        if (cell.workload, cell.metric) not in headline:
            continue
        words = [cell.workload, cell.placement.value, treatment(cell.cell), cell.metric.name]
        if cell.ratio is None or cell.ratio_ci is None:
            words += [f"{NOTHING} of {cell.pairs}", NOTHING, *([NOTHING] if target else [])]
        else:
            width = half_width(cell.ratio, cell.ratio_ci)
            scaled = width_after(width, cell.pairs, blocks)
            words += [f"±{percent(width)} of {cell.pairs}", f"±{percent(scaled)}"]
            words += [f"{_needed(width, cell.pairs, target)} blocks"] if target else []
        found.append(words)
    return found


def _needed(width: float, blocks: int, target: float) -> int:
    """How many blocks in all bring ``width`` after ``blocks`` to ``target``; 3 at least."""
    from bench.estimate import FEWEST, blocks_needed, width_after

    # Counted up from the fewest, as a budget may hold more blocks than the target takes.
    return blocks_needed(width_after(width, blocks, FEWEST), FEWEST, target)
