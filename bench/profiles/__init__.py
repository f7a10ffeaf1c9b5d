"""Profiles: what a run measures and for how long, by the question that it is to answer.

A profile is a small YAML file. Three ship; what the command line says comes before any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench import workloads
from bench.errors import InventoryError, UsageError
from bench.inventory.yamlfile import Where, kind, read, where

STANDARD = "standard"
SHIPPED = ("quick", STANDARD, "thorough")
KEYS = ("question", "workloads", "blocks", "duration", "warmup")
_DURATIONS, _WARMUPS, _BLOCKS = range(1, 3601), range(61), range(1, 10_001)
_HINT = f"a profile has {', '.join(KEYS)}: see docs/workloads.md"


@dataclass(frozen=True, slots=True)
class Profile:
    """What to measure to answer a ``question``: these workloads, by their names with parameters.

    ``blocks``, and ``duration`` and ``warmup`` in seconds a trial; None for netbench's own.
    """

    name: str
    question: str
    workloads: tuple[str, ...]
    blocks: int | None = None
    duration: int | None = None
    warmup: int | None = None


def load(name: str) -> Profile:
    """The profile of that name, or in that file (a word with a dot or a slash in it is a file).

    Raises UsageError, with file and line, for a profile that is unknown or not as it should be.
    """
    if "/" not in name and "." not in name:
        if name not in SHIPPED:
            known = ", ".join(SHIPPED)
            raise UsageError(f"unknown profile {name!r}", f"known are: {known}; or name a file")
        return _parsed(name, Path(str(files("bench.profiles").joinpath(f"{name}.yaml"))))
    return _parsed(Path(name).stem, Path(name))


def _parsed(name: str, path: Path) -> Profile:
    try:
        found = read(path)
    except InventoryError as fault:
        # The hints that go with it are those of inventories.
        raise UsageError(fault.what, _HINT) from None
    if found is None:
        raise UsageError(f"{path}: is empty", _HINT)
    for key in found:
        if key not in KEYS:
            raise UsageError(f"{where(path, found, key)}: unknown key {key!r}", _HINT)
    for key in ("question", "workloads"):
        if key not in found:
            raise UsageError(f"{path}: has no {key}", _HINT)
    question = found["question"]
    if not isinstance(question, str) or not question.strip():
        at = where(path, found, "question")
        raise UsageError(f"{at}: question is a {kind(question)}", "say in words what it answers")
    return Profile(
        name,
        " ".join(question.split()),
        _names(path, found),
        blocks=_number(path, found, "blocks", _BLOCKS),
        duration=_number(path, found, "duration", _DURATIONS),
        warmup=_number(path, found, "warmup", _WARMUPS),
    )


def _names(path: Path, found: Any) -> tuple[str, ...]:
    """The workloads' names, several values of a parameter spelt out."""
    at, listed = where(path, found, "workloads"), found["workloads"]
    if not isinstance(listed, list) or not listed:
        raise UsageError(
            f"{at}: workloads is a {kind(listed)}", "list them as `- tcp-rr:size=1024`"
        )
    names: list[str] = []
    for index, one in enumerate(listed):
        place = _line(path, listed, index, at)
        if not isinstance(one, str):
            raise UsageError(f"{place}: a workload is a {kind(one)}", "write `- tcp-rr:size=1024`")
        try:
            expanded = [workload.name for workload in workloads.chosen((one,))]
        except UsageError as fault:
            raise UsageError(f"{place}: {fault.what}", fault.hint) from None
        if twice := next((name for name in expanded if name in names), None):
            raise UsageError(f"{place}: {twice} is there twice", "keep one of them")
        names += expanded
    return tuple(names)


def _number(path: Path, found: Any, key: str, allowed: range) -> int | None:
    value = found.get(key)
    if key not in found:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise UsageError(
            f"{where(path, found, key)}: {key} is {value!r}",
            f"write a whole number from {allowed[0]} to {allowed[-1]}",
        )
    return int(value)


def _line(path: Path, listed: Any, index: int, otherwise: Where) -> Where:
    place: Callable[[int], tuple[int, int]] | None = getattr(listed, "lc", None) and listed.lc.item
    return otherwise if place is None else Where(path, place(index)[0] + 1)
