"""Executing trials, one at a time, each stored as it ends.

A trial is: hold the two containers to their CPUs, read both hosts' counters, execute the tool, read
them again, parse what the tool printed, and hold the counters against the path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from bench import pinning, workloads
from bench.deployment import Deployment
from bench.errors import HostUnreachable, NetbenchError, ParseError, StoreError
from bench.gauges.around import Around, Before, Gauges
from bench.gauges.attest import Attestor
from bench.gauges.use import busy
from bench.holding import Holder
from bench.model import EndUse, Measurement, PlannedTrial, RunInfo, Sample, Status, Trial
from bench.probe import Path, patiently
from bench.remote.fleet import Fleet
from bench.store import RunWriter
from bench.tasks import refreshed
from bench.workloads.base import ToolOutput, Workload

# Beyond its own time, how long a tool may take to connect, to end and to report (seconds).
GRACE = 10.0
# The supervisor that is process 1 of a server's container starts its commands afresh on HUP.
RESTART_SERVERS = ("sh", "-c", "kill -HUP 1")


def path_of(planned: PlannedTrial) -> Path:
    """The path that a trial takes."""
    cell = planned.cell
    return Path(cell.driver, cell.access, cell.placement, planned.pair, cell.workload)


class Trials:
    """Executes trials one at a time and stores each as it ends.

    ``info`` is the run's head: its plan, what its hosts have, whether they share a kernel. The
    ``attestor`` knows the deployment's paths. ``note``
    hears, once each, what a trial goes on without: a host that cannot be read, CPUs that an engine
    will not hold a container to.
    """

    def __init__(
        self,
        fleet: Fleet,
        writer: RunWriter,
        info: RunInfo,
        deployment: Deployment,
        *,
        broken: Mapping[Path, str],
        attestor: Attestor,
        note: Callable[[str], None],
    ) -> None:
        self.fleet = fleet
        self.writer = writer
        self.plan = info.plan
        self.shared_kernel = info.shared_kernel
        self.deployment = deployment
        self.broken = broken
        self.attestor = attestor
        self.gauges = Gauges(fleet, attestor, note)
        self.holder = Holder(
            fleet,
            pinning.parse(self.plan.pin),
            {facts.name: facts.cpus for facts in info.hosts},
            shared_kernel=info.shared_kernel,
            note=note,
        )

    @property
    def reading(self) -> float:
        """Seconds that reading the hosts around the trials has taken so far."""
        return self.gauges.seconds

    def run(self, planned: PlannedTrial) -> Trial:
        """One trial, stored. Raises HostUnreachable, after storing, where its host is lost."""
        trial = Trial(
            sequence=planned.sequence,
            block=planned.block,
            pair=planned.pair,
            cell=planned.cell,
            status=Status.SKIPPED,
            reason=self.deployment.why_not(
                planned.cell.driver, planned.cell.access, planned.cell.placement
            )
            or self.broken.get(path_of(planned), ""),
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
        begun = time.monotonic()
        engine = self.fleet[pair.client_for(cell.placement)].engine
        held, before = self.made_ready(planned)
        if before.outdated:
            # Swarm has replaced a container: the new one is held to its CPUs as the old one was.
            # (On the host's own network no process is read, and it goes unseen.)
            self.refresh()
            held, before = self.made_ready(planned)
        address, port = self.deployment.endpoint(cell, pair, workload.port)
        started = time.monotonic()
        done = engine.exec(
            self.deployment.client(cell, pair).container_id,
            workload.client(address, port, self.plan.duration, self.plan.warmup),
            timeout=workload.span(self.plan.duration, self.plan.warmup).seconds + GRACE,
        )
        tool = time.monotonic() - started
        around = self.gauges.after(before)
        output = ToolOutput(done.exit_code, done.stdout, done.stderr)
        trial = replace(
            trial, raw=self.writer.raw(planned, output), tool=tool, ends=around.ends(*held)
        )
        try:
            trial = self.judged(trial, workload, workload.parse(output), around)
        except ParseError as fault:
            trial = replace(trial, status=Status.FAILED, reason=str(fault))
        return replace(trial, elapsed=time.monotonic() - begun)

    def made_ready(self, planned: PlannedTrial) -> tuple[tuple[str, str], Before]:
        """Hold both ends to their CPUs and read their hosts; returns the CPUs and what was read."""
        cell, pair = planned.cell, planned.pair
        client, server = self.deployment.client(cell, pair), self.deployment.server(cell, pair)
        held = self.holder.hold(cell, pair, client, server)
        return held, self.gauges.before(cell, pair)

    def refresh(self) -> None:
        """Learn which containers run now."""
        self.deployment = refreshed(self.deployment, self.fleet)
        self.attestor.renew(self.deployment)

    def judged(
        self, trial: Trial, workload: Workload, measured: Measurement, around: Around
    ) -> Trial:
        """The trial with what was measured, or failed where the bytes did not take its path."""
        attested = self.gauges.attest(around, measured.payload)
        trial = replace(trial, path=attested.passages, unattested=attested.unattested)
        if attested.complaint:
            reason = f"path not taken: {attested.complaint}"
            return replace(trial, status=Status.FAILED, reason=reason)
        return replace(
            trial,
            status=Status.COMPLETED,
            samples=(*measured.samples, *self.cost(workload, measured, trial.ends)),
            intervals=measured.intervals,
            histogram=measured.histogram,
        )

    def cost(
        self, workload: Workload, measured: Measurement, ends: tuple[EndUse, ...]
    ) -> Iterator[Sample]:
        """The CPU time of a unit of work, where both ends' hosts could be read."""
        cost = workload.cost
        work = measured.work
        if work is None:
            rate = next(one.value for one in measured.samples if one.metric == cost.rate)
            work = rate * workload.span(self.plan.duration, self.plan.warmup).seconds
        spent = busy(ends, shared_kernel=self.shared_kernel)
        if spent > 0:
            yield Sample(cost.metric.name, cost.value(spent, work))

    def recover(self, planned: PlannedTrial) -> None:
        """After a failure: start the server's commands afresh, learn which containers run now, and
        wait until that server answers again, so that no other trial fails for this one's sake.

        Raises HostUnreachable where the failure was that of a host.
        """
        server = self.deployment.server(planned.cell, planned.pair)

        def restart() -> None:
            engine = self.fleet[planned.pair.server].engine
            engine.exec(server.container_id, RESTART_SERVERS, timeout=5.0)

        def settle() -> None:
            for name in dict.fromkeys(cell.workload for cell in self.plan.cells):
                path = replace(path_of(planned), workload=name)
                if path not in self.broken and patiently(self.fleet, self.deployment, path):
                    # It stays down: the others' way is the same, and each would be waited for.
                    return

        for step in (restart, self.refresh, settle):
            try:
                step()
            except HostUnreachable:
                raise
            except NetbenchError:
                # The next trial tells whether it mattered.
                continue
