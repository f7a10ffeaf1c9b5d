"""Tables that are full or nearly so: tracked connections and file descriptors."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure, together

FULL = 0.8


class Limits(Rule):
    name = "limits"
    title = "conntrack table and file descriptors"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for host, look in seen.hosts.items():
            table = look.conntrack
            if table and (table.dropped or table.count >= FULL * table.most):
                evidence = f"{table.count} of {table.most} entries are taken"
                if table.dropped:
                    evidence += f", and {table.dropped} were dropped for want of room just now"
                yield self.finding(
                    host,
                    "the table of tracked connections is full: new connections through NAT, "
                    "published ports and IPVS are dropped",
                    Sure.CERTAIN if table.dropped else Sure.LIKELY,
                    evidence,
                    f"raise net.netfilter.nf_conntrack_max (now {table.most}), and look with "
                    "`conntrack -L` at what fills it",
                )
        yield from together(
            (
                (host, (one.process, one.used, one.most))
                for host, look in seen.hosts.items()
                for one in look.files
                if one.used >= FULL * one.most
            ),
            lambda where, one: self.finding(
                where,
                f"{one[0]} may soon open no more files and sockets: the engine stops making "
                "networks and proxies",
                Sure.LIKELY,
                f"{one[1]} of {one[2]} file descriptors are open",
                "raise LimitNOFILE in docker.service (or fs.file-max for all processes), and "
                "restart the engine",
            ),
        )


RULE = Limits()
