"""Who may reach whom, by the rules of Docker's networks; and reading what was found. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bench.checked import Finding
from bench.errors import ParseError


class Way(StrEnum):
    """How somebody is reached."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    NAME = "name"


class Kind(StrEnum):
    """What kind of network somebody is on."""

    HOST = "host"
    BRIDGE = "bridge"
    OVERLAY = "overlay"
    GATEWAY = "gateway"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Net:
    """A network of the matrix: an ``internal`` one has no way out."""

    name: str
    kind: Kind
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """One container of the matrix: where it is, which networks it is to be on, by which addresses
    it is reached on which network, and by which name; ``task`` is what it answers with."""

    label: str
    host: str
    nets: tuple[Net, ...]
    task: str
    addresses: Mapping[str, str] = field(compare=False)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """One field of the matrix: from ``source`` to ``target`` at its address on ``net``. ``reached``
    is whether it must be; None where either may be."""

    source: Spot
    target: Spot
    net: Net
    way: Way
    reached: bool | None

    def words(self, port: int) -> str:
        """As `netbench-ask reach` takes it."""
        if self.way is Way.NAME:
            return f"name:{self.target.name}"
        address = self.target.addresses[self.net.name]
        return f"icmp:{address}" if self.way is Way.ICMP else f"{self.way}:{address}:{port}"


def may_reach(source: Spot, net: Net, host: str, way: Way) -> bool | None:
    """Whether a container reaches one that is on ``net`` on ``host``, by the rules; None where that
    is up to the engine, or to the network that the hosts are on.

    A bridge is its host's own; an overlay is everywhere. Whoever is on a network that is not
    internal gets out to the hosts. A host reaches its own bridges (internal ones too: Docker keeps
    those from the world, not from their host), no overlay, and knows nobody's name. An internal
    bridge's containers reach their own host at the bridge's address; before Docker 25.0 they have a
    default route and reach it at its others too (moby/moby#46603).

    By the gateway bridge, which gives overlays' containers their way out, nobody reaches anybody:
    Docker makes it with icc=false. It is its host's own, who does. A network on the hosts' parent
    interfaces is one with what these are plugged into, which says what passes between hosts, and
    has its own way (or none) from and to all others; containers on one parent meet above it.
    """
    local = source.host == host
    kinds = {one.kind for one in source.nets}
    closed = all(one.internal for one in source.nets)
    own = net in source.nets
    match net.kind:
        case Kind.HOST:
            either = kinds == {Kind.PARENT} or (local and kinds == {Kind.BRIDGE} and closed)
            return None if either else Kind.HOST in kinds or not closed
        case Kind.GATEWAY:
            return Kind.HOST in kinds and local
        case Kind.PARENT:
            if own and (local or way is Way.NAME):
                return True
            return False if closed or way is Way.NAME else None
        case _ if Kind.HOST in kinds:
            return way is not Way.NAME and net.kind is Kind.BRIDGE and local
        case _:
            return own and (local or net.kind is Kind.OVERLAY)


def tries(spots: Sequence[Spot]) -> Iterator[Try]:
    """Every field of the matrix that can be told.

    An address that several have, and one on another host's bridge, is not asked by ICMP, which does
    not say who answers: bridges are numbered by each host alone, so that a host may have the number
    on any other network of its own. Hosts have no names in Docker, nor has anybody on the gateway
    bridge.
    """
    shared = Counter(address for spot in spots for address in spot.addresses.values())
    for source in spots:
        for target in spots:
            if target == source:
                continue
            for net in target.nets:
                for way in Way:
                    own = net.kind in (Kind.BRIDGE, Kind.GATEWAY)
                    afar = own and source.host != target.host
                    if way is Way.ICMP and (afar or shared[target.addresses[net.name]] > 1):
                        continue
                    if way is Way.NAME and (not target.name or net.kind is Kind.GATEWAY):
                        continue
                    allowed = may_reach(source, net, target.host, way)
                    yield Try(source, target, net, way, allowed)


def parse(text: str) -> dict[str, tuple[bool, str]]:
    """What `netbench-ask reach` found, by target: whether, and its words. Raises ParseError."""
    found: dict[str, tuple[bool, str]] = {}
    for line in text.splitlines():
        target, _, told = line.partition(" ")
        verdict, _, words = told.partition(" ")
        if verdict not in ("yes", "no"):
            raise ParseError(f"netbench-ask said {line!r:.80}")
        found[target] = (verdict == "yes", words.strip())
    return found


def reached(one: Try, found: tuple[bool, str]) -> bool:
    """Whether it was this very target that was reached: its answer names it, its name's addresses
    hold its own. By ICMP whoever answers is it, as nobody else has that address."""
    answered, words = found
    if one.way is Way.ICMP or not answered:
        return answered
    if one.way is Way.NAME:
        return one.target.addresses[one.net.name] in words.split(",")
    return words.partition(" ")[0] == one.target.task


EITHER = "either"
_EXPECTED = {True: "reached", False: "not reached", None: EITHER}


def judged(one: Try, found: tuple[bool, str]) -> Finding:
    """One field of the matrix, told. A leak is named as one."""
    there = reached(one, found)
    source, target = f"{one.source.label} on {one.source.host}", f"{one.target.label} on"
    what = f"{source} -> {target} {one.target.host} by {one.way} ({one.words(0)})"
    what = what.replace(":0)", ")")
    failure = ""
    if there and one.reached is False:
        failure = f"LEAK: {what}: {found[1] or 'answered'}"
    elif one.reached and not there:
        failure = f"not reached, and must be: {what}: {found[1] or 'no answer'}"
    return Finding(
        group=f"{one.source.label} -> {one.net.name}",
        what=what,
        expected=_EXPECTED[one.reached],
        found="reached" if there else f"not reached: {found[1]}",
        failure=failure,
    )


def wanting(some: Iterable[Try], found: Mapping[Try, tuple[bool, str]]) -> list[Try]:
    """Those that must be reached and were not: networks may need a moment to settle."""
    return [one for one in some if one.reached and not reached(one, found[one])]


def own_hosts(findings: Iterable[Finding]) -> list[str]:
    """What internal bridges' containers reached of their own host, and might as well not have, in
    a note each."""
    told: dict[str, None] = {}
    for one in findings:
        if one.group == "bridge-internal -> host" and _either(one):
            told[one.what.partition(" by ")[0]] = None
    return [
        f"{what}: its own host's address is open to it, as Docker before 25.0 lets internal "
        "bridges have it (moby/moby#46603)"
        for what in told
    ]


def beyond(findings: Iterable[Finding], net: Net) -> list[str]:
    """What a network on the hosts' parent interfaces was found to lead to and from, where that is
    up to what these are plugged into: between hosts, and elsewhere."""
    either = [one for one in findings if one.expected == EITHER and net.name in one.group]
    notes = []
    within = [one for one in either if one.group == f"{net.name} -> {net.name}"]
    if within:
        reached = sum(one.found == "reached" for one in within)
        notes.append(
            f"{net.name} between hosts: reached in {reached} of {len(within)} tries; that is up to "
            "the network between them, which may let one MAC address through a port"
        )
    outside = sorted({one.group for one in either if one not in within and _either(one)})
    if outside:
        notes.append(
            f"the network around the hosts leads {', '.join(outside)}: containers on {net.name} "
            "are neighbours of the hosts there, and nothing of Docker's stands between"
        )
    return notes


def _either(one: Finding) -> bool:
    return one.expected == EITHER and one.found == "reached"
