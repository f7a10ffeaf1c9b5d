"""Isolation: who reaches whom, by what, against who may; and what can be read on the underlay."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bench import capability
from bench.capability import Capability
from bench.checked import Finding, Report, Skipped
from bench.checks._reach import Kind, Net, Spot, Try, judged, own_hosts, parse, tries, wanting
from bench.checks.base import Check
from bench.drivers.base import NetworkSpec
from bench.errors import ParseError
from bench.remote.api import ServiceSpec, Task
from bench.stage import Stage

HOST = Net("host", Kind.HOST)
TENANT_A, TENANT_B = Net("tenant-a", Kind.OVERLAY), Net("tenant-b", Kind.OVERLAY)
NETS = (
    Net("bridge-a", Kind.BRIDGE),
    Net("bridge-b", Kind.BRIDGE),
    Net("bridge-internal", Kind.BRIDGE, internal=True),
    TENANT_A,
    TENANT_B,
    Net("overlay-internal", Kind.OVERLAY, internal=True),
)
ENCRYPTED = Net("encrypted", Kind.OVERLAY)
BOTH = "both-tenants"

# For how long what should work is tried again, and how long one try may take (seconds).
SETTLED_WITHIN = 40.0
PATIENCE = 4
# The capture: how long, when in it the datagrams are sent, and how many.
LOOKS, BEFORE, SAID = 7, 3.0, 50
_SEEN = re.compile(r"packets (\d+) esp (\d+) vxlan (\d+) readable (\d+)")


class Isolation(Check):
    name = "isolation"
    title = "who reaches whom, by what, against who may"
    takes = "about 2 min"

    def run(self, stage: Stage) -> Report:
        skipped = []
        nets = list(NETS)
        lack = capability.lack({Capability.ESP}, stage.site.lacking)
        if lack:
            skipped.append(Skipped("an encrypted overlay, and what of it can be read", lack))
        else:
            nets.append(ENCRYPTED)
        full = {net.name: stage.network(net.name, spec) for net, spec in _specs(stage, nets)}
        spots, tasks = _spots(stage, nets, full)
        findings = [finding for spot in _matrix(stage, spots, tasks) for finding in spot]
        findings += _control(spots, findings, planted=stage.plant_leak)
        if len(stage.hosts) < 2:
            skipped.append(Skipped("what can be read between hosts", "there is one host"))
        else:
            findings += _underlay(
                stage, [net for net in (TENANT_A, ENCRYPTED) if net in nets], tasks
            )
        return Report(tuple(findings), skipped=tuple(skipped), notes=tuple(own_hosts(findings)))


def _specs(stage: Stage, nets: Sequence[Net]) -> list[tuple[Net, NetworkSpec]]:
    """The networks: overlays numbered from what no host uses, bridges by their engines."""
    free = stage.site.overlay_subnet.subnets(new_prefix=26)
    mtu = stage.site.mtu_option()
    found = []
    for net in nets:
        if net.kind is Kind.BRIDGE:
            found.append((net, NetworkSpec("bridge", "swarm", mtu, internal=net.internal)))
            continue
        subnet = stage.site.encrypted_subnet if net == ENCRYPTED else next(free)
        options = {**mtu, "encrypted": ""} if net == ENCRYPTED else mtu
        spec = NetworkSpec("overlay", "swarm", options, subnet=str(subnet), internal=net.internal)
        found.append((net, spec))
    return found


def _spots(
    stage: Stage, nets: Sequence[Net], full: Mapping[str, str]
) -> tuple[list[Spot], dict[Spot, Task]]:
    """A container on each network on each host, and one on the first that is on both tenants'."""
    wanted: list[tuple[str, str, tuple[Net, ...], ServiceSpec]] = []
    for number, host in enumerate(stage.hosts, start=1):
        bind = stage.facts[host].data_address
        spec = stage.service(f"host-{number}", "host", stage.answering(bind), host=host)
        wanted.append(("host", host, (HOST,), spec))
        for net in nets:
            spec = stage.service(
                f"{net.name}-{number}", full[net.name], stage.answering(), host=host
            )
            wanted.append((net.name, host, (net,), spec))
    first = stage.hosts[0]
    a, b = full[TENANT_A.name], full[TENANT_B.name]
    spec = stage.service(BOTH, a, stage.answering(), host=first, also=(b,))
    # A planted leak is said to be tenant a's and is on b's network too.
    mine = (TENANT_A,) if stage.plant_leak else (TENANT_A, TENANT_B)
    wanted.append((BOTH, first, mine, spec))
    running = stage.up([spec for *_, spec in wanted])
    spots: dict[Spot, Task] = {}
    for label, host, own, spec in wanted:
        (task,) = running[spec.name]
        at = {net.name: task.addresses[full[net.name]] for net in own if net.kind != Kind.HOST}
        if HOST in own:
            at = {HOST.name: stage.facts[host].data_address}
        named = {Kind.BRIDGE: task.container_name, Kind.OVERLAY: spec.name, Kind.HOST: ""}
        spots[Spot(label, host, own, spec.name, at, named[own[0].kind])] = task
    return list(spots), spots


