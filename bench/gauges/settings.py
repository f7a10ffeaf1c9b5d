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
from bench.gauges.way import Spot, Way, ways_of
from bench.model import Access, PathFacts, Placement, Plan
from bench.plan import pairs
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
NAT = ("iptables", "-t", "nat", "-v", "-S", "DOCKER")
LISTENERS = ("cat", "/proc/net/tcp", "/proc/net/tcp6")

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
_FORWARDED = re.compile(
    r"-p tcp .*--dport (\d+)(?: -c (\d+) \d+)?.* -j DNAT --to-destination (\S+)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class _Question:
    """What to ask in one namespace of one host: a container's, or of a file."""

    host: str
    namespace: str


def path_facts(fleet: Fleet, locator: Locator, plan: Plan) -> tuple[PathFacts, ...]:
    """What each interface on the plan's paths is set to, one entry for each treatment's use of it.

    What cannot be read is left out of an entry, or the entry is left out. Raises nothing of what
    hosts and engines may answer.
    """
    return _Settings(fleet, locator, plan).read()


def parse_features(text: str) -> dict[str, bool]:
    """The FEATURES among what ``ethtool -k`` prints."""
    found = {name: said == "on" for name, said in _FEATURE.findall(text)}
    return {name: found[name] for name in FEATURES if name in found}


def parse_route(text: str) -> str:
    """What ``ip route get`` prints, on one line and without what is only about the asking user."""
    lines = [line.strip() for line in text.splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith("cache"))
    return re.sub(r"\s+uid \d+", "", told)


def parse_forwarded(text: str, port: int) -> str:
    """How ``iptables -t nat -v -S`` says that a published port is forwarded; empty where not."""
    for line in text.splitlines():
        found = _FORWARDED.search(line)
        if found and int(found[1]) == port:
            used = f", {found[2]} connections so far" if found[2] else ""
            return f"tcp port {port} by DNAT to {found[3]}{used}"
    return ""


def parse_listening(text: str, port: int) -> bool:
    """Whether /proc/net/tcp or tcp6 (see proc(5)) has a listener on a port."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == "0A" and words[1].endswith(f":{port:04X}"):
            return True
    return False


def publication(nat: str, listeners: str, port: int) -> str:
    """How a published port reaches its container, from what NAT and LISTENERS print."""
    forwarded, listening = parse_forwarded(nat, port), parse_listening(listeners, port)
    if forwarded:
        # What its own bridge's containers send does not match that rule where the proxy is on.
        return f"{forwarded}, docker-proxy beside it" if listening else forwarded
    if listening:
        return f"tcp port {port} has a listener (docker-proxy); whether by DNAT, root can tell"
    return f"tcp port {port} has neither a listener nor a DNAT rule that can be read"


def _publishes(waypoint: Waypoint) -> bool:
    """Whether what is published on a host enters the driver's network there."""
    return waypoint.by is By.BRIDGE or (waypoint.by is By.OUTWARD and waypoint.end is End.SERVER)


def _printed(machine: Machine, argv: tuple[str, ...]) -> str:
    done = machine.shell.run(argv, timeout=LOOK_WITHIN)
    return done.stdout.decode(errors="replace") if done.exit_code == 0 else ""


class _Settings:
    def __init__(self, fleet: Fleet, locator: Locator, plan: Plan) -> None:
        self.fleet = fleet
        self.locator = locator
        self.plan = plan

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
            if way.access is Access.PUBLISHED_HOST:
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
        ports: dict[tuple[str, str], dict[int, None]] = {}
        for cell in self.plan.cells:
            if cell.access is not Access.PUBLISHED_HOST:
                continue
            published = drivers.known()[cell.driver].published
            offset = workloads.named(cell.workload).port + published
            for pair in pairs(self.plan):
                key = (cell.driver, pair.server)
                ports.setdefault(key, {})[self.deployment.port_base + offset] = None
        hosts = dict.fromkeys(host for _, host in ports)
        told = self.fleet.attempt(
            lambda machine: (_printed(machine, NAT), _printed(machine, LISTENERS)), hosts
        )
        found = {}
        for (driver, host), wanted in ports.items():
            answer = told[host]
            if not isinstance(answer, NetbenchError):
                found[driver, host] = "; ".join(publication(*answer, port) for port in wanted)
        return found

    @staticmethod
    def run(machine: Machine, namespace: str, argv: tuple[str, ...]) -> Completed:
        if namespace.startswith("/"):
            inside = ("nsenter", f"--net={namespace}", *argv)
            return machine.shell.run(inside, timeout=LOOK_WITHIN)
        return machine.engine.exec(namespace, argv, timeout=LOOK_WITHIN)
