"""Isolation: who reaches whom, by what, against who may; and what can be read on the underlay."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bench.checked import Finding, Report, Skipped
from bench.checks._places import BOTH, ENCRYPTED, TENANT_A, TENANT_B, chosen, laid, settled
from bench.checks._reach import (
    Kind,
    Net,
    Spot,
    Try,
    beyond,
    judged,
    own_hosts,
    parse,
    tries,
    wanting,
)
from bench.checks.base import Check
from bench.errors import ParseError
from bench.remote.api import Task
from bench.stage import Stage

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
        nets, skipped = chosen(stage)
        spots = settled(stage, nets, laid(stage, nets))
        findings = [finding for spot in _matrix(stage, spots) for finding in spot]
        findings += _control(len(spots), findings, planted=stage.plant_leak)
        if len(stage.hosts) < 2:
            skipped.append(Skipped("what can be read between hosts", "there is one host"))
        else:
            findings += _underlay(
                stage, [net for net in (TENANT_A, ENCRYPTED) if net in nets], spots
            )
        notes = own_hosts(findings)
        for net in nets:
            if net.kind is Kind.PARENT:
                notes += beyond(findings, net)
        return Report(tuple(findings), skipped=tuple(skipped), notes=tuple(notes))


def _matrix(stage: Stage, tasks: Mapping[Spot, Task]) -> list[list[Finding]]:
    """Every field of the matrix, tried: several sources at a time, each all of its targets."""
    every = list(tries(list(tasks)))
    stage.say(f"trying {len(every)} ways between {len(tasks)} containers")

    def row(spot: Spot) -> list[Finding]:
        mine = [one for one in every if one.source == spot]
        found = _tried(stage, tasks[spot], mine)
        deadline = time.monotonic() + SETTLED_WITHIN
        while (late := wanting(mine, found)) and time.monotonic() < deadline:
            time.sleep(0.5)
            found |= _tried(stage, tasks[spot], late)
        return [judged(one, found[one]) for one in mine]

    with ThreadPoolExecutor(max_workers=3) as pool:
        return list(pool.map(row, tasks))


def _tried(stage: Stage, task: Task, some: Sequence[Try]) -> dict[Try, tuple[bool, str]]:
    words = {one: one.words(stage.port) for one in some}
    argv = ("netbench-ask", "reach", str(PATIENCE), *dict.fromkeys(words.values()))
    found = parse(stage.answer(task, *argv, within=PATIENCE + 60.0, about="reach"))
    missing = [target for target in words.values() if target not in found]
    if missing:
        raise ParseError(f"netbench-ask said nothing of {missing[0]}")
    return {one: found[target] for one, target in words.items()}


def _control(count: int, findings: Sequence[Finding], *, planted: bool) -> list[Finding]:
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
            f"a container that is on both tenants' networks ({count} containers in all)",
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
