"""The workloads that netbench can run, one file each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

from bench.errors import UsageError
from bench.registry import choose, discover
from bench.workloads.base import Workload

# What workloads are also called, and which they are then: those parameters are as they stand here
# unless they are chosen. Cells have the workloads' own names, by which runs are compared.
OTHER_NAMES = {
    "tcp-stream": ("iperf3-tcp",),
    "scale-pairs": ("iperf3-tcp:pairs=1/2/4", "tcp-rr:pairs=1/2/4"),
}


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

    Several values as in ``tcp-rr:size=1/1024`` stand for as many workloads, and names may be those
    of ``OTHER_NAMES``. Raises UsageError for a workload, a parameter or a value that is not known.
    """
    if not names:
        return tuple(known().values())
    own = [each for name in names for each in _own_names(name)]
    every = [one.name for name in own for one in _expanded(name)]
    return tuple(named(name) for name in dict.fromkeys(every))


def each_with(
    some: Sequence[Workload], parameter: str, values: Sequence[str]
) -> tuple[Workload, ...]:
    """``some`` workloads, those that have the ``parameter`` once with each of the ``values`` for
    it, whatever they had before. Raises UsageError where none has it, and for a value that it
    cannot have."""
    having = [one for one in some if any(it.name == parameter for it in one.parameters)]
    if not having:
        listed = ", ".join(one.name for one in some)
        raise UsageError(f"--{parameter}: none of these workloads has {parameter}: {listed}")
    found: dict[str, None] = {}
    for one in some:
        offered = {it.name: it for it in one.parameters}.get(parameter)
        if offered is None:
            found[one.name] = None
            continue
        for text in values:
            chosen = {**one.chosen, parameter: offered.value(text)}
            found[one.having(chosen).name] = None
    return tuple(named(name) for name in found)


def _own_names(name: str) -> list[str]:
    """The workloads' own names, with the parameters of ``name``, where that is another one."""
    family, *settings = name.split(":")
    told = {one.partition("=")[0] for one in settings}
    found = []
    for own in OTHER_NAMES.get(family, (family,)):
        itself, *usual = own.split(":")
        kept = [one for one in usual if one.partition("=")[0] not in told]
        found.append(":".join((itself, *kept, *settings)))
    return found


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
