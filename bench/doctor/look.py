"""Looking at hosts, and between them: all at once what does not disturb, bulk data in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from bench.doctor.base import Examination
from bench.doctor.seen import Flow, HostLook, Place
from bench.errors import HostError, HostUnreachable, NetbenchError
from bench.facts import Problem, Report, check
from bench.facts.between import SWARM_TCP
from bench.facts.data_network import data_network
from bench.facts.fact import ask
from bench.facts.host import link_speed
from bench.facts.network import INTERFACES, ROUTES, WIDEST
from bench.facts.script import Script
from bench.facts.verdict import Outcome
from bench.model import Host, Inventory
from bench.remote.api import Machine, SwarmState
from bench.remote.fleet import Fleet, connect

HOST = Script(
    "bench.doctor", "host_probe.py", "the doctor's look", "nothing of {host} was looked at"
)
PEERS = Script(
    "bench.doctor", "peer_probe.py", "the doctor's tries", "nothing was tried from {host}"
)
BULK = Script(
    "bench.doctor", "bulk_probe.py", "the doctor's bulk data", "no rate of {host}'s is known"
)
# How long hosts are looked at (seconds), how long one sends bulk data and by which intervals it is
# counted, and how many pairs do so at most.
LOOK_FOR, SEND_FOR, INTERVAL, MOST_FLOWS = 3.0, 2.0, 0.2, 12
WITHIN = 40.0
# What engines call their bridges and cables.
_CONTAINERS = ("docker", "br-", "veth")


def examine(
    inventory: Inventory, reach: Callable[[Iterable[Host]], Fleet] = connect
) -> Examination:
    """The check, then a look at every host in reach, then bulk data between neighbours.

    Never raises for what a host does. Where a host's look failed it is missing, and the report has
    the problem.
    """
    report = check(inventory, reach)
    up = {host.name for host in report.hosts if host.reachable and host.data_address}
    hosts = [host for host in inventory.hosts if host.name in up]
    with reach(hosts) as fleet:
        placed = fleet.attempt(_place)
        places = {
            name: place for name, place in placed.items() if not isinstance(place, NetbenchError)
        }
        looked = fleet.attempt(lambda machine: _look(machine, places), tuple(places))
        flows = tuple(_flows(fleet, places, report))
    faults = [one for one in (*placed.values(), *looked.values()) if isinstance(one, HostError)]
    looks = {name: one for name, one in looked.items() if not isinstance(one, NetbenchError)}
    return Examination(
        _with(report, faults),
        {name: _outside(place, looks.get(name)) for name, place in places.items()},
        looks,
        flows,
        inventory.shared_kernel,
    )


def _with(report: Report, faults: Iterable[HostError]) -> Report:
    """The report with what the look met with; what the check knows already is said once."""
    known = {problem.where for problem in report.problems}
    more = [
        Problem(one.host, one.what.removeprefix(f"{one.host}: "), one.hint)
        for one in faults
        if one.host not in known
    ]
    return replace(report, ok=report.ok and not more, problems=(*report.problems, *more))


def _place(machine: Machine) -> Place:
    found = data_network(machine)
    host = machine.host
    interfaces, routes = ask(machine, INTERFACES), ask(machine, ROUTES)
    own = next(
        str(address.network)
        for one in interfaces
        if one.name == found.interface
        for address in (*one.addresses, *one.secondary)
        if str(address.ip) == found.address
    )
    speed = host.line_rate
    if speed is None:
        # Interfaces without a device of their own have no speed.
        with suppress(HostError):
            speed = ask(machine, link_speed(found.interface))
    swarm = SwarmState("inactive")
    # An engine that does not answer is the check's to tell.
    with suppress(HostError):
        swarm = machine.engine.facts().swarm
    return Place(
        name=host.name,
        address=found.address,
        interface=found.interface,
        mtu=found.mtu,
        network=own,
        routes=tuple(
            (str(route.network), route.interface)
            for route in routes
            if not route.network.is_multicast and route.network.prefixlen >= WIDEST
        ),
        swarm_address=swarm.node_address if swarm.state == "active" else "",
        manager=swarm.is_manager,
        speed=speed,
        emulated=host.emulated_link,
    )


def _outside(place: Place, look: HostLook | None) -> Place:
    """Without the routes that are container networks' own."""
    bridges = {one.interface for one in look.networks} if look else set()
    kept = tuple(
        (network, interface)
        for network, interface in place.routes
        if interface not in bridges and not interface.startswith(_CONTAINERS)
    )
    return replace(place, routes=kept)


def _look(machine: Machine, places: Mapping[str, Place]) -> HostLook:
    name = machine.host.name
    peers = [
        {"name": other, "address": place.address}
        for other, place in places.items()
        if other != name
    ]
    config = {"interface": places[name].interface, "peers": peers, "seconds": LOOK_FOR}
    tried = PEERS.run(machine, "look", config, WITHIN)
    own = HOST.run(machine, "look", config, WITHIN)
    unread = [*own.get("unread", ()), *tried.get("unread", ())]
    try:
        return msgspec.convert({**own, **tried, "unread": unread}, HostLook)
    except msgspec.ValidationError as fault:
        raise HostError(name, f"the doctor's look printed something else: {fault}") from fault


def _flows(fleet: Fleet, places: Mapping[str, Place], report: Report) -> Iterable[Flow]:
    """Bulk data from each host to the next, one pair after another."""
    names = list(places)
    if len(names) < 2:
        return
    ring = zip(names, [*names[1:], names[0]], strict=True)
    for source, target in islice(ring, MOST_FLOWS):
        open_ports = [
            one.port
            for one in report.ports
            if (one.source, one.target, one.protocol) == (source, target, "tcp")
            and one.outcome is Outcome.OPEN
            and one.port not in SWARM_TCP
        ]
        if not open_ports:
            yield Flow(source, target, INTERVAL, fault="no port of netbench's is open there")
            continue
        config: dict[str, Any] = {
            "address": places[target].address,
            "port": open_ports[0],
            "seconds": SEND_FOR,
            "interval": INTERVAL,
        }
        try:
            BULK.run(fleet[target], "serve", config, WITHIN)
            told = BULK.run(fleet[source], "send", config, WITHIN)
            taken = msgspec.convert(told["bytes"], tuple[int, ...])
            load = msgspec.convert(told["load"], float)
            yield Flow(source, target, INTERVAL, taken, load)
        except (NetbenchError, KeyError, msgspec.ValidationError) as fault:
            yield Flow(source, target, INTERVAL, fault=str(fault))
            if isinstance(fault, HostUnreachable):
                return
