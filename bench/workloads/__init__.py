"""The workloads that netbench can run, one file each."""

from __future__ import annotations

from functools import cache

from bench.registry import choose, discover
from bench.workloads.base import Workload


@cache
def known() -> dict[str, Workload]:
    """Every workload by name."""
    return discover(__name__, Workload, "WORKLOAD")  # type: ignore[type-abstract]


def chosen(names: tuple[str, ...]) -> tuple[Workload, ...]:
    """The workloads called ``names``, in that order; the usual ones for none."""
    usual = tuple(name for name, one in known().items() if one.usual)
    return choose(known(), names or usual, "workload")
