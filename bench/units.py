"""Values as people read them: 4.21 Gbit/s, 183 µs, 12.3 k/s."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# Between the bounds of an interval, and in place of a value that does not exist.
DASH = NOTHING = "\N{EN DASH}"

_PREFIXES = {
    "bit/s": ((1e12, "Tbit/s"), (1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")),
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    # Times per a unit of work, the unit left as it is.
    "s/GB": ((1.0, "s/GB"), (1e-3, "ms/GB"), (1e-6, "µs/GB")),
    "s/k": ((1.0, "s/k"), (1e-3, "ms/k"), (1e-6, "µs/k")),
    "1/s": ((1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")),
}


# The slowest and the fastest link that can be meant, in bit/s.
SLOWEST, FASTEST = 1e5, 4e11

_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?) ?([kmgt]?)bit(?:/s|ps)?", re.ASCII | re.IGNORECASE)
_RATE_SIZES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit to show values in: its name, and how much of the stored unit one of it is."""

    unit: str
    size: float = 1.0

    def apply(self, value: float) -> float:
        return value / self.size

    def text(self, value: float | None) -> str:
        """The value's three leading digits; an en dash for what does not exist."""
        if value is None:
            return NOTHING
        # Counts are whole and stay so: 4 retransmits, not 4.00.
        whole = self.size == 1 and float(value).is_integer() and abs(value) < 1e15
        return f"{value:,.0f}" if whole else number(self.apply(value))

    def span(self, bounds: tuple[float, float] | None) -> str:
        return NOTHING if bounds is None else f"{self.text(bounds[0])}{DASH}{self.text(bounds[1])}"


def number(value: float, digits: int = 3) -> str:
    """``digits`` leading digits, never an exponent below 10^15, thousands grouped."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude >= 15 or magnitude < -9:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def scale_for(value: float, unit: str) -> Scale:
    """The unit in which ``value`` reads best; to make rows compare, choose it once a table."""
    steps = _PREFIXES.get(unit)
    if steps is None or value == 0:
        return Scale(unit)
    size, name = next((step for step in steps if abs(value) >= step[0]), steps[-1])
    return Scale(name, size)


def human(value: float, unit: str) -> str:
    """One value with its unit."""
    scale = scale_for(value, unit)
    return f"{scale.text(value)} {scale.unit}"


def exact(value: float, unit: str) -> str:
    """One value with its unit, to nine digits and without zeros at the end: 2.5 Gbit/s."""
    scale = scale_for(value, unit)
    return f"{scale.apply(value):.9g} {scale.unit}"


def lasting(seconds: float) -> str:
    """A stretch of time as people say it: 45 s, 10 min, 1 h 30 min."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
    return f"{hours} h" + (f" {minutes_left} min" if minutes_left else "")


def percent(share: float) -> str:
    """A share in percent with two leading digits: 0.4 %, 2.1 %, 18 %."""
    hundredths = share * 100
    return f"{hundredths:.0f} %" if hundredths >= 9.95 else f"{hundredths:.2g} %"


def bit_rate(text: str) -> float:
    """A link's rate in bit/s, written 100mbit, 2.5gbit or as ``exact`` writes it. ValueError, which
    says what to write, for anything else."""
    found = _RATE.fullmatch(text.strip())
    if not found:
        raise ValueError("write a rate like 100mbit or 2.5gbit")
    rate = float(found[1]) * _RATE_SIZES[found[2].lower()]
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(
            f"write a rate from {exact(SLOWEST, 'bit/s')} to {exact(FASTEST, 'bit/s')}"
        )
    return rate
