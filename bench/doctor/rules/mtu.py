"""Packets that are too large for the path: black holes, and overlays that assume too much."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.facts.verdict import Outcome, PathMtu

# What the engine assumes of the underlay where nobody sets an MTU.
ASSUMED = 1500


class Mtu(Rule):
    name = "mtu"
    title = "path MTU and black holes"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for path in seen.report.paths:
            if path.outcome in (Outcome.BLACK_HOLE, Outcome.SMALLER):
                yield self._too_large(path)
        yield from self._overlays(seen)

    def _too_large(self, path: PathMtu) -> Finding:
        hole = path.outcome is Outcome.BLACK_HOLE
        what = (
            "black hole: small packets pass and full-size ones vanish, so connections open and "
            "then hang"
            if hole
            else "full-size packets do not fit: VXLAN's are cut or lost"
        )
        evidence = f"packets of {path.size} bytes do not arrive, those of {path.largest} do"
        if path.detail:
            evidence += f" ({path.detail})"
        advice = (
            f"set the MTU of both data interfaces to {path.largest}, and that of overlay networks "
            f"to match (com.docker.network.driver.mtu={path.largest}), or let the path carry more"
        )
        return self.finding(f"{path.source} -> {path.target}", what, Sure.CERTAIN, evidence, advice)

    def _overlays(self, seen: Examination) -> Iterable[Finding]:
        """Overlay networks that were made for more than the hosts' data interfaces take."""
        sizes = {name: place.mtu for name, place in seen.places.items()}
        if not sizes:
            return
        host, least = min(sizes.items(), key=lambda entry: entry[1])
        wide = {
            one.name: one.mtu or ASSUMED
            for look in seen.hosts.values()
            for one in look.networks
            if one.driver == "overlay" and (one.mtu or ASSUMED) > least
        }
        for name, assumed in wide.items():
            yield self.finding(
                host,
                f"the overlay {name} assumes more than the data network takes: its full-size "
                "packets are cut or lost",
                Sure.LIKELY,
                f"it was made for an underlay of {assumed} bytes, and {host}'s data interface has "
                f"an MTU of {least}",
                f"make it anew with com.docker.network.driver.mtu={least}",
            )


RULE = Mtu()
