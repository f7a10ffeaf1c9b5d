"""IPVS that forgets silent connections before TCP notices."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure


class Balancers(Rule):
    name = "ipvs"
    title = "IPVS timeouts"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for host, look in seen.hosts.items():
            short = [
                one
                for one in look.balancers
                if one.services and look.keepalive is not None and one.tcp < look.keepalive
            ]
            if not short:
                continue
            least = min(one.tcp for one in short)
            yield self.finding(
                host,
                "connections by a service's address (vip) or the routing mesh that stay silent "
                "are forgotten: the next packet hangs or is reset",
                Sure.POSSIBLE,
                f"IPVS forgets after {least} s of silence, and TCP asks after {look.keepalive} s "
                f"whether the peer is there ({', '.join(one.namespace for one in short)})",
                f"set net.ipv4.tcp_keepalive_time below {least} in the containers (sysctls of the "
                "service) for programs that use keepalive, or use endpoint mode dnsrr",
            )


RULE = Balancers()
