"""What a run shows while it runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench import workloads
from bench.model import Plan, PlannedTrial, Status, Trial
from bench.units import human, lasting
from bench.watch import Standing


def headline(trial: Trial) -> str:
    """A trial's result in a few words."""
    if trial.status is not Status.COMPLETED:
        return f"{trial.status}: {trial.reason}"
    metric = next(m for m in workloads.named(trial.cell.workload).metrics if m.headline)
    value = next(sample.value for sample in trial.samples if sample.metric == metric.name)
    return human(value, metric.unit)


def place(planned: PlannedTrial | Trial) -> str:
    cell, pair = planned.cell, planned.pair
    hosts = f"{pair.client_for(cell.placement)} -> {pair.server}"
    driver = f"{cell.driver} (A/A)" if cell.aa else cell.driver
    return f"{driver}/{cell.access} {cell.placement} {cell.workload} ({hosts})"


def settled(standing: Standing) -> str:
    """How far the run is; nothing where it has no target."""
    if standing.settled is None:
        return ""
    return f"; {standing.settled} of {standing.cells} cells settled"


class PlainProgress:
    """One line a stage and one a trial."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = ""
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, text: str) -> None:
        self.line(text)

    def begin(self, plan: Plan) -> None:
        self.total = "" if plan.stopping else f"/{len(plan.cells) * plan.blocks}"

    def standing(self, standing: Standing) -> None:
        self.line(
            f"block {standing.block + 1}: {standing.trials} trials{settled(standing)}; "
            f"{lasting(standing.left)} of the budget left"
        )

    def starting(self, planned: PlannedTrial) -> None:
        return

    def ended(self, trial: Trial) -> None:
        self.count += 1
        self.line(
            f"[{self.count}{self.total}] block {trial.block + 1} {place(trial)}: {headline(trial)}"
        )


class LiveProgress:
    """A bar with block, cell, last value, failures and time left; failures stay above it.

    It counts trials, or for a run of no fixed length the seconds of its budget.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task("", total=None, count="")
        self.blocks = ""
        self.total: float = 0
        self.ended_trials = 0
        # When the budget ends, on the monotonic clock; None for a fixed number of trials.
        self.deadline: float | None = None
        self.last = ""
        self.failures = 0
        self.skipped: set[str] = set()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def stage(self, text: str) -> None:
        # Between trials it is a remark (a host that is not pinned, say), which the next trial's
        # line would wipe away at once.
        if self.total:
            self.above(text)
        self.bar.update(self.task, description=text)

    def begin(self, plan: Plan) -> None:
        stopping = plan.stopping
        self.blocks = "" if stopping else f"/{plan.blocks}"
        self.total = stopping.budget if stopping else len(plan.cells) * plan.blocks
        self.bar.update(self.task, total=self.total, completed=0)

    def standing(self, standing: Standing) -> None:
        self.deadline = time.monotonic() + standing.left
        self.bar.update(
            self.task, completed=self.total - standing.left, count=settled(standing).lstrip("; ")
        )

    def starting(self, planned: PlannedTrial) -> None:
        words = [f"block {planned.block + 1}{self.blocks}", place(planned)]
        words += [f"last {self.last}"] if self.last else []
        words += [f"{self.failures} failed"] if self.failures else []
        self.bar.update(self.task, description=" | ".join(words))

    def ended(self, trial: Trial) -> None:
        if trial.status is Status.COMPLETED:
            self.last = headline(trial)
        elif trial.status is Status.FAILED:
            self.failures += 1
            self.above(f"failed: {place(trial)}: {trial.reason}")
        elif trial.reason not in self.skipped:
            self.skipped.add(trial.reason)
            self.above(f"skipped: {place(trial)}: {trial.reason}")
        self.ended_trials += 1
        if self.deadline is None:
            count = f"{self.ended_trials}/{self.total:.0f}"
            self.bar.update(self.task, completed=self.ended_trials, count=count)
        else:
            left = max(0.0, self.deadline - time.monotonic())
            self.bar.update(self.task, completed=self.total - left)

    def above(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)


def progress_for(console: Console) -> PlainProgress | LiveProgress:
    """A live bar where ``console`` is a terminal, plain lines where it is not."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
