"""The scenarios: what people do with Docker's networks first, each built, tried and measured."""

from __future__ import annotations

from functools import cache

from bench.registry import discover
from bench.scenarios._tour import Came, tour
from bench.scenarios.base import Scenario

__all__ = ["Came", "Scenario", "known", "tour"]


@cache
def known() -> dict[str, Scenario]:
    """Every scenario by name."""
    return discover(__name__, Scenario, "SCENARIO")  # type: ignore[type-abstract]
