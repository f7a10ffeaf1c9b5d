"""The only loop: from a plan to a stored run, and every host as it was before.

Whatever ends a run (its last block, Ctrl-C, a lost host, a fault) goes the same way out: what was
created is removed, what was measured stays, and ``end.json`` says what happened.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Protocol

from bench import __version__, cleanup, drivers, workloads
from bench.deploy import Deployment, Order, choose_site, deploy, refreshed
from bench.drivers.base import Site
from bench.errors import HostUnreachable, NetbenchError, ParseError, StoreError
from bench.facts import gather, networks_in_use
from bench.images import Shipped, ship
from bench.model import (
    HostFacts,
    Inventory,
    Plan,
    PlannedTrial,
    RunEnd,
    RunInfo,
    Status,
    Trial,
)
from bench.probe import Path, probe, refuse_without_baseline
from bench.remote.fleet import Fleet
from bench.store import FORMAT, RunWriter, claim
from bench.swarm import form
from bench.workloads.base import ToolOutput

# Beyond its own time, how long a tool may take to connect, to end and to report (seconds).
GRACE = 10.0
# The supervisor that is process 1 of a server's container starts its commands afresh on HUP.
RESTART_SERVERS = ("sh", "-c", "kill -HUP 1")


class Progress(Protocol):
    """Who watches a run. Called from the runner's own thread."""

    def stage(self, text: str) -> None:
        """What is going on before and after the trials."""

    def begin(self, plan: Plan) -> None: ...

    def starting(self, planned: PlannedTrial) -> None: ...

    def ended(self, trial: Trial) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What to run and where to keep it: ``name`` is the run's folder below ``out``, by default the
    run's id; ``image`` a toolbox image of the user's own registry; ``command`` for the record."""

    inventory: Inventory
    plan: Plan
    out: FilePath
    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the run is stored and how it ended."""

    path: FilePath
    end: RunEnd
    counts: Mapping[Status, int]


