"""Values as people read them: 4.21 Gbit/s, 183 µs, 12.3 k/s."""

from __future__ import annotations

from dataclasses import dataclass

_PREFIXES = {
    "bit/s": ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")),
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "1/s": ((1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")),
}


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit to show values in: a value of the metric's own unit divided by ``factor``."""

    factor: float
    unit: str

    def show(self, value: float) -> str:
        """The value in this unit with three significant digits, without the unit."""
        scaled = value / self.factor
        size = abs(scaled)
        digits = 0 if size >= 100 or scaled == 0 else 1 if size >= 10 else 2
        return f"{scaled:.{digits}f}"


def scale_for(value: float, unit: str) -> Scale:
    """The unit in which ``value`` reads best; to make rows compare, choose it once a table."""
    for factor, name in _PREFIXES.get(unit, ()):
        if abs(value) >= factor:
            return Scale(factor, name)
    steps = _PREFIXES.get(unit)
    return Scale(*steps[-1]) if steps else Scale(1.0, unit)


def human(value: float, unit: str) -> str:
    """One value with its unit."""
    scale = scale_for(value, unit)
    return f"{scale.show(value)} {scale.unit}"
