"""Checksums that arrive wrong, and offloads that are off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.doctor.base import Examination, Finding, Rule, Sure, together

# So many in a few seconds, or so many ever that are this share of all, are no stray bits.
DURING, EVER, SHARE = 3, 50, 1e-4


class Offloads(Rule):
    name = "offloads"
    title = "checksum, segmentation and tunnel offload"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for host, look in seen.hosts.items():
            for one in look.checksums:
                now = one.during >= DURING
                if now or (one.wrong >= EVER and one.wrong > SHARE * (one.received or 1)):
                    yield self.finding(
                        host,
                        "packets arrive with wrong checksums and are thrown away: a sender's "
                        "checksum or tunnel offload is likely broken",
                        Sure.LIKELY if now else Sure.POSSIBLE,
                        f"{one.where}: {one.wrong} wrong of {one.received} received, "
                        f"{one.during} of them during this look",
                        "on the hosts that send to it try `ethtool -K INTERFACE "
                        "tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off`, then "
                        "`tx off`; a newer driver or kernel mends it",
                    )
        yield from together(
            (
                (host, name)
                for host, look in seen.hosts.items()
                for name in _switched_off(look.offloads)
            ),
            lambda where, name: self.finding(
                where,
                f"{_TITLES[name]} is off: the kernel does that work for every packet",
                Sure.POSSIBLE,
                f"ethtool has {name} off on the data interface",
                f"switch it on (`ethtool -K INTERFACE {name} on`) unless it was switched off for "
                "a fault of the card's",
            ),
        )


def _switched_off(offloads: Mapping[str, bool]) -> list[str]:
    """What somebody has switched off. A card that makes no checksums cannot segment either, and
    that is no setting; every kernel can do the generic segmentation."""
    able = {"tso": offloads.get("tx-checksum", False), "gso": True}
    return [name for name, can in able.items() if can and not offloads.get(name, True)]


_TITLES = {"tso": "TCP segmentation offload", "gso": "generic segmentation offload"}

RULE = Offloads()
