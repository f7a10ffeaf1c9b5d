"""What a network is chosen for besides its speed, one check a file."""

from __future__ import annotations

from functools import cache

from bench.checks.base import Check
from bench.registry import choose, discover


@cache
def known() -> dict[str, Check]:
    """Every check by name."""
    return discover(__name__, Check, "CHECK")  # type: ignore[type-abstract]


def chosen(names: tuple[str, ...]) -> tuple[Check, ...]:
    """The checks called ``names``, in that order; all of them for none."""
    return choose(known(), names, "check")
