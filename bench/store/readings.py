"""What was read around all trials of a run, as columns: many numbers, few words."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

from bench.model import Trial

# Of one end, in this order; a pressure that is not known is not a number.
END = ("seconds", "pressure", "retransmits", "drops", "cores")
# Of one core of an end, in this order.
CORE = ("user", "system", "softirq", "irq", "steal", "idle")

Who = tuple[str, tuple[str, ...], str]
What = tuple[str, str, str]


class Readings:
    """The ``ends`` and ``path`` of every trial, in the order of the trials and of their own.

    An end has an entry in ``end_trials`` (its trial's place in the run, from 0) and ``end_whos``
    (the place in ``whos`` of its host, roles and CPUs), and len(END) in ``end_values``, the last of
    them the number of its cores. Each of these has len(CORE) in ``core_values``. A passage has an
    entry in ``passage_trials``, in ``passage_whats`` (the place in ``whats`` of its host, where and
    interface) and in ``moved``. The values are those of `bench.model.EndUse`, `CoreUse`, `Passage`.
    """

    __slots__ = (
        "_whats",
        "_whos",
        "core_values",
        "end_trials",
        "end_values",
        "end_whos",
        "moved",
        "passage_trials",
        "passage_whats",
    )

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._whos: dict[Who, int] = {}
        self._whats: dict[What, int] = {}
        self.end_trials = array("q")
        self.end_whos = array("q")
        self.end_values = array("d")
        self.core_values = array("d")
        self.passage_trials = array("q")
        self.passage_whats = array("q")
        self.moved = array("d")
        for place, trial in enumerate(trials):
            self.add(place, trial)

    def add(self, place: int, trial: Trial) -> None:
        """Add the trial at ``place``. OverflowError for a count that no float holds."""
        for end in trial.ends:
            self.end_trials.append(place)
            who = end.host, end.roles, end.pinned
            self.end_whos.append(self._whos.setdefault(who, len(self._whos)))
            pressure = math.nan if end.pressure is None else end.pressure
            self.end_values.fromlist(
                [end.seconds, pressure, end.retransmits, end.drops, len(end.cores)]
            )
            for core in end.cores:
                self.core_values.fromlist(
                    [core.user, core.system, core.softirq, core.irq, core.steal, core.idle]
                )
        for one in trial.path:
            self.passage_trials.append(place)
            what = one.host, one.where, one.interface
            self.passage_whats.append(self._whats.setdefault(what, len(self._whats)))
            self.moved.append(one.moved)

    @property
    def whos(self) -> tuple[Who, ...]:
        """Each host with the roles it had and the CPUs that these were held to."""
        return tuple(self._whos)

    @property
    def whats(self) -> tuple[What, ...]:
        """Each interface: its host, whose it is on the path, its name."""
        return tuple(self._whats)
