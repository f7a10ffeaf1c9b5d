"""Container networks whose addresses are those of something outside."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.doctor.seen import Network


class Subnets(Rule):
    name = "subnets"
    title = "container networks that overlap the underlay"

    def find(self, seen: Examination) -> Iterable[Finding]:
        underlay = {place.network: name for name, place in seen.places.items()}
        found: dict[tuple[str, str], list[str]] = {}
        for host, look in seen.hosts.items():
            place = seen.places.get(host)
            routes = dict(place.routes) if place else {}
            servers = tuple(one.server for one in look.resolvers)
            for network in look.networks:
                for subnet in network.subnets:
                    for what in _taken(network, subnet, underlay, routes, servers):
                        found.setdefault((f"{network.name} ({subnet})", what), []).append(host)
        for (which, what), hosts in found.items():
            yield self.finding(
                ", ".join(dict.fromkeys(hosts)),
                f"the network {which} overlaps {what}: containers on it do not reach what is there",
                Sure.CERTAIN,
                f"Docker has given out {which}, and the host knows {what}",
                "make it anew with --subnet of a free range, and set default-address-pools in "
                "daemon.json (for swarms --default-addr-pool at `docker swarm init`)",
            )


def _taken(
    network: Network,
    subnet: str,
    underlay: dict[str, str],
    routes: dict[str, str],
    resolvers: Iterable[str],
) -> Iterable[str]:
    try:
        own = IPv4Network(subnet)
    except ValueError:
        return
    # A macvlan or ipvlan is meant to have the addresses of the network that it is on.
    if network.driver in ("macvlan", "ipvlan"):
        return
    for other in underlay:
        if own.overlaps(IPv4Network(other)):
            yield f"the data network {other}"
    for other, interface in routes.items():
        if other not in underlay and own.overlaps(IPv4Network(other)):
            yield f"the route to {other} by {interface}"
    for server in resolvers:
        if IPv4Address(server) in own:
            yield f"the name server {server}"


RULE = Subnets()
