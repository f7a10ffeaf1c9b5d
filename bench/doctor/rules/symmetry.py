"""Packets that go one way and come back another."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.doctor.seen import Peer

# What senders begin with; each router on the way takes one off.
_FIRST = (64, 128, 255)


class Symmetry(Rule):
    name = "symmetry"
    title = "asymmetric paths"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for one, other in combinations(seen.hosts, 2):
            there, back = _peer(seen, one, other), _peer(seen, other, one)
            if there is None or back is None:
                continue
            # An answer tells of the way that it came: what this host gets was sent by the other.
            hops = (_routers(back), _routers(there))
            gateways = (there.via, back.via)
            differ = None not in hops and hops[0] != hops[1]
            if differ or bool(gateways[0]) != bool(gateways[1]):
                yield self._finding((one, other), hops, gateways, differ=differ)

    def _finding(
        self,
        ends: tuple[str, str],
        hops: tuple[int | None, int | None],
        gateways: tuple[str, str],
        *,
        differ: bool,
    ) -> Finding:
        one, other = ends
        said = [
            f"{here}'s route to {there} is {f'by {via}' if via else 'direct'}"
            for here, there, via in ((one, other, gateways[0]), (other, one, gateways[1]))
        ]
        if differ:
            said.insert(
                0,
                f"{hops[0]} routers from {one} to {other}, {hops[1]} from {other} to {one} "
                "(TTL of answers)",
            )
        return self.finding(
            f"{one} <-> {other}",
            "packets take one way there and another back: firewalls that follow connections drop "
            "them, and each way has its own MTU and load",
            Sure.CERTAIN if differ else Sure.LIKELY,
            "; ".join(said),
            f"compare `ip route get` on {one} and {other}, and make both direct or both routed",
        )


def _peer(seen: Examination, host: str, name: str) -> Peer | None:
    return next((one for one in seen.hosts[host].peers if one.name == name), None)


def _routers(peer: Peer) -> int | None:
    """How many routers an answer of this peer's passed."""
    if peer.ttl is None:
        return None
    return next((first - peer.ttl for first in _FIRST if first >= peer.ttl), None)


RULE = Symmetry()
