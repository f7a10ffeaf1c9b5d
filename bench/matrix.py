"""Which drivers are reached in which ways. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.drivers import ALL, BASELINE
from bench.drivers.base import Driver
from bench.errors import UsageError
from bench.model import Access, Placement


def parse_accesses(names: Sequence[str], drivers: Sequence[Driver]) -> tuple[Access, ...]:
    """The accesses called ``names``; for ``all`` every one that any of the drivers has.

    Raises UsageError for a name that is none.
    """
    known = [access.value for access in Access]
    for name in names:
        if name not in {*known, ALL}:
            raise UsageError(f"unknown access {name!r}", f"known are: {', '.join(known)}, {ALL}")
    if ALL in names:
        has = {one for driver in drivers for every in driver.accesses.values() for one in every}
        return tuple(access for access in Access if access in has)
    return tuple(Access(name) for name in dict.fromkeys(names))


def ways(driver: Driver, placement: Placement, accesses: Sequence[Access]) -> tuple[Access, ...]:
    """In which ways a driver is reached in a placement: its first where none is asked for, and the
    baseline always."""
    has = driver.accesses.get(placement, ())
    if not accesses or driver.name == BASELINE:
        return has[:1]
    return tuple(access for access in has if access in accesses)


def refuse_unknown(
    drivers: Sequence[Driver], placements: Sequence[Placement], accesses: Sequence[Access]
) -> None:
    """Raise UsageError for an access that none of the drivers has in any of the placements."""
    for access in accesses:
        if not any(access in one.accesses.get(at, ()) for one in drivers for at in placements):
            raise UsageError(
                f"none of the drivers has the access {access} {' or '.join(placements)}",
                f"there is: {'; '.join(_offer(one, placements) for one in drivers)}",
            )


def refuse_idle(
    drivers: Sequence[Driver], placements: Sequence[Placement], accesses: Sequence[Access]
) -> None:
    """Raise UsageError for a driver, other than the baseline, that has nothing to be measured."""
    for driver in drivers:
        if driver.name != BASELINE and not any(ways(driver, at, accesses) for at in placements):
            asked = f"the access {' or '.join(accesses)} " if accesses else "a path "
            raise UsageError(
                f"the driver {driver.name} does not have {asked}{' or '.join(placements)}",
                f"there is: {_offer(driver, tuple(Placement))}",
            )


def _offer(driver: Driver, placements: Sequence[Placement]) -> str:
    """A driver's accesses, in words."""
    told = [
        f"{', '.join(driver.accesses[placement])} {placement}"
        for placement in placements
        if placement in driver.accesses
    ]
    return f"{driver.name}: {' and '.join(told) or 'nothing'}"
