"""A network that drops frames from MAC addresses that it did not hand out."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure


class Macs(Rule):
    name = "macs"
    title = "MAC filtering"

    def find(self, seen: Examination) -> Iterable[Finding]:
        filtered: dict[str, list[str]] = {}
        for host, look in seen.hosts.items():
            for peer in look.peers:
                if peer.own_mac and peer.other_mac is False:
                    filtered.setdefault(host, []).append(peer.name)
        for host, peers in filtered.items():
            yield self.finding(
                host,
                "the network filters MAC addresses: macvlan containers reach nobody beyond their "
                "host (overlay and bridge are not touched)",
                Sure.CERTAIN,
                f"{', '.join(peers)} answered an ARP question from its own MAC address and not "
                "the same one from another, three times",
                "let the port carry several MAC addresses (a hypervisor's forged transmits and "
                "MAC changes, a switch's port security), or use ipvlan or an overlay; clouds "
                "mostly cannot",
            )


RULE = Macs()
