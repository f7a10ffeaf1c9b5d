"""Who watches a run, and what happens when the watcher breaks: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bench.model import Plan, PlannedTrial, Trial


class Progress(Protocol):
    """Who watches a run. Called from the runner's own thread."""

    def stage(self, text: str) -> None:
        """What is going on before and after the trials."""

    def begin(self, plan: Plan) -> None: ...

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
