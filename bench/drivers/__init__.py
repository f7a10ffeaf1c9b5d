"""The network drivers that netbench can compare, one file each."""

from __future__ import annotations

from functools import cache

from bench.drivers.base import Driver
from bench.registry import choose, discover

BASELINE = "host"
ALL = "all"


@cache
def known() -> dict[str, Driver]:
    """Every driver by name."""
    return discover(__name__, Driver, "DRIVER")


def chosen(names: tuple[str, ...]) -> tuple[Driver, ...]:
    """The drivers called ``names``, the baseline always among them and first: the usual ones for
    none, every one for ``all``."""
    every = known()
    if not names:
        names = tuple(driver.name for driver in every.values() if driver.usual)
    picked = tuple(every.values()) if names == (ALL,) else choose(every, names, "driver")
    return (every[BASELINE], *(driver for driver in picked if driver.name != BASELINE))
