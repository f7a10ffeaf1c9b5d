"""Name servers that do not answer."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure, together

SLOW = 1.0


class Names(Rule):
    name = "dns"
    title = "name servers"

    def find(self, seen: Examination) -> Iterable[Finding]:
        def tell(where: str, one: tuple[str, str]) -> Finding:
            server, outcome = one
            silent = outcome == "silent"
            return self.finding(
                where,
                f"the name server {server} "
                + ("does not answer" if silent else "answers slowly")
                + ": containers ask it for every name that Docker does not know, and wait",
                Sure.CERTAIN,
                "two questions for a name that does not exist, and no answer for 1.5 s each"
                if silent
                else f"the answer took more than {SLOW:g} s",
                "take it out of /etc/resolv.conf or open UDP 53 to it; engines take another with "
                '"dns" in daemon.json',
            )

        # One that refuses at once makes nobody wait: whether names outside are wanted, is the
        # user's business.
        yield from together(
            (
                (host, (one.server, one.outcome))
                for host, look in seen.hosts.items()
                for one in look.resolvers
                if one.outcome == "silent" or (one.outcome == "answered" and one.seconds > SLOW)
            ),
            tell,
        )


RULE = Names()
