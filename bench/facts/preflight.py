"""``netbench check``: look at every host and between every two, and say what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import TypeVar

from bench import drivers
from bench.drivers.base import Driver
from bench.errors import HostUnreachable, NetbenchError
from bench.facts import between, findings
from bench.facts.data_network import DataNetwork, data_network
from bench.facts.fact import ask
from bench.facts.findings import Problem
from bench.facts.host import CLOCK, USER_ID, free_space
from bench.facts.kernel import lacking
from bench.facts.network import networks_in_use, require_parent
from bench.facts.pairs import Ports, probe
from bench.facts.verdict import Outcome, Pairs, PathMtu, PortResult
from bench.model import Access, Host, Inventory
from bench.ports import of_servers
from bench.remote.api import EngineFacts, Machine
from bench.remote.fleet import Fleet, connect

T = TypeVar("T")
CLOCK_READINGS = 3


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host as the check found it; what could not be found out is empty or None.

    ``data_mtu`` and ``disk_free`` in bytes, ``clock_skew`` in seconds ahead of the controller's
    clock, ``seconds`` the time its own questions took. ``ports`` sums up who can reach it;
    ``lacking`` has what its kernel does not offer to Docker's networks, and how that is known.
    """

    name: str
    reachable: bool = False
    engine: str = ""
    kernel: str = ""
    privileges: str = ""
    swarm: str = ""
    data_address: str = ""
    data_interface: str = ""
    data_mtu: int | None = None
    ports: str = ""
    disk_free: int | None = None
    clock_skew: float | None = None
    seconds: float = 0.0
    lacking: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """All that a check found. ``ok`` is false where a problem would keep netbench from measuring;
    ``seconds`` is the wall time of the whole check."""

    ok: bool
    seconds: float
    hosts: tuple[HostReport, ...]
    problems: tuple[Problem, ...]
    ports: tuple[PortResult, ...]
    paths: tuple[PathMtu, ...]


