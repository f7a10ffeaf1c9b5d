"""The network drivers that netbench can compare, one file each."""

from __future__ import annotations

from functools import cache

from bench.drivers.base import Driver
from bench.registry import choose, discover

BASELINE = "host"


@cache
def known() -> dict[str, Driver]:
    """Every driver by name."""
    return discover(__name__, Driver, "DRIVER")


def chosen(names: tuple[str, ...]) -> tuple[Driver, ...]:
    """The drivers called ``names`` (all for none), the baseline always among them and first."""
    picked = choose(known(), names, "driver")
    return (known()[BASELINE], *(driver for driver in picked if driver.name != BASELINE))
