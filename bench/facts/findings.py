"""From what was seen on hosts to problems: one line each, with what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from bench import drivers, labels
from bench.capability import OF_ACCESS, TITLES, Capability, remedy
from bench.drivers.base import Driver
from bench.errors import DeployError, HostError, NetbenchError
from bench.facts.data_network import DataNetwork
from bench.remote.api import EngineFacts, SwarmState
from bench.site import DEFAULT, choose_site

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


def subnets(
    chosen: Iterable[Driver], in_use: Mapping[str, tuple[IPv4Network, ...]], macvlan_subnet: str
) -> list[Problem]:
    """Networks of the hosts' own that leave no room for the drivers' networks."""
    try:
        site = choose_site((), in_use, macvlan_subnet, mtu=DEFAULT)
    except DeployError as fault:
        return [Problem(", ".join(in_use), fault.what, fault.hint)]
    refused: dict[str, list[str]] = {}
    for driver in chosen:
        why = driver.refusal(site)
        if why:
            refused.setdefault(why, []).append(driver.name)
    return [
        Problem(", ".join(names), "would be skipped", why, warning=True)
        for why, names in refused.items()
    ]


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


def kernels(lacking: Mapping[str, Mapping[str, str]]) -> list[Problem]:
    """What the hosts' kernels do not offer, and what is skipped for it: a line for each thing."""
    found = []
    for one in Capability:
        hosts = [name for name, missing in lacking.items() if one in missing]
        if hosts:
            skipped = " and ".join(
                f"{what} {' and '.join(names)}"
                for what, names in (("drivers", _drivers(one)), ("accesses", _accesses(one)))
                if names
            )
            what = f"the kernel has no {TITLES[one]} ({lacking[hosts[0]][one]}): it skips {skipped}"
            found.append(Problem(", ".join(hosts), what, remedy(one), warning=True))
    return found


def _drivers(one: Capability) -> list[str]:
    return [driver.name for driver in drivers.known().values() if one in driver.requires]


def _accesses(one: Capability) -> list[str]:
    return [access.value for access, needs in OF_ACCESS.items() if one in needs]


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