@dataclass(slots=True)
class _Seen:
    """What one host's own questions yielded."""

    report: HostReport
    engine: EngineFacts | None = None
    network: DataNetwork | None = None
    in_use: tuple[IPv4Network, ...] = ()
    swarm_labels: Mapping[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def attempt(self, question: Callable[[], T]) -> T | None:
        """The answer, or None with the reason among the problems. A lost host ends it all."""
        try:
            return question()
        except HostUnreachable:
            raise
        except NetbenchError as fault:
            # One cause, no right to use sudo say, can keep all questions from being answered.
            problem = findings.of_error(self.report.name, fault)
            if problem not in self.problems:
                self.problems.append(problem)
            return None


def check(
    inventory: Inventory,
    reach: Callable[[Iterable[Host]], Fleet] = connect,
    *,
    chosen: Sequence[Driver] = (),
    accesses: Sequence[Access] = (),
) -> Report:
    """Connect to all hosts and look at each, and between every two, all at once, for these drivers
    (the usual ones for none) and accesses (each driver's first for none).

    Never raises for what a host does, nor for one out of reach: that is what the report is about.
    """
    started = time.monotonic()
    seen: dict[str, _Seen] = {}
    with reach(inventory.hosts) as fleet:
        for name, answer in fleet.attempt(_look).items():
            if isinstance(answer, NetbenchError):
                problem = findings.of_error(name, answer)
                seen[name] = _Seen(HostReport(name), problems=[problem])
            else:
                seen[name] = answer
        networks = {
            name: one.network for name, one in seen.items() if one.network and one.report.reachable
        }
        pairs = probe(fleet.attempt, networks, ports_of(inventory, chosen, accesses))
    every = chosen or drivers.chosen(())
    return _report(inventory, every, seen, networks, pairs, seconds=time.monotonic() - started)


def ports_of(
    inventory: Inventory, chosen: Sequence[Driver] = (), accesses: Sequence[Access] = ()
) -> Ports:
    """The ports that hosts must reach each other at to have these drivers (the usual ones for none)
    measured in these ways (each in its first for none): the swarm's, those of the servers in the
    hosts' own network, and those that Docker publishes for others."""
    every = chosen or drivers.chosen(())
    servers = of_servers(inventory.port_base, len(inventory.hosts), every, accesses)
    return Ports((*between.SWARM_TCP, *servers), between.SWARM_UDP)


def _look(machine: Machine) -> _Seen:
    started = time.monotonic()
    seen = _Seen(HostReport(machine.host.name))
    try:
        _question(machine, seen)
    except HostUnreachable as fault:
        seen.problems.append(findings.of_error(seen.report.name, fault))
        seen.report = replace(seen.report, reachable=False)
    seen.report = replace(seen.report, seconds=round(time.monotonic() - started, 3))
    return seen


def _question(machine: Machine, seen: _Seen) -> None:
    name = machine.host.name
    engine = seen.engine = seen.attempt(machine.engine.facts)
    seen.report = replace(
        seen.report,
        reachable=True,
        privileges=_privileges(machine, seen, engine=engine is not None),
    )
    network = seen.network = seen.attempt(lambda: data_network(machine))
    skew = seen.attempt(lambda: clock_skew(machine))
    if network:
        seen.report = replace(
            seen.report,
            data_address=network.address,
            data_interface=network.interface,
            data_mtu=network.mtu,
        )
    lacks = seen.attempt(lambda: lacking(machine))
    seen.attempt(lambda: require_parent(machine))
    seen.in_use = seen.attempt(lambda: networks_in_use(machine)) or ()
    seen.report = replace(
        seen.report, lacking={str(one): why for one, why in (lacks or {}).items()}
    )
    if skew is not None:
        seen.report = replace(seen.report, clock_skew=round(skew, 4))
        seen.problems += findings.clock(name, skew)
    if not engine:
        return
    seen.problems += findings.engine(name, engine)
    free = seen.attempt(lambda: ask(machine, free_space(engine.data_root)))
    if free is not None:
        seen.problems += findings.disk(name, engine.data_root, free)
    if engine.swarm.is_manager and engine.swarm.state == "active":
        seen.swarm_labels = seen.attempt(machine.engine.swarm_labels) or {}
    seen.report = replace(seen.report, engine=engine.version, kernel=engine.kernel, disk_free=free)


def _privileges(machine: Machine, seen: _Seen, *, engine: bool) -> str:
    user = seen.attempt(lambda: ask(machine, USER_ID))
    if user is None:
        return ""
    if user == 0:
        return "root by sudo" if machine.host.become else "root"
    sudo = seen.attempt(lambda: machine.shell.run(("sudo", "-n", "true")))
    words = ["user"]
    words += ["docker"] if engine else []
    words += ["may sudo"] if sudo and sudo.exit_code == 0 else []
    return ", ".join(words)


def clock_skew(machine: Machine) -> float:
    """How far (seconds) a host's clock is ahead of the controller's, to half of a round trip."""
    best = None
    for _ in range(CLOCK_READINGS):
        sent, began = time.time(), time.monotonic()
        there = ask(machine, CLOCK)
        trip = time.monotonic() - began
        if best is None or trip < best[0]:
            best = (trip, there - (sent + trip / 2))
    assert best is not None
    return best[1]


def _report(
    inventory: Inventory,
    chosen: Sequence[Driver],
    seen: Mapping[str, _Seen],
    networks: Mapping[str, DataNetwork],
    pairs: Pairs,
    *,
    seconds: float,
) -> Report:
    states = {name: one.engine.swarm for name, one in seen.items() if one.engine}
    words, swarm_problems = findings.swarm(
        states, {name: one.swarm_labels for name, one in seen.items()}
    )
    managers = [name for name, state in states.items() if state.is_manager]
    problems = [problem for one in seen.values() for problem in one.problems]
    problems += swarm_problems
    problems += findings.addresses(networks)
    in_use = {name: one.in_use for name, one in seen.items()}
    problems += findings.subnets(chosen, in_use, inventory.macvlan_subnet)
    problems += findings.kernels({name: one.report.lacking for name, one in seen.items()})
    problems += [Problem(name, why) for name, why in pairs.faults.items()]
    problems += between.in_use(pairs, states)
    problems += between.ports(pairs, networks, managers or [inventory.hosts[0].name])
    problems += between.paths(pairs.paths, networks)
    hosts = tuple(
        replace(one.report, swarm=words.get(name, ""), ports=_sum_up(name, pairs))
        for name, one in seen.items()
    )
    ok = all(problem.warning for problem in problems)
    ordered = sorted(problems, key=lambda problem: problem.warning)
    return Report(ok, round(seconds, 3), hosts, tuple(ordered), pairs.ports, pairs.paths)


def _sum_up(name: str, pairs: Pairs) -> str:
    """One host's ports in a few words: what does not get through to it."""
    tries = [one for one in pairs.ports if one.target == name]
    shut = [one for one in tries if one.outcome in (Outcome.BLOCKED, Outcome.REFUSED)]
    open_ones = [one for one in tries if one.outcome is Outcome.OPEN]
    if shut:
        ports = dict.fromkeys(f"{one.protocol.upper()} {one.port}" for one in shut)
        listed = ", ".join(ports) if len(ports) <= 2 else f"{len(ports)} ports"
        return f"{listed} {' or '.join(dict.fromkeys(one.outcome for one in shut))}"
    if len(open_ones) == len(tries):
        return "ok" if tries else ""
    return "ok, some not tried" if open_ones else "not tried"
