"""DNS: what a lookup in Docker's embedded resolver takes, and whether its answers are right."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.checked import Figure, Finding, Report
from bench.checks.base import Check
from bench.drivers.base import NetworkSpec
from bench.errors import ParseError
from bench.remote.api import ServiceSpec, Task
from bench.stage import Stage

LOOKUPS = 200
# Of a name that does not exist Docker asks the host's resolvers, which may take seconds each.
FEW = 20
PERCENTILES = (50, 90, 99)
# How many tasks there are before and after scaling down.
TASKS, FEWER = 4, 2
SETTLED_WITHIN = 30.0
POLL = 0.5
# In the client's hosts file: the same address as the container's name has.
IN_FILE = "netbench-in-hosts-file"
NOBODY = "netbench-nobody"


@dataclass(frozen=True, slots=True)
class Lookup:
    """One lookup: how long it took in seconds, and the addresses in the resolver's order."""

    seconds: float
    addresses: tuple[str, ...]


def parse(text: str) -> list[Lookup]:
    """What `netbench-ask lookup` printed. Raises ParseError for anything else, and for nothing."""
    found = []
    for line in text.splitlines():
        micros, _, told = line.partition(" ")
        if not (micros.isascii() and micros.isdigit()) or not told:
            raise ParseError(f"netbench-ask lookup said {line!r:.80}")
        found.append(Lookup(int(micros) / 1e6, () if told == "-" else tuple(told.split(","))))
    if not found:
        raise ParseError("netbench-ask lookup said nothing")
    return found


def figures(of: str, lookups: Sequence[Lookup]) -> list[Figure]:
    """The percentiles of how long lookups took."""
    taken = np.array([one.seconds for one in lookups])
    return [
        Figure(of, f"p{at}", float(np.percentile(taken, at, method="inverted_cdf")), "s")
        for at in PERCENTILES
    ]


def compared(group: str, name: str, wanted: Sequence[str], lookups: Sequence[Lookup]) -> Finding:
    """Whether every lookup gave all the addresses that it must, and no other."""
    expected = sorted(wanted)
    wrong = [one for one in lookups if sorted(one.addresses) != expected]
    told = ", ".join(expected) or "no address"
    if not wrong:
        return Finding(group, name, told, f"in {len(lookups)} lookups")
    found = ", ".join(sorted(wrong[0].addresses)) or "no address"
    said = f"{len(wrong)} of {len(lookups)} lookups of {name} gave {found}"
    return Finding(group, name, told, found, f"{said}, where {told} is expected ({group})")


class Dns(Check):
    name = "dns"
    title = "what a lookup takes, and whether it is right"
    takes = "about 1 min"

    def run(self, stage: Stage) -> Report:
        subnet = str(stage.site.overlay_subnet)
        network = stage.network("dns", NetworkSpec("overlay", "swarm", subnet=subnet))
        client = stage.service("client", network, ("sleep", "infinity"), host=stage.hosts[0])
        many, one, shared = (
            stage.service(
                label, network, stage.answering(), replicas=replicas, mode=mode, host=host
            )
            for label, replicas, mode, host in (
                ("many", TASKS, "dnsrr", ""),
                ("one", 1, "dnsrr", stage.hosts[-1]),
                ("shared", TASKS, "vip", ""),
            )
        )
        running = stage.up([client, many, one, shared])
        (asker,), (single,) = running[client.name], running[one.name]
        address = single.addresses[network]
        named = {
            "service name, one task": (one.name, (address,)),
            f"service name, {TASKS} tasks": (many.name, _at(running[many.name], network)),
            "tasks. name": (f"tasks.{many.name}", _at(running[many.name], network)),
            "tasks. name of a vip service": (
                f"tasks.{shared.name}",
                _at(running[shared.name], network),
            ),
            "container name": (single.container_name, (address,)),
            "a name that does not exist": (NOBODY, ()),
            "the hosts file": (IN_FILE, (address,)),
        }
        line = f"{address} {IN_FILE}"
        stage.answer(asker, "sh", "-c", f"echo '{line}' >> /etc/hosts", about="hosts file")
        findings, told = [], []
        for label, (name, wanted) in named.items():
            count = FEW if name == NOBODY else LOOKUPS
            lookups, finding = _settled(
                stage, asker, count=count, label=label, name=name, wanted=wanted
            )
            findings.append(finding)
            told += figures(label, lookups)
        virtual = _lookups(stage, asker, 1, shared.name)[0].addresses
        findings.append(_virtual(shared.name, virtual, _at(running[shared.name], network)))
        findings += _scaled_down(stage, asker, network, many)
        return Report(tuple(findings), tuple(told))


def _at(tasks: Sequence[Task], network: str) -> tuple[str, ...]:
    return tuple(task.addresses[network] for task in tasks)


def _lookups(stage: Stage, asker: Task, count: int, name: str) -> list[Lookup]:
    argv = ("netbench-ask", "lookup", str(count), name)
    return parse(stage.answer(asker, *argv, within=300.0, about=f"lookup {name}"))


def _settled(
    stage: Stage, asker: Task, *, count: int, label: str, name: str, wanted: Sequence[str]
) -> tuple[list[Lookup], Finding]:
    """Lookups of a name, from the first right answer on; if none comes, as they are."""
    deadline = time.monotonic() + SETTLED_WITHIN
    while time.monotonic() < deadline:
        (first,) = _lookups(stage, asker, 1, name)
        if sorted(first.addresses) == sorted(wanted):
            break
        time.sleep(POLL)
    lookups = _lookups(stage, asker, count, name)
    return lookups, compared(label, name, wanted, lookups)


def _virtual(name: str, found: Sequence[str], tasks: Sequence[str]) -> Finding:
    """A service in mode vip has one address, and that is none of its tasks'."""
    good = len(found) == 1 and not set(found) & set(tasks)
    told = ", ".join(found) or "no address"
    return Finding(
        "service name of a vip service",
        name,
        "one address, of no task",
        told,
        "" if good else f"{name} is in mode vip and its name gives {told}",
    )


def _scaled_down(stage: Stage, asker: Task, network: str, many: ServiceSpec) -> list[Finding]:
    """Whether names forget the tasks that are gone, and how long that takes."""
    stage.manager.engine.scale_service(stage.services[many.name], FEWER)
    left: Mapping[str, Sequence[Task]] = stage.running({many.name: FEWER})
    wanted = _at(left[many.name], network)
    group = f"scaled down from {TASKS} to {FEWER} tasks"
    return [
        _settled(stage, asker, count=LOOKUPS, label=group, name=name, wanted=wanted)[1]
        for name in (many.name, f"tasks.{many.name}")
    ]


CHECK = Dns()
