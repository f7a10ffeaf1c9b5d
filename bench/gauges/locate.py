"""From a driver's description of its path to the very interfaces of this run's hosts.

Looked up once, and again when a container has been replaced: which process a container is, which
of its interfaces has the address on the network, what the host calls its end of the cable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench import drivers
from bench.deployment import Deployment
from bench.errors import HostError, NetbenchError
from bench.gauges.links import LIST_LINKS, Link, holding, named, parse_links
from bench.gauges.reading import ESP, HOST
from bench.gauges.way import Located, Spot, Way
from bench.remote.api import Completed, Machine, Task
from bench.remote.fleet import Fleet
from bench.waypoint import By, End, Space, Waypoint

# Where engines keep the network namespaces that are theirs; names are cut to twelve characters.
SANDBOXES = "/run/docker/netns"
NAME_LENGTH = 12
# The network that every engine has, and what its bridge is called unless it was told otherwise.
DEFAULT_NETWORK, DEFAULT_BRIDGE = "bridge", "docker0"
LOOK_WITHIN = 20.0
ROOT_HINT = "only root can read it: set ansible_become, or log in as root"
PARALLEL = 8


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found at one place, or ``fault``, why nothing was."""

    pid: int = 0
    links: tuple[Link, ...] = ()
    networks: dict[str, str] = field(default_factory=dict)
    fault: str = ""


