"""The only loop: from a plan to a stored run, and every host as it was before.

Whatever ends a run (its last block, Ctrl-C, a lost host, a fault) goes the same way out: what was
created is removed, what was measured stays, and ``end.json`` says what happened.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath

from bench import __version__, cleanup, drivers, workloads
from bench.calibration import calibrate
from bench.deploy import deploy
from bench.deployment import Deployment, Order
from bench.errors import NetbenchError, StoreError
from bench.gauges.attest import Attestor
from bench.gauges.picture import pictures
from bench.gauges.settings import path_facts
from bench.gauges.way import Way
from bench.isolation import prove, summary
from bench.model import (
    Checkout,
    Inventory,
    Plan,
    PlannedTrial,
    RunEnd,
    RunInfo,
    Status,
    Trial,
)
from bench.plan import calibrations, round_of
from bench.preparation import Ready, prepare
from bench.probe import Path, probe, refuse_without_baseline
from bench.remote.fleet import Fleet
from bench.signals import interrupted_once, uninterrupted
from bench.stopping import Rule
from bench.store import FORMAT, RunWriter, claim
from bench.swarm import form
from bench.trials import Trials, path_of
from bench.watch import Heard, Progress, Standing
from bench.workloads.base import Span


@dataclass(frozen=True, slots=True)
class Request:
    """What to run and where to keep it: ``name`` is the run's folder below ``out``, by default the
    run's id; ``image`` a toolbox image of the user's own registry; ``command``, ``note`` and
    ``checkout`` for the record. Without ``measures`` every path is built, found and tried, and no
    trial is run. ``visit`` is called once, when all stands and its paths were tried and before
    anything is measured; what it raises ends the run."""

    inventory: Inventory
    plan: Plan
    out: FilePath
    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] = ()
    note: str = ""
    checkout: Checkout | None = None
    measures: bool = True
    visit: Callable[[Fleet, Deployment], None] | None = None


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


class _Run:
    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.plan = request.plan
        self.progress = Heard(progress)
        now = datetime.now(UTC)
        self.id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.created = now.isoformat(timespec="seconds")
        self.begun = time.monotonic()
        self.first_trial: float | None = None
        self.counts = dict.fromkeys(Status, 0)
        self.blocks = 0
        self.measuring = 0.0
        self.warming = 0.0
        self.reading = 0.0

    def execute(self, connect: Callable[[], Fleet]) -> Outcome:
        path = self.request.out / (self.request.name or self.id)
        claim(path)
        self.progress.stage("connecting")
        with connect() as fleet:
            ready = prepare(
                fleet,
                self.request.inventory,
                self.plan,
                self.request.image,
                self.progress.stage,
            )
            info = self.info(ready)
            with closing(RunWriter(path, info)) as writer, interrupted_once(self.progress.stage):
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

    def info(self, ready: Ready) -> RunInfo:
        names = dict.fromkeys(cell.workload for cell in self.plan.cells)
        known = {name: workloads.named(name) for name in names}
        return RunInfo(
            format=FORMAT,
            run=self.id,
            created=self.created,
            netbench=__version__,
            command=self.request.command,
            plan=self.plan,
            metrics={name: one.metrics for name, one in known.items()},
            hosts=tuple(ready.facts.values()),
            image=ready.image.facts,
            shared_kernel=self.request.inventory.shared_kernel,
            working={name: self.span_of(name).seconds for name in known},
            underlay=ready.underlay,
            note=self.request.note,
            checkout=self.request.checkout,
        )

    def guarded(
        self, fleet: Fleet, writer: RunWriter, info: RunInfo, ready: Ready
    ) -> tuple[str, str, BaseException | None]:
        """Measure; whatever ends that becomes the run's outcome and message. A fault of netbench's
        own is handed back, to be raised once the hosts are clean."""
        try:
            message = self.measure(fleet, writer, info, ready)
        except KeyboardInterrupt:
            return "interrupted", "interrupted", None
        except NetbenchError as fault:
            return "failed", str(fault), None
        except BaseException as fault:  # noqa: BLE001 - raised again after clean-up
            return "failed", f"{type(fault).__name__}: {fault}", fault
        return "finished", message, None

    def measure(self, fleet: Fleet, writer: RunWriter, info: RunInfo, ready: Ready) -> str:
        """Set everything up and run the blocks; returns why they ended, if not all planned ran."""
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
            cells=self.plan.cells,
        )
        deployment = deploy(fleet, order, drivers.chosen(names))
        networks = {name: dict(made) for name, made in deployment.networks.items()}
        attestor = Attestor(fleet, deployment)
        attestor.prepare(self.plan)
        writer.head(replace(info, networks=networks))
        self.progress.stage("trying every path")
        paths = dict.fromkeys(map(path_of, round_of(self.plan)))
        processors = {name: facts.cpus for name, facts in ready.facts.items()}
        broken = probe(fleet, deployment, paths, ready.underlay, processors)
        refuse_without_baseline(broken, paths)
        networks |= self.prove_isolation(fleet, deployment, broken)
        settings, publishers = path_facts(fleet, attestor.locator, self.plan)
        shown = pictures(fleet, attestor.locator, self.plan, _by_way(broken))
        told = tuple(replace(one, publishing=publishers.get(one.name, "")) for one in info.hosts)
        info = replace(info, hosts=told, networks=networks, paths=settings, pictures=shown)
        writer.head(info)
        if self.request.visit is not None:
            self.request.visit(fleet, deployment)
        if not self.request.measures:
            return "the paths were found, and nothing was to be measured"
        self.progress.begin(self.plan)
        self.first_trial = time.monotonic()
        rule = Rule(self.plan, info.metrics)
        note = self.progress.stage
        trials = Trials(
            fleet, writer, info, deployment, broken=broken, attestor=attestor, note=note
        )
        if calibrations(self.plan):
            found = calibrate(trials)
            info = replace(info, reached=found)
            writer.head(info)
            trials.reached = info.slowest_of_each()
        self.run_blocks(trials, rule)
        return rule.reason(self.blocks)

    def prove_isolation(
        self, fleet: Fleet, deployment: Deployment, broken: dict[Path, str]
    ) -> dict[str, dict[str, str]]:
        """See to it that drivers which are to have no network have none; returns their networks'
        record with what was found, and notes paths of containers that are not alone as broken."""
        found = {}
        for name in dict.fromkeys(cell.driver for cell in self.plan.cells):
            if drivers.known()[name].shares_namespace and name not in deployment.unavailable:
                proofs = prove(fleet, deployment, name)
                found[name] = {**deployment.networks[name], "isolation": summary(proofs)}
                for planned in round_of(self.plan):
                    proof = proofs[planned.pair.server]
                    if planned.cell.driver == name and proof.complaint:
                        broken[path_of(planned)] = proof.complaint
        return found

    def run_blocks(self, trials: Trials, rule: Rule) -> None:
        for block in range(self.plan.blocks):
            due = rule.due(block)
            if not due or not rule.fits(due, self.spent()):
                return
            self.blocks += 1
            self.tell_standing(rule, block, len(due))
            for planned in due:
                # A block that took longer than those before it must not break the budget either.
                if not rule.fits((planned,), self.spent()):
                    break
                begun = time.monotonic()
                trial = self.run_trial(trials, planned)
                rule.ended(trial, time.monotonic() - begun)
            rule.judge()

    def run_trial(self, trials: Trials, planned: PlannedTrial) -> Trial:
        self.progress.starting(planned)
        trial = trials.run(planned)
        self.reading = trials.reading
        self.counts[trial.status] += 1
        if trial.status is not Status.SKIPPED:
            self.measuring += trial.tool
            self.warming += min(trial.tool, self.span_of(planned.cell.workload).warmup)
        self.progress.ended(trial)
        if trial.status is Status.FAILED:
            trials.recover(planned)
        return trial

    def span_of(self, workload: str) -> Span:
        """How long the tool of each of a workload's trials is at work."""
        return workloads.named(workload).span(self.plan.duration, self.plan.warmup)

    def tell_standing(self, rule: Rule, block: int, trials: int) -> None:
        stopping = self.plan.stopping
        if stopping is not None:
            settled = None if stopping.target is None else len(rule.settled)
            left = max(0.0, stopping.budget - self.spent())
            self.progress.standing(Standing(block, trials, settled, len(rule.followed), left))

    def spent(self) -> float:
        """Seconds of wall time since the run began."""
        return time.monotonic() - self.begun

    def clean_up(self, fleet: Fleet, outcome: str, message: str) -> RunEnd:
        ended = time.monotonic()
        with uninterrupted():
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
            blocks=self.blocks,
            reading=self.reading,
        )


def _by_way(broken: Mapping[Path, str]) -> dict[Way, str]:
    """Why ways do not work, whatever the workload."""
    return {
        Way(one.driver, one.access, one.placement, one.pair): why for one, why in broken.items()
    }
