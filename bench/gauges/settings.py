"""What the interfaces on each treatment's path are set to: MTU, offloads, routes. Read once a run.

The containers have the tools. Those on the hosts' own network see the hosts' interfaces, so that
nothing but an overlay's tunnel needs root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench import drivers, workloads
from bench.deployment import CLIENT, Deployment, Place
from bench.errors import NetbenchError
from bench.gauges.locate import LOOK_WITHIN, Locator
from bench.gauges.publishing import look, publication, publisher
from bench.gauges.way import Spot, Way, ways_of
from bench.model import PathFacts, Placement, Plan
from bench.plan import pairs
from bench.ports import ON_HOST
from bench.remote.api import Completed, Machine
from bench.remote.fleet import Fleet
from bench.waypoint import By, End, Space, Waypoint

# The features of ethtool(8) that decide how large the packets are that the kernel handles, and who
# cuts and checks them.
FEATURES = (
    "tcp-segmentation-offload",
    "generic-segmentation-offload",
    "generic-receive-offload",
    "large-receive-offload",
    "rx-checksumming",
    "tx-checksumming",
    "tx-udp_tnl-segmentation",
    "tx-udp_tnl-csum-segmentation",
)
PARALLEL = 8

# For each word `if:NAME` the features, for each `to:ADDRESS` the route, each under its word.
_SCRIPT = """
for word; do
  printf '\\n==> %s\\n' "$word"
  case $word in
    if:*) ethtool -k "${word#if:}" 2>/dev/null ;;
    to:*) ip route get "${word#to:}" 2>/dev/null ;;
  esac
done
exit 0
"""
_FEATURE = re.compile(r"^\s*([\w-]+): (on|off)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Question:
    """What to ask in one namespace of one host: a container's, or of a file."""

    host: str
    namespace: str


def path_facts(
    fleet: Fleet, locator: Locator, plan: Plan
) -> tuple[tuple[PathFacts, ...], Mapping[str, str]]:
    """What each interface on the plan's paths is set to, one entry for each treatment's use of it;
    and by host how its engine leads published ports to containers (see `bench.gauges.publishing`),
    of the hosts that publish any.

    What cannot be read is left out of an entry, or the entry is left out. Raises nothing of what
    hosts and engines may answer.
    """
    settings = _Settings(fleet, locator, plan)
    return settings.read(), settings.publishers


def parse_features(text: str) -> dict[str, bool]:
    """The FEATURES among what ``ethtool -k`` prints."""
    found = {name: said == "on" for name, said in _FEATURE.findall(text)}
    return {name: found[name] for name in FEATURES if name in found}


def parse_route(text: str) -> str:
    """What ``ip route get`` prints, on one line and without what is only about the asking user."""
    lines = [line.strip() for line in text.splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith("cache"))
    return re.sub(r"\s+uid \d+", "", told)


def published(plan: Plan, base: int) -> dict[tuple[str, str], tuple[int, ...]]:
    """The ports that each driver's servers publish on their hosts in a plan, by driver and host."""
    ports: dict[tuple[str, str], dict[int, None]] = {}
    for cell in plan.cells:
        if cell.access in ON_HOST:
            offset = workloads.known()[cell.workload].port + drivers.known()[cell.driver].published
            for pair in pairs(plan):
                ports.setdefault((cell.driver, pair.server), {})[base + offset] = None
    return {key: tuple(found) for key, found in ports.items()}


def _publishes(waypoint: Waypoint) -> bool:
    """Whether what is published on a host enters the driver's network there."""
    return waypoint.by is By.BRIDGE or (waypoint.by is By.OUTWARD and waypoint.end is End.SERVER)


