"""Which of a host's networks is the data network: the one to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from bench.errors import HostError
from bench.facts.fact import ask
from bench.facts.network import INTERFACES, ROUTES, Interface, Route, parse_ssh_connection
from bench.model import Host
from bench.remote.api import Machine


@dataclass(frozen=True, slots=True)
class DataNetwork:
    """A host's end of the data network: address, interface, and the interface's MTU in bytes."""

    address: str
    interface: str
    mtu: int


def data_network(machine: Machine) -> DataNetwork:
    """The host's end of the data network. Raises HostError where it cannot be told."""
    # What sshd says is missing behind sudo and behind other servers: it is only ever of help.
    seen = machine.shell.run(("printenv", "SSH_CONNECTION"))
    return resolve(
        machine.host,
        ask(machine, INTERFACES),
        ask(machine, ROUTES),
        parse_ssh_connection(seen.stdout.decode(errors="replace")),
    )


def resolve(
    host: Host,
    interfaces: Sequence[Interface],
    routes: Sequence[Route],
    reached_at: IPv4Address | None = None,
) -> DataNetwork:
    """Find the data network from what the inventory says and what the host has.

    Address or interface of the inventory decide; else the interface that carries the address in the
    inventory or the one at which SSH arrived (``reached_at``: they differ behind a NAT); else the
    default route. Raises HostError, with the key to set, where that leads to none or to several.
    """
    if host.data_address or host.data_interface:
        return _said(host, interfaces)
    for candidate in (_literal(host.address), reached_at):
        carriers = [one for one in interfaces if candidate and one.has(candidate)]
        if candidate and not candidate.is_loopback and len(carriers) == 1:
            return DataNetwork(str(candidate), carriers[0].name, carriers[0].mtu)
    return _by_default_route(host, interfaces, routes)


def _said(host: Host, interfaces: Sequence[Interface]) -> DataNetwork:
    wanted = _literal(host.data_address or "")
    named = [one for one in interfaces if host.data_interface in (None, one.name)]
    if not named:
        raise HostError(
            host.name,
            f"has no interface {host.data_interface}",
            f"set netbench_data_interface to one of {_listing(interfaces)}",
        )
    if wanted:
        found = [(one, wanted) for one in named if one.has(wanted)]
    else:
        found = [(one, own.ip) for one in named for own in one.addresses if not own.ip.is_loopback]
    if not found:
        what = f"address {host.data_address}" if host.data_address else "IPv4 address"
        where = f"its interface {host.data_interface}" if host.data_interface else "its interfaces"
        key = "netbench_data_address" if host.data_address else "netbench_data_interface"
        raise HostError(
            host.name,
            f"there is no {what} on {where}",
            f"set {key} to one of {_listing(interfaces)}",
        )
    if len(found) > 1:
        missing = "netbench_data_interface" if host.data_address else "netbench_data_address"
        several = ", ".join(f"{address} ({one.name})" for one, address in found)
        raise HostError(
            host.name, f"its data network could be any of {several}", f"set {missing} as well"
        )
    carrier, address = found[0]
    return DataNetwork(str(address), carrier.name, carrier.mtu)


def _by_default_route(
    host: Host, interfaces: Sequence[Interface], routes: Sequence[Route]
) -> DataNetwork:
    defaults = [route for route in routes if route.is_default]
    if not defaults:
        raise HostError(
            host.name,
            f"none of its interfaces has the address {host.address} and it has no default route, "
            "so its data network cannot be told",
            f"set netbench_data_address to one of {_listing(interfaces)}",
        )
    best = min(route.metric for route in defaults)
    found = {
        (one.name, route.source or own.ip): one.mtu
        for route in defaults
        if route.metric == best
        for one in interfaces
        if one.name == route.interface
        for own in one.addresses
    }
    if len(found) != 1:
        several = "several addresses" if found else "no address"
        raise HostError(
            host.name,
            f"its default route leads over {several}, so its data network cannot be told",
            f"set netbench_data_address to one of {_listing(interfaces)}",
        )
    ((name, address), mtu) = found.popitem()
    return DataNetwork(str(address), name, mtu)


def _literal(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def _listing(interfaces: Sequence[Interface]) -> str:
    usable = [
        f"{own.ip} ({one.name})"
        for one in interfaces
        for own in one.addresses
        if not own.ip.is_loopback
    ]
    return ", ".join(usable) or "its addresses, once it has any"