def execute(request: Request, connect: Callable[[], Fleet], progress: Progress) -> Outcome:
    """Carry out a plan on the hosts that ``connect`` reaches.

    Raises NetbenchError for what stops a run before anything is created or stored; from then on an
    error ends the run and is told in the outcome.
    """
    return _Run(request, progress).execute(connect)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What is known of the hosts before anything is created on them."""

    facts: Mapping[str, HostFacts]
    site: Site
    image: Shipped


class _Run:
    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.plan = request.plan
        self.progress = _Heard(progress)
        now = datetime.now(UTC)
        self.id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.created = now.isoformat(timespec="seconds")
        self.begun = time.monotonic()
        self.first_trial: float | None = None
        self.counts = dict.fromkeys(Status, 0)
        self.measuring = 0.0
        self.warming = 0.0

    def execute(self, connect: Callable[[], Fleet]) -> Outcome:
        path = self.request.out / (self.request.name or self.id)
        claim(path)
        self.progress.stage("connecting")
        with connect() as fleet:
            ready = self.prepare(fleet)
            info = self.info(ready)
            with closing(RunWriter(path, info)) as writer, _interrupted_once(self.progress):
                outcome, message, crash = self.guarded(fleet, writer, info, ready)
                end = self.clean_up(fleet, outcome, message)
                try:
                    writer.end(end)
                except StoreError as fault:
                    # Said beside what ended the run, never instead of it.
                    told = "; ".join(filter(None, (end.message, str(fault))))
                    end = replace(end, outcome="failed", message=told)
        if crash is not None:
            raise crash
        return Outcome(path, end, self.counts)

    def prepare(self, fleet: Fleet) -> _Ready:
        self.progress.stage("reading the hosts' facts")
        facts = fleet.each(gather)
        in_use = fleet.each(networks_in_use)
        site = choose_site(facts.values(), in_use, self.request.inventory.macvlan_subnet)
        return _Ready(facts, site, ship(fleet, self.request.image, self.progress.stage))

    def info(self, ready: _Ready) -> RunInfo:
        return RunInfo(
            format=FORMAT,
            run=self.id,
            created=self.created,
            netbench=__version__,
            command=self.request.command,
            plan=self.plan,
            metrics={
                name: workloads.known()[name].metrics
                for name in dict.fromkeys(cell.workload for cell in self.plan.cells)
            },
            hosts=tuple(ready.facts.values()),
            image=ready.image.facts,
            shared_kernel=self.request.inventory.shared_kernel,
        )

    def guarded(
        self, fleet: Fleet, writer: RunWriter, info: RunInfo, ready: _Ready
    ) -> tuple[str, str, BaseException | None]:
        """Measure; whatever ends that becomes the run's outcome and message. A fault of netbench's
        own is handed back, to be raised once the hosts are clean."""
        try:
            self.measure(fleet, writer, info, ready)
        except KeyboardInterrupt:
            return "interrupted", "interrupted", None
        except NetbenchError as fault:
            return "failed", str(fault), None
        except BaseException as fault:  # noqa: BLE001 - raised again after clean-up
            return "failed", f"{type(fault).__name__}: {fault}", fault
        return "finished", "", None

    def measure(self, fleet: Fleet, writer: RunWriter, info: RunInfo, ready: _Ready) -> None:
        self.progress.stage("forming the swarm")
        addresses = {name: facts.data_address for name, facts in ready.facts.items()}
        swarm = form(fleet, addresses, self.id)
        self.progress.stage("deploying networks and services")
        names = tuple(dict.fromkeys(cell.driver for cell in self.plan.cells))
        order = Order(
            run=self.id,
            swarm=swarm,
            facts=ready.facts,
            site=replace(ready.site, swarm_elsewhere=swarm.elsewhere),
            image=ready.image.name,
            port_base=self.request.inventory.port_base,
        )
        deployment = deploy(fleet, order, drivers.chosen(names))
        networks = {name: dict(made) for name, made in deployment.networks.items()}
        writer.head(replace(info, networks=networks))
        self.progress.stage("trying every path")
        paths = dict.fromkeys(map(_path, self.plan.trials))
        broken = probe(fleet, deployment, paths)
        refuse_without_baseline(broken, paths)
        self.progress.begin(self.plan)
        self.first_trial = time.monotonic()
        trials = _Trials(fleet, writer, self.plan, deployment, broken)
        for planned in self.plan.trials:
            self.progress.starting(planned)
            trial = trials.run(planned)
            self.counts[trial.status] += 1
            if trial.status is not Status.SKIPPED:
                self.measuring += trial.tool
                self.warming += min(trial.tool, self.plan.warmup)
            self.progress.ended(trial)
            if trial.status is Status.FAILED:
                trials.recover(planned)

    def clean_up(self, fleet: Fleet, outcome: str, message: str) -> RunEnd:
        ended = time.monotonic()
        with _uninterrupted():
            self.progress.stage("cleaning up")
            outstanding = cleanup.clean(fleet, self.id).outstanding
        done = time.monotonic()
        return RunEnd(
            outcome=outcome,
            message=message,
            wall=done - self.begun,
            setup=(self.first_trial or ended) - self.begun,
            measuring=self.measuring,
            warming=self.warming,
            teardown=done - ended,
            outstanding=outstanding,
        )


class _Trials:
    """Executes trials one at a time and stores each as it ends."""

    def __init__(
        self,
        fleet: Fleet,
        writer: RunWriter,
        plan: Plan,
        deployment: Deployment,
        broken: Mapping[Path, str],
    ) -> None:
        self.fleet = fleet
        self.writer = writer
        self.plan = plan
        self.deployment = deployment
        self.broken = broken

    def run(self, planned: PlannedTrial) -> Trial:
        """One trial, stored. Raises HostUnreachable, after storing, where its host is lost."""
        trial = Trial(
            sequence=planned.sequence,
            block=planned.block,
            pair=planned.pair,
            cell=planned.cell,
            status=Status.SKIPPED,
            reason=self.deployment.unavailable.get(planned.cell.driver)
            or self.broken.get(_path(planned), ""),
            started=time.time(),
        )
        lost: HostUnreachable | None = None
        if not trial.reason:
            begun = time.monotonic()
            try:
                trial = self.measure(planned, trial)
            except StoreError:
                raise
            except NetbenchError as fault:
                elapsed = time.monotonic() - begun
                trial = replace(trial, status=Status.FAILED, reason=str(fault), elapsed=elapsed)
                lost = fault if isinstance(fault, HostUnreachable) else None
        self.writer.trial(trial)
        if lost is not None:
            raise lost
        return trial

    def measure(self, planned: PlannedTrial, trial: Trial) -> Trial:
        cell, pair = planned.cell, planned.pair
        workload = workloads.known()[cell.workload]
        address, port = self.deployment.endpoint(cell, pair, workload.port)
        engine = self.fleet[pair.client_for(cell.placement)].engine
        seconds, warmup = self.plan.duration, self.plan.warmup
        begun = time.monotonic()
        done = engine.exec(
            self.deployment.client(cell, pair).container_id,
            workload.client(address, port, seconds, warmup),
            timeout=seconds + warmup + GRACE,
        )
        tool = time.monotonic() - begun
        output = ToolOutput(done.exit_code, done.stdout, done.stderr)
        trial = replace(trial, raw=self.writer.raw(planned, output), tool=tool)
        try:
            measured = workload.parse(output)
        except ParseError as fault:
            elapsed = time.monotonic() - begun
            return replace(trial, status=Status.FAILED, reason=str(fault), elapsed=elapsed)
        return replace(
            trial,
            status=Status.COMPLETED,
            samples=measured.samples,
            intervals=measured.intervals,
            histogram=measured.histogram,
            elapsed=time.monotonic() - begun,
        )

    def recover(self, planned: PlannedTrial) -> None:
        """After a failure: start the server's commands afresh, and learn which containers run now.

        Raises HostUnreachable where the failure was that of a host.
        """
        server = self.deployment.server(planned.cell, planned.pair)

        def restart() -> None:
            engine = self.fleet[planned.pair.server].engine
            engine.exec(server.container_id, RESTART_SERVERS, timeout=5.0)

        def refresh() -> None:
            self.deployment = refreshed(self.deployment, self.fleet)

        for step in (restart, refresh):
            try:
                step()
            except HostUnreachable:
                raise
            except NetbenchError:
                # The next trial tells whether it mattered.
                continue


def _path(planned: PlannedTrial) -> Path:
    cell = planned.cell
    return Path(cell.driver, cell.access, cell.placement, planned.pair, cell.workload)


class _Heard:
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


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handling(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    """Handle the signals that end a program; one that is ignored already (nohup) stays so."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in mine:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


@contextmanager
def _interrupted_once(progress: Progress) -> Iterator[None]:
    """Once something may be on the hosts the first signal ends the run and the rest are ignored:
    what is being created is waited for, as only what is there can be found and removed."""

    def interrupt(_number: int, _frame: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        progress.stage("interrupted: finishing the step that is going on, then cleaning up")
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


def _uninterrupted() -> AbstractContextManager[None]:
    """Clean-up is bounded in time and is not cut short by an impatient Ctrl-C."""
    return _handling(signal.SIG_IGN)
