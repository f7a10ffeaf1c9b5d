"""Finding the drivers and workloads: every module of a package that describes one thing.

Adding a driver or a workload is adding one file. A file without a description, or with a name that
another file has already taken, is a fault of the program and fatal at import.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Protocol, TypeVar

from bench.errors import UsageError


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


def discover(package: str, kind: type[T], attribute: str) -> dict[str, T]:
    """Every ``attribute`` of type ``kind`` in the modules of ``package``, by name, sorted.

    Modules named ``base`` and those that start with an underscore describe nothing.
    """
    found: dict[str, T] = {}
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if module.name == "base" or module.name.startswith("_"):
            continue
        described = getattr(import_module(f"{package}.{module.name}"), attribute, None)
        if not isinstance(described, kind):
            raise TypeError(f"{package}.{module.name} has no {attribute} of type {kind.__name__}")
        if described.name in found:
            raise TypeError(f"{package}.{module.name}: the name {described.name} is taken")
        found[described.name] = described
    return dict(sorted(found.items()))


def choose(known: dict[str, T], wanted: tuple[str, ...], what: str) -> tuple[T, ...]:
    """The entries called ``wanted``, in that order and without repeats; all of them for ``()``.

    Raises UsageError for a name that is not known, listing those that are.
    """
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}", f"known are: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(wanted or known))
