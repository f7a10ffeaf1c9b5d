"""From what was tried between hosts to problems: one line each, with what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.facts.data_network import DataNetwork
from bench.facts.findings import Problem
from bench.facts.verdict import Outcome, Pairs, PathMtu, PortResult
from bench.remote.api import SwarmState

SWARM_TCP = (2377, 7946)
SWARM_UDP = (7946, 4789)


def ports(
    pairs: Pairs, networks: Mapping[str, DataNetwork], managers: Sequence[str]
) -> list[Problem]:
    """Ports that do not let through, and ports that could not be tried.

    ``managers`` are the hosts that will manage the swarm: others need no TCP 2377.
    """
    tries: dict[tuple[str, str], list[PortResult]] = {}
    for result in pairs.ports:
        tries.setdefault((result.source, result.target), []).append(result)
    # (target, what, hint, warning) -> the sources of which it is true.
    found: dict[tuple[str, str, str, bool], list[str]] = {}
    for (source, target), results in tries.items():
        shut = [one for one in results if one.outcome in (Outcome.BLOCKED, Outcome.REFUSED)]
        if len(shut) == len(results):
            reasons = " and ".join(dict.fromkeys(one.detail for one in shut if one.detail))
            what = f"no port lets through{f' ({reasons})' if reasons else ''}"
            hint = (
                f"{networks[target].address} must be reachable from {networks[source].address}: "
                "see routes and firewalls, or set netbench_data_address"
            )
            found.setdefault((target, what, hint, False), []).append(source)
            continue
        for needless in (False, True):
            chosen = [
                one for one in shut if needless == (one.port == 2377 and target not in managers)
            ]
            for outcome, detail in dict.fromkeys((one.outcome, one.detail) for one in chosen):
                same = [one for one in chosen if (one.outcome, one.detail) == (outcome, detail)]
                note = f" ({detail})" if detail else ""
                what = f"{_listing(same)} {outcome}{note}"
                hint = _hint(source, target, detail)
                if needless:
                    hint = f"needed only if {target} is to manage the swarm"
                found.setdefault((target, what, hint, needless), []).append(source)
    problems = [
        Problem(f"{', '.join(sources)} -> {target}", what, hint, warning)
        for (target, what, hint, warning), sources in found.items()
    ]
    return problems + _untried(pairs.ports)


def _hint(source: str, target: str, detail: str) -> str:
    if detail == "Operation not permitted":
        return f"{source}'s own firewall drops it: let it out there"
    return f"open it in {target}'s firewall and in the cloud's security group"


def _untried(results: Iterable[PortResult]) -> list[Problem]:
    found: dict[tuple[str, str], list[PortResult]] = {}
    for one in results:
        if one.outcome is Outcome.NOT_TRIED:
            found.setdefault((one.target, one.detail), []).append(one)
    targets: dict[str, list[str]] = {}
    for (target, detail), same in found.items():
        targets.setdefault(f"{_listing(same)} not tried: {detail}", []).append(target)
    become = "set ansible_become: true to have them tried as root"
    return [
        Problem(", ".join(names), what, become if "needs root" in what else "", warning=True)
        for what, names in targets.items()
    ]


def _listing(results: Iterable[PortResult]) -> str:
    by_protocol: dict[str, list[str]] = {}
    for one in results:
        numbers = by_protocol.setdefault(one.protocol.upper(), [])
        if str(one.port) not in numbers:
            numbers.append(str(one.port))
    return ", ".join(f"{protocol} {', '.join(ones)}" for protocol, ones in by_protocol.items())


def in_use(pairs: Pairs, states: Mapping[str, SwarmState]) -> list[Problem]:
    """Ports that netbench or a new swarm needs, and that a program already has open."""
    problems = []
    for name, protocol, port in pairs.in_use:
        flag = "t" if protocol == "tcp" else "u"
        look = f"`ss -l{flag}np 'sport = :{port}'` on {name} shows the program"
        what = f"{protocol.upper()} {port} is in use"
        if protocol == "tcp" and port not in SWARM_TCP:
            problems.append(
                Problem(name, what, f"{look}; end it, or set netbench_port_base to free ports")
            )
        # The kernel's VXLAN port is shared by all that use it; the others have one owner.
        elif port != 4789 and name in states and not states[name].active:
            problems.append(Problem(name, f"{what}, though by no swarm", f"{look}; end it"))
    return problems


def paths(results: Iterable[PathMtu], networks: Mapping[str, DataNetwork]) -> list[Problem]:
    """Paths on which packets as large as the interface sends do not arrive."""
    found: dict[tuple[str, str, str], list[str]] = {}
    untried: dict[str, list[str]] = {}
    for path in results:
        target = networks[path.target]
        if path.outcome is Outcome.OPEN:
            continue
        if path.outcome is Outcome.NOT_TRIED:
            untried.setdefault(path.detail, []).append(f"{path.source} -> {path.target}")
            continue
        hole = path.outcome is Outcome.BLACK_HOLE
        fate = "vanish" if hole else "are too large for the path"
        note = f", {path.detail}" if path.detail else ""
        name = "black hole: " if hole else ""
        what = f"{name}packets of {path.size} bytes {fate}, {path.largest} bytes arrive{note}"
        hint = f"set the MTU of the data interfaces to {path.largest} on both"
        if target.mtu < path.size:
            there = f"{target.interface} of {path.target} has MTU {target.mtu}"
            hint = f"{there}: set the same MTU on both"
        found.setdefault((path.target, what, hint), []).append(path.source)
    problems = [
        Problem(f"{', '.join(sources)} -> {target}", what, hint)
        for (target, what, hint), sources in found.items()
    ]
    for why, pairs in untried.items():
        where = ", ".join(pairs) if len(pairs) <= 2 else f"{len(pairs)} pairs of hosts"
        what = f"path MTU not found out: {why}"
        problems.append(
            Problem(where, what, "let ICMP echo through to have it tried", warning=True)
        )
    return problems
