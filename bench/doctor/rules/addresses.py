"""Machines with several networks whose swarm or routes use another than the data network."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure


class Addresses(Rule):
    name = "addresses"
    title = "the wrong network of several"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for name, place in seen.places.items():
            if place.swarm_address and place.swarm_address != place.address:
                yield self.finding(
                    name,
                    "overlay traffic takes another network than the data network",
                    Sure.CERTAIN,
                    f"its swarm knows it as {place.swarm_address}, its data address is "
                    f"{place.address}",
                    "leave the swarm and join it with --advertise-addr and --data-path-addr "
                    f"{place.address}; or set netbench_data_address to {place.swarm_address} if "
                    "that is the one that is meant",
                )
            look = seen.hosts.get(name)
            for peer in look.peers if look else ():
                if peer.interface and peer.interface != place.interface:
                    yield self.finding(
                        f"{name} -> {peer.name}",
                        f"packets to its data address leave by {peer.interface}, not by the data "
                        "interface",
                        Sure.CERTAIN,
                        f"the route to {peer.address} is by {peer.interface} with source "
                        f"{peer.source or 'unknown'}; {name}'s data interface is "
                        f"{place.interface} ({place.address})",
                        f"set netbench_data_address of {peer.name} to its address on the data "
                        "network, or mend the route",
                    )


RULE = Addresses()
