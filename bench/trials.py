"""Executing trials, one at a time, each stored as it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from bench import workloads
from bench.deploy import Deployment, refreshed
from bench.errors import HostUnreachable, NetbenchError, ParseError, StoreError
from bench.model import Plan, PlannedTrial, Status, Trial
from bench.probe import Path
from bench.remote.fleet import Fleet
from bench.store import RunWriter
from bench.workloads.base import ToolOutput

# Beyond its own time, how long a tool may take to connect, to end and to report (seconds).
GRACE = 10.0
# The supervisor that is process 1 of a server's container starts its commands afresh on HUP.
RESTART_SERVERS = ("sh", "-c", "kill -HUP 1")


def path_of(planned: PlannedTrial) -> Path:
    """The path that a trial takes."""
    cell = planned.cell
    return Path(cell.driver, cell.access, cell.placement, planned.pair, cell.workload)


class Trials:
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
