"""Links that are held to a rate, lose packets, or are long."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.doctor.seen import Flow
from bench.units import human

# A shaped link is steady; one whose interface carries this much more is not used up by it.
STEADY, MORE = 0.25, 1.3
# Links that are as steady and faster than this are hardly told from processors at their limit.
FASTEST = 2.5e9
FEWEST_RATES = 5
# Where the transfer takes this share of a core at either end, it may be the processor's limit.
LOAD = 0.6
LOST, FAR = 2, 0.005


class Links(Rule):
    name = "link"
    title = "shaped, lossy and long links"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for name, place in seen.places.items():
            held = seen.hosts[name].queueing if name in seen.hosts else ()
            if held:
                yield self.finding(
                    name,
                    "its data interface is shaped: all that leaves it is held back",
                    Sure.CERTAIN,
                    f"tc has {held[0]} on {place.interface}",
                    f"`tc qdisc del dev {place.interface} root` removes it, if nobody wants it",
                )
        yield from self._shaped(seen)
        for name, look in seen.hosts.items():
            for peer in look.peers:
                where = f"{name} -> {peer.name}"
                lost = peer.sent - peer.answered
                if peer.answered and lost >= LOST:
                    yield self.finding(
                        where,
                        "packets get lost: TCP slows down to a share of the link",
                        Sure.LIKELY,
                        f"{lost} of {peer.sent} echo requests were not answered",
                        "look at `ip -s link` and `ethtool -S` at both ends for drops and errors",
                    )
                if peer.rtt is not None and peer.rtt > FAR:
                    yield self.finding(
                        where,
                        "they are far from each other, or something holds packets up",
                        Sure.POSSIBLE,
                        f"an answer takes {human(peer.rtt, 's')}",
                        "put hosts that talk much into one zone; large buffers on the way show as "
                        "a time that grows under load",
                    )

    def _shaped(self, seen: Examination) -> Iterable[Finding]:
        # By what is said of the links: the pairs and what they carried.
        held: dict[tuple[bool, str], dict[str, float]] = {}
        for flow in seen.flows:
            ends = (seen.places.get(flow.source), seen.places.get(flow.target))
            emulated = [end.emulated for end in ends if end and end.emulated]
            speeds = [end.speed for end in ends if end and end.speed]
            speed = min(speeds, default=None)
            # Where it is known to be held to a rate, it need not be seen to be steady.
            rate = median(flow.rates) if emulated and flow.rates else _steady(flow)
            # A link that carries all that it is said to is not held back, and one that carries far
            # more than it was made for is not held back either.
            if not rate or (speed and (rate > MORE * speed if emulated else speed < MORE * rate)):
                continue
            about = f" in every {flow.interval:g} s"
            if emulated:
                about = f"; the inventory says of the link: {emulated[0]}"
            elif speed:
                about += f"; the interface is said to carry {human(speed, 'bit/s')}"
            pair = f"{flow.source} -> {flow.target}"
            held.setdefault((bool(emulated), about), {})[pair] = rate
        for (known, about), rates in held.items():
            low, high = (human(find(rates.values()), "bit/s") for find in (min, max))
            carried = low if low == high else f"{low} to {high}"
            yield self.finding(
                ", ".join(rates),
                f"the link is held to about {human(median(rates.values()), 'bit/s')}: no network "
                "driver gets more through it",
                Sure.CERTAIN if known else Sure.LIKELY,
                f"one TCP connection carried {carried}{about}",
                "see what the machine's size or its provider allows, and switches' and "
                "hypervisors' limits",
            )


def _steady(flow: Flow) -> float | None:
    """The rate (bit/s) of a transfer that some limit other than the processors' seems to hold."""
    rates = sorted(flow.rates)
    if len(rates) < FEWEST_RATES or flow.load >= LOAD:
        return None
    middle = median(rates)
    # An interval more or less may be off: the reader is not always waiting.
    spread = rates[-2] - rates[1]
    return middle if 0 < middle < FASTEST and spread <= STEADY * middle else None


RULE = Links()
