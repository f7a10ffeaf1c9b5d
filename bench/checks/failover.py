"""Failover: what a client with a steady rate of requests loses when a task or its node goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from bench import capability
from bench.checked import Figure, Finding, Report, Skipped
from bench.checks._faults import FAULTS, Fault, owns_nodes
from bench.checks._outage import PATIENCE, outage, parse, told
from bench.checks.base import Check
from bench.checks.dns import parse as parse_lookups
from bench.drivers.base import NetworkSpec
from bench.errors import HostUnreachable, NetbenchError, ParseError
from bench.model import Access
from bench.remote.api import Task
from bench.stage import Stage

# Requests a second, and for how many seconds in all: Swarm takes 15 s to miss a node, and a slow
# host as long to start a container elsewhere.
RATE, SECONDS = 20, 60
# How long all is well before the fault.
BEFORE = 5.0
POLL = 0.1


class Failover(Check):
    name = "failover"
    title = "what a client loses when a task or its node goes"
    takes = "about 5 min, 10 with --lab"

    def run(self, stage: Stage) -> Report:
        skipped = []
        accesses = [Access.DNS]
        lack = capability.lack(capability.OF_ACCESS[Access.VIP], stage.site.lacking)
        if lack:
            skipped.append(Skipped(Access.VIP, lack))
        else:
            accesses.append(Access.VIP)
        network = stage.network(
            "failover", NetworkSpec("overlay", "swarm", subnet=str(stage.site.overlay_subnet))
        )
        clients = [
            stage.service(f"client-{number}", network, ("sleep", "infinity"), host=host)
            for number, host in enumerate(stage.hosts, start=1)
        ]
        askers = {stage.host_of(tasks[0]): tasks[0] for tasks in stage.up(clients).values()}
        faults = []
        for fault in FAULTS:
            why = fault.why_not(stage)
            if why:
                skipped.append(Skipped(fault.words, why))
            else:
                faults.append(fault)
        findings: list[Finding] = []
        figures: list[Figure] = []
        for access in accesses:
            for fault in faults:
                group = f"{fault.words}, by {access}"
                stage.say(group)
                try:
                    finding, some = _Trial(stage, network, askers, access).tried(group, fault)
                except HostUnreachable:
                    raise
                except NetbenchError as error:
                    # The other faults are told all the same.
                    words = ("steady requests", "comes back", "not told")
                    finding, some = Finding(group, *words, f"{group}: {error}"), []
                findings.append(finding)
                figures += some
        return Report(tuple(findings), tuple(figures), tuple(skipped))


class _Trial:
    """One fault, while a client on another host asks (on the same where there is no other)."""

    def __init__(
        self, stage: Stage, network: str, askers: Mapping[str, Task], access: Access
    ) -> None:
        self.stage = stage
        self.network = network
        self.access = access
        mode = "vip" if access is Access.VIP else "dnsrr"
        name = f"target-{access}-{len(stage.raw)}"
        self.spec = stage.service(name, network, stage.answering(), mode=mode)
        self.task = self.placed()
        host = stage.host_of(self.task)
        self.asker = next((one for at, one in askers.items() if at != host), askers[host])

    def placed(self) -> Task:
        """The one task, on a host that is not the manager's where there is one and the swarm is our
        own: the manager is needed to see what becomes of it."""
        stage = self.stage
        ours = owns_nodes(stage)
        manager = stage.swarm.node_ids[stage.swarm.manager]
        if ours:
            stage.manager.engine.set_availability(manager, "pause")
        try:
            (task,) = stage.up([self.spec])[self.spec.name]
        finally:
            if ours:
                stage.manager.engine.set_availability(manager, "active")
        return task

    def tried(self, group: str, fault: Fault) -> tuple[Finding, list[Figure]]:
        stage, name, port = self.stage, self.spec.name, str(self.stage.port)
        stage.answer(self.asker, "netbench-ask", "first", "30", name, port)
        ahead = _ahead(stage, self.asker)
        argv = ("netbench-ask", "beat", *map(str, (RATE, SECONDS, PATIENCE)), name, port)
        with ThreadPoolExecutor(max_workers=1) as pool:
            beating = pool.submit(
                stage.answer, self.asker, *argv, within=SECONDS + 60.0, about=f"beat {fault.words}"
            )
            time.sleep(BEFORE)
            at = time.time()
            try:
                fault.begin(stage, self.task)
                replaced, right = self.followed(at)
                beats = parse(beating.result())
            finally:
                # Whatever happened: no node is to stay away.
                fault.end(stage, self.task)
        stage.remove(self.spec)
        seen = outage(beats, at + ahead)
        return told(group, seen, replaced, right, within=SECONDS - BEFORE)

    def followed(self, at: float) -> tuple[float | None, float | None]:
        """Seconds from the fault until Swarm runs the replacement, and until the name is right;
        None where that did not come about while requests were sent."""
        until = at + SECONDS - BEFORE
        while time.time() < until:
            found = [
                one
                for one in self.stage.tasks().get(self.spec.name, ())
                if one.task_id != self.task.task_id
            ]
            if found:
                replaced = time.time() - at
                (new,) = self.stage.addressed(found[:1])
                return replaced, self.right(new, at, until)
            time.sleep(POLL)
        return None, None

    def right(self, new: Task, at: float, until: float) -> float | None:
        """Seconds from the fault until the name stands for the replacement alone."""
        # Behind a virtual address the name stays; `tasks.` names tell who is behind it.
        name = self.spec.name
        argv = (
            "netbench-ask",
            "lookup",
            "1",
            f"tasks.{name}" if self.access is Access.VIP else name,
        )
        while time.time() < until:
            (seen,) = parse_lookups(self.stage.answer(self.asker, *argv, about="lookup"))
            if seen.addresses == (new.addresses[self.network],):
                return time.time() - at
            time.sleep(POLL)
        return None


def _ahead(stage: Stage, asker: Task) -> float:
    """How far the client's clock is ahead of this machine's, in seconds, within half the time that
    asking takes."""
    before = time.time()
    said = stage.answer(asker, "date", "+%s.%N", about="clock").strip()
    after = time.time()
    try:
        return float(said) - (before + after) / 2
    except ValueError as error:
        raise ParseError(f"`date` said {said!r:.60}") from error


CHECK = Failover()