def _matrix(stage: Stage, spots: Sequence[Spot], tasks: Mapping[Spot, Task]) -> list[list[Finding]]:
    """Every field of the matrix, tried: several sources at a time, each all of its targets."""
    every = list(tries(spots))
    stage.say(f"trying {len(every)} ways between {len(spots)} containers")

    def row(spot: Spot) -> list[Finding]:
        mine = [one for one in every if one.source == spot]
        found = _tried(stage, tasks[spot], mine)
        deadline = time.monotonic() + SETTLED_WITHIN
        while (late := wanting(mine, found)) and time.monotonic() < deadline:
            time.sleep(0.5)
            found |= _tried(stage, tasks[spot], late)
        return [judged(one, found[one]) for one in mine]

    with ThreadPoolExecutor(max_workers=3) as pool:
        return list(pool.map(row, spots))


def _tried(stage: Stage, task: Task, some: Sequence[Try]) -> dict[Try, tuple[bool, str]]:
    words = {one: one.words(stage.port) for one in some}
    argv = ("netbench-ask", "reach", str(PATIENCE), *dict.fromkeys(words.values()))
    found = parse(stage.answer(task, *argv, within=PATIENCE + 60.0, about="reach"))
    missing = [target for target in words.values() if target not in found]
    if missing:
        raise ParseError(f"netbench-ask said nothing of {missing[0]}")
    return {one: found[target] for one, target in words.items()}


def _control(spots: Sequence[Spot], findings: Sequence[Finding], *, planted: bool) -> list[Finding]:
    """That this check can see a leak: the container on both tenants' networks, which is one on
    purpose, must have been seen to reach both."""
    if planted:
        return []
    seen = {
        finding.group
        for finding in findings
        if finding.group.startswith(f"{BOTH} -> ") and finding.found == "reached"
    }
    wanted = {f"{BOTH} -> {net.name}" for net in (TENANT_A, TENANT_B)}
    blind = "" if wanted <= seen else "a container on both tenants' networks was not seen on both"
    return [
        Finding(
            "control",
            f"a container that is on both tenants' networks ({len(spots)} containers in all)",
            "seen to reach both",
            ", ".join(sorted(seen)) or "reaches neither",
            f"this check is blind: {blind}" if blind else "",
        )
    ]


def _underlay(stage: Stage, nets: Sequence[Net], tasks: Mapping[Spot, Task]) -> list[Finding]:
    """What the first host's interfaces carry while a container sends to one of the second host."""
    near, far = islice(stage.hosts, 2)
    at = {(spot.label, spot.host): (spot, task) for spot, task in tasks.items()}
    _, watcher = at["host", near]
    ends = [stage.facts[host].data_address for host in (near, far)]
    found = []
    for number, net in enumerate(nets):
        word = f"netbench-{stage.run[-6:]}-secret-{number}"
        _, sender = at[net.name, near]
        target, _ = at[net.name, far]
        with ThreadPoolExecutor(max_workers=1) as pool:
            argv = ("netbench-capture", str(LOOKS), word, *ends)
            looking = pool.submit(stage.answer, watcher, *argv, about=f"capture {net.name}")
            time.sleep(BEFORE)
            to = target.addresses[net.name]
            argv = ("netbench-ask", "say", word, str(SAID), to, str(stage.port))
            stage.answer(sender, *argv, about=f"say {net.name}")
            seen = looking.result()
        found.append(read_underlay(net, near, far, seen))
    return found


def read_underlay(net: Net, near: str, far: str, seen: str) -> Finding:
    """What netbench-capture saw of an overlay's traffic, judged. Raises ParseError."""
    match = _SEEN.fullmatch(seen.strip())
    if not match:
        raise ParseError(f"netbench-capture said {seen!r:.80}")
    packets, esp, vxlan, readable = map(int, match.groups())
    told = f"{packets} packets: {esp} ESP, {vxlan} VXLAN, the payload readable in {readable}"
    failure = ""
    if net == ENCRYPTED:
        expected = "ESP, and no payload that can be read"
        if readable:
            failure = f"LEAK: {net.name} from {near} to {far} is readable on the underlay: {told}"
        elif esp < SAID:
            failure = f"{net.name} from {near} to {far}: {SAID} datagrams were sent, but {told}"
    else:
        expected = "VXLAN, with the payload readable (so that the capture is seen to work)"
        if readable < SAID // 2 or not vxlan:
            failure = f"the capture on {near} is blind: {told}, where {SAID} datagrams were sent"
    what = f"{net.name} from {near} to {far}: {SAID} datagrams with a word to look for"
    return Finding("on the underlay", what, expected, told, failure)


CHECK = Isolation()