class Locator:
    """Finds the spots of ways, asking each host and container once. Never raises what hosts do."""

    def __init__(self, fleet: Fleet, deployment: Deployment) -> None:
        self.fleet = fleet
        self.deployment = deployment
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._located: dict[Way, Located] = {}

    def prepare(self, ways: Iterable[Way]) -> None:
        """Find the spots of these ways, looking at many places at once."""
        ways = tuple(ways)
        wanted = {need for way in ways for need in self._needs(way)}
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            list(pool.map(lambda need: self._look(*need), sorted(wanted)))
            list(pool.map(self.locate, ways))

    def renew(self, deployment: Deployment) -> None:
        """Go by this deployment from now on: what was replaced is looked at again when needed."""
        # A new container has a new cable on its host; the other containers are as they were. What
        # could not be looked at is tried again.
        kept = {task.container_id for task in deployment.tasks.values()}
        if deployment.tasks == self.deployment.tasks:
            kept |= {namespace for _, namespace in self._seen}
        self._seen = {
            key: seen for key, seen in self._seen.items() if key[1] in kept and not seen.fault
        }
        self._located.clear()
        self.deployment = deployment

    def locate(self, way: Way) -> Located:
        """The spots of one way."""
        if way not in self._located:
            spots: list[Spot] = []
            missing: list[str] = []
            described = self.waypoints(way)
            for waypoint in described:
                try:
                    spots += self.find(way, waypoint)
                except NetbenchError as fault:
                    missing.append(f"{waypoint.where}: {fault}")
            if not described:
                missing.append(f"{way.driver} describes no path for {way.access} {way.placement}")
            self._located[way] = Located(tuple(spots), tuple(dict.fromkeys(missing)))
        return self._located[way]

    def waypoints(self, way: Way) -> tuple[Waypoint, ...]:
        """What the driver says of this way; nothing where its driver is not deployed."""
        if self.deployment.why_not(way.driver, way.access, way.placement):
            return ()
        return drivers.known()[way.driver].path(way.placement, way.access)

    def network(self, way: Way, waypoint: Waypoint) -> str:
        return waypoint.network or self.deployment.networks[way.driver]["network"]

    def task(self, way: Way, end: End) -> Task:
        """Raises HostError where nothing is deployed there."""
        found = self.deployment.tasks.get(way.place(end))
        if found is None:
            raise HostError(way.host(end), f"{way.driver} has no {end} there")
        return found

    def links(self, host: str, namespace: str = "") -> tuple[Link, ...]:
        """The interfaces of a host's own namespace, or of one as a Spot names it. Raises HostError
        where they cannot be read."""
        return self._at(host, namespace).links

    def find(self, way: Way, waypoint: Waypoint) -> tuple[Spot, ...]:
        """The spots of one waypoint. Raises NetbenchError where there is none, saying why."""
        host = way.host(waypoint.end)
        if waypoint.space is Space.ESP:
            return (Spot(waypoint, host, ESP, waypoint.name, 0),)
        if waypoint.space in (Space.NETWORK, Space.BALANCER, Space.INGRESS):
            path = self.sandbox(way, waypoint)
            return self._spots(waypoint, host, f"sandbox:{path}", path, waypoint.name)
        if waypoint.space is Space.CONTAINER:
            identity = self.task(way, waypoint.end).container_id
            key = f"pid:{self._at(host, identity).pid}"
            name = waypoint.name
            if waypoint.by is By.ADDRESS:
                name = self._own_link(way, waypoint).name
            elif waypoint.by is By.OUTWARD:
                name = self._way_out(way, waypoint).name
            return self._spots(waypoint, host, key, identity, name)
        return self._spots(waypoint, host, HOST, "", self._on_host(way, waypoint, host))

    def _spots(
        self, waypoint: Waypoint, host: str, key: str, namespace: str, name: str
    ) -> tuple[Spot, ...]:
        found = named(self._at(host, namespace).links, name)
        if not found:
            raise HostError(host, f"there is no interface {name}")
        return tuple(Spot(waypoint, host, key, one.name, one.mtu, namespace) for one in found)

    def _on_host(self, way: Way, waypoint: Waypoint, host: str) -> str:
        if waypoint.by is By.DATA:
            return self.deployment.data_interfaces[host]
        if waypoint.by is By.PARENT:
            return self.deployment.parents[host]
        if waypoint.by is By.BRIDGE:
            return self._bridge(way, waypoint, host)
        if waypoint.by is By.PORT:
            own, bridge = self._own_link(way, waypoint), self._bridge(way, waypoint, host)
            for one in self._at(host, "").links:
                if one.index == own.peer and one.master == bridge:
                    return one.name
            raise HostError(host, f"{own.name} of the {waypoint.end} is not plugged into {bridge}")
        return waypoint.name

    def _own_link(self, way: Way, waypoint: Waypoint) -> Link:
        """The container's interface that has its address on the network."""
        host, network = way.host(waypoint.end), self.network(way, waypoint)
        task = self.task(way, waypoint.end)
        address = task.addresses.get(network)
        found = holding(self._at(host, task.container_id).links, address) if address else None
        if found is None:
            raise HostError(host, f"{task.service} has no interface with an address on {network}")
        return found

    def _way_out(self, way: Way, waypoint: Waypoint) -> Link:
        """The container's interface that is on none of the networks that it was attached to."""
        host, task = way.host(waypoint.end), self.task(way, waypoint.end)
        known = set(task.addresses.values())
        for one in self._at(host, task.container_id).links:
            if one.name != "lo" and one.addresses and not known.intersection(one.addresses):
                return one
        raise HostError(host, f"{task.service} has no interface besides those of its networks")

    def _bridge(self, way: Way, waypoint: Waypoint, host: str) -> str:
        if self.network(way, waypoint) == DEFAULT_NETWORK:
            return DEFAULT_BRIDGE
        return f"br-{self._network_id(way, waypoint, host)}"[: len("br-") + NAME_LENGTH]

    def sandbox(self, way: Way, waypoint: Waypoint) -> str:
        """The file of the namespace that the engine keeps for a waypoint's network on its host."""
        if waypoint.space is Space.INGRESS:
            return f"{SANDBOXES}/ingress_sbox"
        identity = self._network_id(way, waypoint, way.host(waypoint.end))
        prefix = "lb_" if waypoint.space is Space.BALANCER else "1-"
        return f"{SANDBOXES}/{f'{prefix}{identity}'[:NAME_LENGTH]}"

    def _network_id(self, way: Way, waypoint: Waypoint, host: str) -> str:
        network = self.network(way, waypoint)
        found = self._at(host, "").networks.get(network)
        if not found:
            raise HostError(host, f"its engine knows no network {network}")
        return found

    def _needs(self, way: Way) -> set[tuple[str, str]]:
        """Which hosts (with no namespace) and containers have to be looked at for a way."""
        wanted = set()
        for waypoint in self.waypoints(way):
            task = self.deployment.tasks.get(way.place(waypoint.end))
            wanted.add((way.host(waypoint.end), ""))
            if task and (waypoint.space is Space.CONTAINER or waypoint.by is By.PORT):
                wanted.add((way.host(waypoint.end), task.container_id))
        return wanted

    def _at(self, host: str, namespace: str) -> _Seen:
        """What is at a place. Raises HostError where it could not be looked at."""
        seen = self._look(host, namespace)
        if seen.fault:
            raise HostError(host, seen.fault)
        return seen

    def _look(self, host: str, namespace: str) -> _Seen:
        key = (host, namespace)
        if key not in self._seen:
            look = self._asked(namespace)
            try:
                self._seen[key] = look(self.fleet[host])
            except HostError as fault:
                self._seen[key] = _Seen(fault=str(fault).removeprefix(f"{host}: "))
            except NetbenchError as fault:
                self._seen[key] = _Seen(fault=str(fault))
        return self._seen[key]

    @staticmethod
    def _asked(namespace: str) -> Callable[[Machine], _Seen]:
        def of_host(machine: Machine) -> _Seen:
            done = machine.shell.run(LIST_LINKS, timeout=LOOK_WITHIN)
            return _Seen(links=_links(machine, done), networks=dict(machine.engine.network_ids()))

        def of_sandbox(machine: Machine) -> _Seen:
            argv = ("nsenter", f"--net={namespace}", *LIST_LINKS)
            done = machine.shell.run(argv, timeout=LOOK_WITHIN)
            return _Seen(links=_links(machine, done))

        def of_container(machine: Machine) -> _Seen:
            pid = machine.engine.pid(namespace)
            done = machine.engine.exec(namespace, LIST_LINKS, timeout=LOOK_WITHIN)
            return _Seen(pid=pid, links=_links(machine, done))

        if not namespace:
            return of_host
        return of_sandbox if namespace.startswith("/") else of_container


def _links(machine: Machine, done: Completed) -> tuple[Link, ...]:
    if done.exit_code != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        hint = ROOT_HINT if re.search("denied|not permitted", said) else ""
        raise HostError(machine.host.name, said or f"exit code {done.exit_code}", hint)
    return parse_links(done.stdout)