class _Settings:
    def __init__(self, fleet: Fleet, locator: Locator, plan: Plan) -> None:
        self.fleet = fleet
        self.locator = locator
        self.plan = plan
        self.publishers: dict[str, str] = {}

    @property
    def deployment(self) -> Deployment:
        return self.locator.deployment

    def read(self) -> tuple[PathFacts, ...]:
        rows = self.rows()
        words: dict[_Question, dict[str, None]] = {}
        for spot, peer in rows.values():
            asked = words.setdefault(self.question(spot), {})
            asked[f"if:{spot.interface}"] = None
            if peer:
                asked[f"to:{peer}"] = None
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            ports = pool.submit(self.publications)
            told = dict(
                zip(words, pool.map(lambda one: self.ask(one, words[one]), words), strict=True)
            )
            published = ports.result()
        return tuple(
            PathFacts(
                driver=driver,
                host=spot.host,
                where=spot.where,
                interface=spot.interface,
                mtu=spot.mtu,
                offloads=parse_features(told[self.question(spot)].get(f"if:{spot.interface}", "")),
                route=published.get((driver, spot.host), "")
                if _publishes(spot.waypoint)
                else parse_route(told[self.question(spot)].get(f"to:{peer}", "")),
            )
            for (driver, *_), (spot, peer) in rows.items()
        )

    def rows(self) -> dict[tuple[str, str, str, str], tuple[Spot, str]]:
        """Every treatment's spots, each once, with the address at the other end.

        Paths across hosts come first: where a spot is on both, the route to the other host tells
        more.
        """
        found: dict[tuple[str, str, str, str], tuple[Spot, str]] = {}
        ways = sorted(ways_of(self.plan), key=lambda way: way.placement is Placement.SAME_HOST)
        order = {name: place for place, name in enumerate(dict.fromkeys(w.driver for w in ways))}
        for way in sorted(ways, key=lambda way: order[way.driver]):
            for spot in self.locator.locate(way).spots:
                key = (way.driver, spot.host, spot.waypoint.where, spot.interface)
                if spot.waypoint.carries and spot.waypoint.space is not Space.ESP:
                    found.setdefault(key, (spot, self.peer(way, spot)))
        return found

    def peer(self, way: Way, spot: Spot) -> str:
        """The address to which this interface sends for the other end, where it is it that does."""
        there = End.SERVER if spot.waypoint.end is End.CLIENT else End.CLIENT
        by = spot.waypoint.by
        if by is By.ADDRESS:
            if way.access in ON_HOST:
                return self.deployment.data_addresses[way.host(there)]
            addresses = self.locator.task(way, there).addresses
            return addresses.get(self.locator.network(way, spot.waypoint), "")
        if by is By.DATA or (spot.waypoint.space is Space.HOST and by is By.NAME):
            return self.deployment.data_addresses[way.host(there)]
        return ""

    def question(self, spot: Spot) -> _Question:
        """Where to ask about a spot: in its own container, or for the host's own interfaces in one
        on the host's network."""
        if spot.namespace:
            return _Question(spot.host, spot.namespace)
        seeing = self.deployment.tasks[Place(drivers.BASELINE, CLIENT, spot.host)]
        return _Question(spot.host, seeing.container_id)

    def ask(self, question: _Question, words: Iterable[str]) -> Mapping[str, str]:
        argv: tuple[str, ...] = ("sh", "-c", _SCRIPT, "sh", *words)
        try:
            done = self.run(self.fleet[question.host], question.namespace, argv)
        except NetbenchError:
            # These facts are for the record: what cannot be read is missing there.
            return {}
        parts = done.stdout.decode(errors="replace").split("\n==> ")[1:]
        return {head: text for head, _, text in (part.partition("\n") for part in parts)}

    def publications(self) -> dict[tuple[str, str], str]:
        """How each host forwards the published ports of each driver."""
        found = {}
        ports = published(self.plan, self.deployment.port_base)
        hosts = dict.fromkeys(host for _, host in ports)
        told = self.fleet.attempt(look, hosts)
        for (driver, host), wanted in ports.items():
            answer = told[host]
            if not isinstance(answer, NetbenchError):
                found[driver, host] = "; ".join(publication(answer, port) for port in wanted)
                self.publishers[host] = publisher(answer, wanted) or self.publishers.get(host, "")
        return found

    @staticmethod
    def run(machine: Machine, namespace: str, argv: tuple[str, ...]) -> Completed:
        if namespace.startswith("/"):
            inside = ("nsenter", f"--net={namespace}", *argv)
            return machine.shell.run(inside, timeout=LOOK_WITHIN)
        return machine.engine.exec(namespace, argv, timeout=LOOK_WITHIN)
