"""From what was seen on and between hosts to problems: one line each, with what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench import labels
from bench.errors import HostError, NetbenchError
from bench.facts.network import DataNetwork
from bench.facts.pairs import Outcome, Pairs, PathMtu, PortResult
from bench.remote.api import EngineFacts, SwarmState

SWARM_TCP = (2377, 7946)
SWARM_UDP = (7946, 4789)
OLDEST_ENGINE = (20, 10)
LEAST_DISK = 2 * 1024**3
MOST_SKEW = 1.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something found: ``where`` names a host or ``source -> target``, ``hint`` says what to do.

    A warning does not keep netbench from measuring.
    """

    where: str
    what: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}"
        return f"{line}; {self.hint}" if self.hint else line


def of_error(host: str, fault: NetbenchError) -> Problem:
    """The problem that an error about a host is."""
    where = fault.host if isinstance(fault, HostError) else host
    return Problem(where, fault.what.removeprefix(f"{where}: "), fault.hint)


def engine(host: str, facts: EngineFacts) -> list[Problem]:
    """An engine that is too old, or whose version says nothing."""
    numbers = facts.version.split(".")[:2]
    oldest = ".".join(map(str, OLDEST_ENGINE))
    try:
        version = tuple(int(number) for number in numbers)
    except ValueError:
        what = f"its engine calls itself {facts.version!r}, which is no version"
        return [Problem(host, what, f"netbench needs Docker {oldest} or newer", warning=True)]
    if version < OLDEST_ENGINE:
        what = f"its engine is Docker {facts.version}"
        return [Problem(host, what, f"install Docker {oldest} or newer")]
    return []


def disk(host: str, path: str, free: int) -> list[Problem]:
    """Too little space (bytes) where the engine keeps its data."""
    if free >= LEAST_DISK:
        return []
    what = f"only {free / 1024**3:.1f} GiB are free where the engine keeps its data ({path})"
    hint = "make room (`docker system df` shows what is used): 2 GiB are enough"
    return [Problem(host, what, hint, warning=True)]


def clock(host: str, skew: float) -> list[Problem]:
    """A clock (seconds ahead of the controller's) that is off by more than the network explains."""
    if abs(skew) <= MOST_SKEW:
        return []
    what = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the controller's"
    hint = "let chrony or systemd-timesyncd set the clocks: swarm certificates depend on them"
    return [Problem(host, what, hint, warning=True)]


def addresses(networks: Mapping[str, DataNetwork]) -> list[Problem]:
    """Hosts that cannot be told apart on the data network."""
    by_address: dict[str, list[str]] = {}
    for name, network in networks.items():
        by_address.setdefault(network.address, []).append(name)
    return [
        Problem(
            ", ".join(names),
            f"all have the data address {address}",
            "set netbench_data_address of each to the address at which the others reach it",
        )
        for address, names in by_address.items()
        if len(names) > 1
    ]


def swarm(
    states: Mapping[str, SwarmState], run_labels: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, str], list[Problem]]:
    """What to call each host's swarm membership, and what is wrong with it.

    ``run_labels`` are the labels of the swarms that the hosts among them manage, by host.
    """
    active = [name for name, state in states.items() if state.active]
    together = len(active) == len(states) and len(_swarms(states)) == 1
    managers = [name for name in active if states[name].is_manager]
    words: dict[str, str] = {}
    problems: list[Problem] = []
    for name, state in states.items():
        role = "manager" if state.is_manager else "worker"
        if not state.active:
            words[name] = "none"
        elif state.state != "active":
            words[name] = state.state
            what = f"its swarm membership is {state.state}"
            problems.append(
                Problem(name, what, f"mend it, or run `docker swarm leave --force` on {name}")
            )
        elif together and managers:
            words[name] = f"one swarm together ({role})"
        else:
            words[name] = f"{role} of another swarm"
            force = " --force" if state.is_manager else ""
            problems.append(
                Problem(
                    name,
                    "is in a swarm that not all of the hosts are in"
                    if managers
                    else "is in a swarm that no host of the inventory manages",
                    f"run `docker swarm leave{force}` on {name}, or make all hosts one swarm with "
                    "a manager in the inventory",
                )
            )
    for name, label in run_labels.items():
        if label.get(labels.RUN):
            what = f"is in a swarm that run {label[labels.RUN]} of netbench left behind"
            hint = "run `netbench clean` with this inventory, or wait for that run to end"
            problems.append(Problem(name, what, hint))
    return words, problems


def _swarms(states: Mapping[str, SwarmState]) -> list[set[str]]:
    """The active hosts' marks, joined where they share one: one set of marks a swarm.

    A manager knows its cluster's id, a worker only the node ids of its managers.
    """
    swarms: list[set[str]] = []
    for state in states.values():
        if not state.active:
            continue
        marks = {*state.managers, state.cluster_id}
        if state.is_manager:
            marks.add(state.node_id)
        marks.discard("")
        joined = [other for other in swarms if other & marks]
        swarms = [other for other in swarms if not other & marks]
        swarms.append(marks.union(*joined))
    return swarms


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
    problems = []
    for (target, detail), same in found.items():
        root = "needs root" in detail
        hint = "set ansible_become: true to have them tried as root" if root else ""
        what = f"{_listing(same)} not tried: {detail}"
        problems.append(Problem(target, what, hint, warning=True))
    return problems


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
        fate = "vanish" if path.outcome is Outcome.BLACK_HOLE else "are too large for the path"
        note = f", {path.detail}" if path.detail else ""
        what = f"packets of {path.size} bytes {fate}, {path.largest} bytes arrive{note}"
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
