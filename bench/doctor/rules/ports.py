"""Swarm's ports between hosts: which is shut, in which direction, and what stops working."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.doctor.rules.link import LOST
from bench.facts.between import SWARM_TCP, SWARM_UDP
from bench.facts.verdict import Outcome, PortResult

_NEEDED = {
    ("tcp", 2377): "Swarm's management: nodes cannot join, or drop out",
    ("tcp", 7946): "gossip: nodes do not learn of each other's containers",
    ("udp", 7946): "gossip: nodes take each other for dead, and names go missing",
    ("udp", 4789): "VXLAN: overlay networks carry nothing that way",
}
_SHUT = (Outcome.BLOCKED, Outcome.REFUSED)


class Ports(Rule):
    name = "ports"
    title = "Swarm's ports, in each direction"

    def find(self, seen: Examination) -> Iterable[Finding]:
        results = {
            (one.source, one.target, one.protocol, one.port): one for one in seen.report.ports
        }
        silent = {
            (one.source, one.target)
            for one in seen.report.ports
            if all(
                other.outcome in _SHUT
                for other in seen.report.ports
                if (other.source, other.target) == (one.source, one.target)
            )
        }
        for source, target in sorted(silent):
            yield self.finding(
                f"{source} -> {target}",
                "nothing gets through",
                Sure.CERTAIN,
                "every port that was tried is shut",
                "see routes and firewalls between the two, and whether netbench_data_address is "
                "the address at which they reach each other",
            )
        managers = [name for name, place in seen.places.items() if place.manager]
        for key, one in results.items():
            source, target, protocol, port = key
            swarm = port in (SWARM_TCP if protocol == "tcp" else SWARM_UDP)
            needless = port == 2377 and bool(managers) and target not in managers
            if not swarm or needless or one.outcome not in _SHUT or (source, target) in silent:
                continue
            if port == 2377 and not managers and target != next(iter(seen.places), target):
                continue
            back = results.get((target, source, protocol, port))
            yield self._finding(one, back, _lost(seen, source, target))

    def _finding(self, one: PortResult, back: PortResult | None, lost: str) -> Finding:
        name = f"{one.protocol.upper()} {one.port}"
        what = f"{name} is {one.outcome} ({_NEEDED[one.protocol, one.port]})"
        evidence = f"nothing sent from {one.source} to {one.target} arrived"
        if one.outcome is Outcome.REFUSED:
            evidence = f"{one.target} or a firewall before it refused what {one.source} sent"
        if one.detail:
            evidence += f" ({one.detail})"
        if back is not None and back.outcome is Outcome.OPEN:
            evidence += f"; the other direction, {one.target} to {one.source}, is open"
        sure = Sure.CERTAIN
        if lost and one.outcome is Outcome.BLOCKED:
            # What was sent may be among what gets lost.
            sure = Sure.POSSIBLE
            evidence += f"; but between the two {lost}"
        advice = (
            f"open {name} from {one.source} in {one.target}'s firewall and in the cloud's "
            f"security group, and see that {one.source}'s own lets it out"
        )
        return self.finding(f"{one.source} -> {one.target}", what, sure, evidence, advice)


def _lost(seen: Examination, *pair: str) -> str:
    """What two hosts saw get lost between them, of echo requests that others answer."""
    for source, target in (pair, pair[::-1]):
        look = seen.hosts.get(source)
        for peer in look.peers if look else ():
            if peer.name == target and peer.answered and peer.sent - peer.answered >= LOST:
                return f"{peer.sent - peer.answered} of {peer.sent} echo requests were lost"
    return ""


RULE = Ports()
