"""What a run shows while it runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import workloads
from bench.model import Plan, PlannedTrial, Status, Trial
from bench.units import human


def headline(trial: Trial) -> str:
    """A trial's result in a few words."""
    if trial.status is not Status.COMPLETED:
        return f"{trial.status}: {trial.reason}"
    metric = next(m for m in workloads.known()[trial.cell.workload].metrics if m.headline)
    value = next(sample.value for sample in trial.samples if sample.metric == metric.name)
    return human(value, metric.unit)


def place(planned: PlannedTrial | Trial) -> str:
    cell, pair = planned.cell, planned.pair
    hosts = f"{pair.client_for(cell.placement)} -> {pair.server}"
    return f"{cell.driver}/{cell.access} {cell.placement} {cell.workload} ({hosts})"


class PlainProgress:
    """One line a stage and one a trial."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, text: str) -> None:
        self.line(text)

    def begin(self, plan: Plan) -> None:
        self.total = len(plan.cells) * plan.blocks

    def starting(self, planned: PlannedTrial) -> None:
        return

    def ended(self, trial: Trial) -> None:
        self.line(
            f"[{trial.sequence + 1}/{self.total}] block {trial.block + 1} "
            f"{place(trial)}: {headline(trial)}"
        )


class LiveProgress:
    """A bar with block, cell, last value, failures and time left; failures stay above it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task("", total=None)
        self.plan: Plan | None = None
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
        self.bar.update(self.task, description=text)

    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.bar.update(self.task, total=len(plan.cells) * plan.blocks, completed=0)

    def starting(self, planned: PlannedTrial) -> None:
        blocks = self.plan.blocks if self.plan else 0
        words = [f"block {planned.block + 1}/{blocks}", place(planned)]
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
        self.bar.advance(self.task)

    def above(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)


def progress_for(console: Console) -> PlainProgress | LiveProgress:
    """A live bar where ``console`` is a terminal, plain lines where it is not."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
