"""Who watches a run, and what happens when the watcher breaks: nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.model import Plan, PlannedTrial, Trial


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run of no fixed length stands when a block begins.

    ``block`` counts from 0 and holds ``trials`` trials; ``settled`` of the ``cells`` that are
    compared need no more of them (None without a target); ``left`` is what is left of the budget,
    in seconds.
    """

    block: int
    trials: int
    settled: int | None
    cells: int
    left: float


class Progress(Protocol):
    """Who watches a run. Called from the runner's own thread."""

    def stage(self, text: str) -> None:
        """What is going on before and after the trials."""

    def begin(self, plan: Plan) -> None: ...

    def standing(self, standing: Standing) -> None:
        """Before each block of a run of no fixed length."""

    def starting(self, planned: PlannedTrial) -> None: ...

    def ended(self, trial: Trial) -> None: ...


class Heard:
    """A watcher whose own failing (its terminal closed, its log's disk full) ends the watching and
    not the run: rich leaves with SystemExit when its pipe breaks."""

    def __init__(self, inner: Progress) -> None:
        self.inner: Progress | None = inner

    def stage(self, text: str) -> None:
        self._tell(lambda inner: inner.stage(text))

    def begin(self, plan: Plan) -> None:
        self._tell(lambda inner: inner.begin(plan))

    def standing(self, standing: Standing) -> None:
        self._tell(lambda inner: inner.standing(standing))

    def starting(self, planned: PlannedTrial) -> None:
        self._tell(lambda inner: inner.starting(planned))

    def ended(self, trial: Trial) -> None:
        self._tell(lambda inner: inner.ended(trial))

    def _tell(self, say: Callable[[Progress], None]) -> None:
        if self.inner is None:
            return
        try:
            say(self.inner)
        except (OSError, SystemExit):
            self.inner = None
