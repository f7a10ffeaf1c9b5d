"""The only loop: from a plan to a stored run, and every host as it was before.

Whatever ends a run (its last block, Ctrl-C, a lost host, a fault) goes the same way out: what was
created is removed, what was measured stays, and ``end.json`` says what happened.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Protocol

from bench import __version__, cleanup, drivers, workloads
from bench.deploy import Deployment, Order, choose_site, deploy, refreshed
from bench.drivers.base import Site
from bench.errors import EngineError, HostUnreachable, NetbenchError, ParseError, StoreError
from bench.facts import gather, networks_in_use
from bench.images import ship
from bench.model import (
    HostFacts,
    ImageFacts,
    Inventory,
    Plan,
    PlannedTrial,
    RunEnd,
    RunInfo,
    Status,
    Trial,
)
from bench.probe import Path, probe
from bench.remote.fleet import Fleet
from bench.store import FORMAT, RunWriter, refuse_existing
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
    image: ImageFacts


class _Run:
    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.plan = request.plan
        self.progress = progress
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
        refuse_existing(path)
        self.progress.stage("connecting")
        with connect() as fleet:
            ready = self.prepare(fleet)
            info = self.info(ready)
            with closing(RunWriter(path, info)) as writer:
                outcome, message, crash = self.guarded(fleet, writer, info, ready)
                end = self.clean_up(fleet, outcome, message)
                try:
                    writer.end(end)
                except StoreError as fault:
                    # Said beside what ended the run, never instead of it.
                    end = replace(end, outcome="failed", message=f"{end.message}; {fault}")
        if crash is not None:
            raise crash
        return Outcome(path, end, self.counts)

    def prepare(self, fleet: Fleet) -> _Ready:
        self.progress.stage("reading the hosts' facts")
        facts = fleet.each(gather)
        in_use = fleet.each(networks_in_use)
        site = choose_site(
            facts.values(),
            [network for networks in in_use.values() for network in networks],
            self.request.inventory.macvlan_subnet,
        )
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
            image=ready.image,
            shared_kernel=self.request.inventory.shared_kernel,
        )

    def guarded(
        self, fleet: Fleet, writer: RunWriter, info: RunInfo, ready: _Ready
    ) -> tuple[str, str, Exception | None]:
        """Measure; whatever ends that becomes the run's outcome and message. A fault of netbench's
        own is handed back, to be raised once the hosts are clean."""
        try:
            self.measure(fleet, writer, info, ready)
        except KeyboardInterrupt:
            return "interrupted", "interrupted", None
        except NetbenchError as fault:
            return "failed", str(fault), None
        except Exception as fault:  # noqa: BLE001 - raised again after clean-up
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
            site=ready.site,
            image=ready.image.reference,
            port_base=self.request.inventory.port_base,
        )
        deployment = deploy(fleet, order, drivers.chosen(names))
        networks = {name: dict(made) for name, made in deployment.networks.items()}
        writer.head(replace(info, networks=networks))
        self.progress.stage("trying every path")
        paths = dict.fromkeys(map(_path, self.plan.trials))
        broken = probe(fleet, deployment, paths)
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
        self.progress.stage("cleaning up")
        with _uninterrupted():
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
        with suppress(EngineError):
            engine = self.fleet[planned.pair.server].engine
            engine.exec(server.container_id, RESTART_SERVERS, timeout=5.0)
        with suppress(EngineError):
            self.deployment = refreshed(self.deployment, self.fleet)


def _path(planned: PlannedTrial) -> Path:
    cell = planned.cell
    return Path(cell.driver, cell.access, cell.placement, planned.pair)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Clean-up is bounded in time and is not cut short by an impatient Ctrl-C."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
