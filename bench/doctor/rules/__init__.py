"""The rules by which the doctor judges, one file a family."""

from __future__ import annotations

from functools import cache

from bench.doctor.base import Examination, Finding, Rule, Sure
from bench.registry import discover

_ORDER = tuple(Sure)


@cache
def known() -> dict[str, Rule]:
    """Every rule by name."""
    return discover(__name__, Rule, "RULE")  # type: ignore[type-abstract]


def diagnose(seen: Examination) -> tuple[Finding, ...]:
    """The findings of all rules, the surest first."""
    found = [one for rule in known().values() for one in rule.find(seen)]
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.sure)))
