"""What interfaces, addresses and routes a host has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from bench.errors import HostError, ParseError
from bench.facts.fact import Fact, ask
from bench.remote.api import Machine

IPROUTE_HINT = "netbench reads JSON from `ip`: install iproute2 4.14 or newer"
# A route to a network wider than this is a default route in parts (VPNs use two halves): it says
# nothing about which addresses are taken.
WIDEST = 8
VLAN = re.compile(r".+\.\d{1,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface, its MTU in bytes, and its IPv4 addresses.

    ``secondary`` ones share a network with one of ``addresses``: the kernel sends from none of them
    unless told to.
    """

    name: str
    mtu: int
    addresses: tuple[IPv4Interface, ...]
    secondary: tuple[IPv4Interface, ...] = ()

    def has(self, address: IPv4Address) -> bool:
        return any(own.ip == address for own in (*self.addresses, *self.secondary))


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv4 route of the main table; ``network`` is 0.0.0.0/0 for a default route."""

    network: IPv4Network
    interface: str
    source: IPv4Address | None
    metric: int

    @property
    def is_default(self) -> bool:
        return self.network.prefixlen == 0


def parse_interfaces(text: str) -> tuple[Interface, ...]:
    """The output of ``ip -j addr show``."""
    return tuple(
        Interface(
            str(entry["ifname"]),
            _number(entry.get("mtu")),
            tuple(_addresses(entry, secondary=False)),
            tuple(_addresses(entry, secondary=True)),
        )
        for entry in _entries(text)
        if "ifname" in entry
    )


def _addresses(entry: dict[str, Any], *, secondary: bool) -> Iterable[IPv4Interface]:
    for info in _objects(entry, "addr_info"):
        if info.get("family") != "inet":
            continue
        if bool(info.get("secondary")) != secondary:
            continue
        try:
            yield IPv4Interface(f"{info['local']}/{info['prefixlen']}")
        except (KeyError, ValueError) as fault:
            raise ParseError(f"no IPv4 address: {info!r:.80}") from fault


def parse_routes(text: str) -> tuple[Route, ...]:
    """The output of ``ip -j route show``: one route an interface where it has several."""
    routes: list[Route] = []
    for entry in _entries(text):
        if "dst" not in entry:
            continue
        destination = "0.0.0.0/0" if entry["dst"] == "default" else str(entry["dst"])
        source = entry.get("prefsrc")
        hops = _objects(entry, "nexthops")
        try:
            routes += [
                Route(
                    IPv4Network(destination, strict=False),
                    interface,
                    IPv4Address(source) if source else None,
                    _number(entry.get("metric", 0)),
                )
                for interface in dict.fromkeys(str(hop.get("dev", "")) for hop in hops or [entry])
            ]
        except ValueError as fault:
            raise ParseError(f"no IPv4 route: {entry!r:.80}") from fault
    return tuple(routes)


def parse_ssh_connection(text: str) -> IPv4Address | None:
    """The host's own end in ``SSH_CONNECTION`` (client, port, server, port), if that is IPv4."""
    words = text.split()
    if len(words) != 4:
        return None
    try:
        return IPv4Address(words[2].removeprefix("::ffff:"))
    except AddressValueError:
        return None


def _objects(entry: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = entry.get(key) or []
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    raise ParseError(f"{found!r:.40} for {key}")


def _entries(text: str) -> list[dict[str, Any]]:
    # Nothing to list is nothing at all with some versions of ip, and {} for what a filter left out.
    try:
        entries = json.loads(text or "[]")
    except ValueError as fault:
        raise ParseError(f"no JSON: {text.strip()!r:.60}") from fault
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ParseError(f"something other than a list of objects: {text.strip()!r:.60}")
    return entries


def _number(value: object) -> int:
    if isinstance(value, int):
        return value
    raise ParseError(f"{value!r:.40} where a number should be")


INTERFACES = Fact(("ip", "-j", "addr", "show"), parse_interfaces, IPROUTE_HINT)
ROUTES = Fact(("ip", "-j", "route", "show"), parse_routes, IPROUTE_HINT)


def networks_in_use(machine: Machine) -> tuple[IPv4Network, ...]:
    """The IPv4 networks that the host has addresses in or routes to, without the default route.

    A network that overlaps one of these is not free for containers. Raises HostError.
    """
    return taken(ask(machine, INTERFACES), ask(machine, ROUTES))


def taken(interfaces: Sequence[Interface], routes: Sequence[Route]) -> tuple[IPv4Network, ...]:
    """The networks of addresses and routes, each once, in order."""
    networks = {own.network for one in interfaces for own in (*one.addresses, *one.secondary)}
    networks |= {route.network for route in routes if not route.network.is_multicast}
    return tuple(sorted(one for one in networks if one.prefixlen >= WIDEST))


def require_parent(machine: Machine) -> None:
    """Raise HostError where the inventory names a parent interface that the host does not have.

    Docker itself makes the VLAN interface ``eth0.10`` on an ``eth0`` that is there.
    """
    wanted = machine.host.macvlan_parent
    if not wanted:
        return
    names = [one.name for one in ask(machine, INTERFACES)]
    if wanted in names or (VLAN.fullmatch(wanted) and wanted.rpartition(".")[0] in names):
        return
    raise HostError(
        machine.host.name,
        f"has no interface {wanted}, which netbench_macvlan_parent names",
        f"set it to one of {', '.join(name for name in names if name != 'lo')}",
    )
