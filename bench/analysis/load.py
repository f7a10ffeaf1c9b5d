"""How the processors of a trial's ends were used, as the kernel counted it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.analysis.ends import Bools, Ends
from bench.estimate import Floats, Ints
from bench.store import CORE

# Whose processors they are where all hosts share one kernel.
MACHINE = "this machine"
BUSY = ("user", "system", "softirq", "irq", "steal")
IDLE = CORE.index("idle")
STOLEN = CORE.index("steal")
# Seconds for starting a tool through the engine and reading the counters on both sides of it.
STARTING = 0.25


@dataclass(frozen=True, slots=True)
class Kinds:
    """CPU time by kind, in seconds."""

    user: float = 0.0
    system: float = 0.0
    softirq: float = 0.0
    irq: float = 0.0
    steal: float = 0.0
    idle: float = 0.0

    @property
    def busy(self) -> float:
        """The time in which a core worked: neither idle nor stolen."""
        return self.user + self.system + self.softirq + self.irq

    @property
    def total(self) -> float:
        return self.busy + self.steal + self.idle


@dataclass(frozen=True, slots=True)
class Busiest:
    """The core of a trial that had the least time to spare while the tool worked.

    ``end`` is client, server or both, on ``host``, which is empty where all hosts are one
    machine: an end that is not pinned is then that machine.
    ``pinned`` says that the end was held to some cores, of which this is one. ``share`` is the part
    of the tool's time in which it was not idle, ``mostly`` the kind of work that it did most.
    """

    end: str
    host: str
    pinned: bool
    core: int
    share: float
    mostly: str


def full_cores(
    read: Ends, working: Floats, bound: float, *, shared_kernel: bool
) -> dict[int, Busiest]:
    """The busiest core of every trial where that was busy for ``bound`` of the time, by the trial's
    place: of the cores that its ends were held to, else of all.

    ``working`` is for how many seconds the tool of each trial was to work, warm-up included. What a
    core idled before and after that is not held against it, up to ``STARTING`` seconds: starting a
    tool takes time, which is no rest from the work. Where the hosts share a kernel, ends held to no
    cores are the machine.
    """
    end = read.end_of_core
    number = np.arange(end.size) - read.first[end]
    around = np.clip(read.seconds - working[read.trial], 0.0, STARTING)[end]
    left = read.cores.sum(axis=1) - around
    idle = np.maximum(0.0, read.cores[:, IDLE] - around)
    share = 1 - np.divide(idle, left, out=np.ones_like(left), where=left > 0)
    rows, roles, held = _candidates(read, np.flatnonzero(share >= bound), number)
    # The first of those that are busiest, in the order of ends, of their roles and of cores.
    trial = read.trial[end]
    order = np.lexsort((number[rows], roles, end[rows], -share[rows], trial[rows]))
    trials, firsts = np.unique(trial[rows][order], return_index=True)
    mostly = read.cores[:, : len(BUSY)].argmax(axis=1)
    found = {}
    for place, at in zip(trials.tolist(), order[firsts].tolist(), strict=True):
        row, pinned = int(rows[at]), bool(held[at])
        host, of, cpus = read.whos[read.who[end[row]]]
        role, _ = _held(of, cpus)[roles[at]]
        if shared_kernel:
            # All hosts are one machine; an end that is not pinned may be anywhere on it.
            role, host = role if pinned else MACHINE, ""
        kind = BUSY[mostly[row]]
        found[place] = Busiest(role, host, pinned, int(number[row]), float(share[row]), kind)
    return found


def _candidates(read: Ends, rows: Ints, number: Ints) -> tuple[Ints, Ints, Bools]:
    """Those of the cores in ``rows`` that an end could run on, once for each role that could: the
    row, the role's place among the end's, and whether the end was held to it."""
    found: list[tuple[Ints, Ints, Bools]] = []
    ends = read.end_of_core[rows]
    for who, (_, roles, pinned) in enumerate(read.whos):
        own = rows[read.who[ends] == who]
        cores = read.count[read.end_of_core[own]]
        for place, (_, cpus) in enumerate(_held(roles, pinned)):
            wanted = cpu_list(cpus)
            # A list of none of its cores holds an end to nothing.
            held = cores > min(wanted) if wanted else np.zeros(own.size, bool)
            chosen = ~held | np.isin(number[own], wanted)
            found.append((own[chosen], np.full(np.count_nonzero(chosen), place), held[chosen]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool)
    each = tuple(np.concatenate(column) for column in zip(*found, strict=True))
    return each[0], each[1], each[2]


def cpu_list(text: str) -> tuple[int, ...]:
    """The CPUs of a list as the kernel writes them, ``0-2,5``; none of what is no such list."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return ()
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _held(roles: tuple[str, ...], pinned: str) -> tuple[tuple[str, str], ...]:
    """Each role of an end with the CPUs it was held to: ``CLIENT:SERVER`` where it has both."""
    client, colon, server = pinned.partition(":")
    lists = {"client": client, "server": server} if colon else {}
    roles = roles or ("host",)
    if not any(lists.get(role, pinned) for role in roles) and len(roles) > 1:
        return ((" and ".join(roles), ""),)
    return tuple((role, lists.get(role, pinned)) for role in roles)
