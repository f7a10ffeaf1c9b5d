"""The workloads that netbench can run, one file each."""

from __future__ import annotations

import itertools
from functools import cache

from bench.errors import UsageError
from bench.registry import choose, discover
from bench.workloads.base import Workload


@cache
def known() -> dict[str, Workload]:
    """Every workload by name, each with its parameters' defaults."""
    return discover(__name__, Workload, "WORKLOAD")  # type: ignore[type-abstract]


def ports(workload: Workload) -> tuple[int, ...]:
    """The offsets from the port base of all ports of a workload's server."""
    return tuple(one for one in (workload.port, workload.data_port) if one is not None)


@cache
def named(name: str) -> Workload:
    """The workload called ``name``: one of ``known``, or with values for some of its parameters as
    ``tcp-rr:size=1024``. Raises UsageError for any other."""
    found, *others = _expanded(name)
    if others:
        raise UsageError(f"{name}: one workload is meant, and that is {1 + len(others)}")
    return found if found.chosen else known()[found.name]


def chosen(names: tuple[str, ...]) -> tuple[Workload, ...]:
    """The workloads called ``names``, in that order; all of them with their defaults for none.

    Several values as in ``tcp-rr:size=1/1024`` stand for as many workloads. Raises UsageError for a
    workload, a parameter or a value that is not known.
    """
    if not names:
        return tuple(known().values())
    every = [one.name for name in names for one in _expanded(name)]
    return tuple(named(name) for name in dict.fromkeys(every))


def _expanded(name: str) -> list[Workload]:
    """Every workload that ``name`` stands for."""
    family, *settings = name.split(":")
    (workload,) = choose(known(), (family,), "workload")
    offered = {one.name: one for one in workload.parameters}
    values: dict[str, list[int | str]] = {}
    for setting in settings:
        word, equals, told = setting.partition("=")
        if word not in offered or not equals:
            has = "; ".join(f"{one.name}={one.choices}" for one in workload.parameters)
            raise UsageError(
                f"{name}: {family} has no parameter {setting!r}",
                f"it has: {has}" if has else "it has none",
            )
        if word in values:
            raise UsageError(f"{name}: {word} is there twice", "write several values as 1/4/16")
        try:
            values[word] = [offered[word].value(text) for text in told.split("/")]
        except UsageError as fault:
            raise UsageError(f"{name}: {fault.what}", fault.hint) from None
    combined = itertools.product(*values.values())
    return [workload.having(dict(zip(values, one, strict=True))) for one in combined]
