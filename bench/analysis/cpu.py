"""How many cores each end of a cell kept busy, and with what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.analysis.ends import by_cell, ends
from bench.analysis.load import MACHINE, Kinds
from bench.estimate import Floats
from bench.model import Cell
from bench.store import StoredRun

# The first of the kinds of CPU time: a core that does these works, neither idle nor stolen.
_BUSY = 4


@dataclass(frozen=True, slots=True)
class CpuUse:
    """One end of a cell over its completed trials.

    ``end`` is `client`, `server`, `both ends` of a cell on one host, or the machine where all hosts
    share one kernel. ``cores`` is the median number of busy cores (idle and stolen time left out),
    ``low`` and ``high`` its quartiles, ``of`` how many cores there were; ``spent`` the CPU seconds
    of all trials by kind.
    """

    cell: Cell
    end: str
    trials: int
    cores: float
    low: float
    high: float
    of: int
    spent: Kinds


def cpu_use(run: StoredRun) -> tuple[CpuUse, ...]:
    """The processors' use by cell and end, in the plan's order; nothing where it was not read."""
    read = ends(run)
    shared = run.info.shared_kernel
    spent = read.spent()
    usable = (read.seconds > 0) & (read.count > 0)
    if shared:
        # Every end shows the same cores: they are counted once.
        usable &= read.leads
    names = [
        MACHINE if shared else roles[0] if len(roles) == 1 else "both ends"
        for _, roles, _ in read.whos
    ]
    found = []
    for cell, trials in by_cell(run):
        own = usable & trials[read.trial]
        for name in sorted(set(names)):
            chosen = own & np.array([one == name for one in names])[read.who]
            if chosen.any():
                kinds = spent[chosen]
                busy = kinds[:, :_BUSY].sum(axis=1) / read.seconds[chosen]
                found.append(_use(cell, name, busy, int(read.count[chosen].max()), kinds))
    return tuple(found)


def _use(cell: Cell, end: str, busy: Floats, of: int, kinds: Floats) -> CpuUse:
    low, middle, high = (float(q) for q in np.quantile(busy, (0.25, 0.5, 0.75)))
    spent = Kinds(*kinds.sum(axis=0).tolist())
    return CpuUse(cell, end, busy.size, middle, low, high, of, spent)
