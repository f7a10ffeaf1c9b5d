"""What of an order cannot be carried out here, known before anything is created. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench import capability
from bench.deployment import Order, Refusal
from bench.drivers.base import Driver
from bench.ports import IN_MESH, mesh_refusal


def refusals(order: Order, chosen: Sequence[Driver]) -> tuple[dict[str, str], list[Refusal]]:
    """The drivers that cannot be deployed, with the reason, and what of the others cannot be
    reached in some way."""
    site = order.site
    unavailable: dict[str, str] = {}
    refused: list[Refusal] = []
    owner = ""
    # The usual drivers come first where only one can have the parent interface.
    for driver in sorted(chosen, key=lambda one: not one.usual):
        why = driver.refusal(site) or capability.lack(driver.requires, site.lacking)
        if driver.takes_parent and owner and not why:
            why = (
                f"{owner} has the parent interface, of which the kernel makes one kind of "
                f"interface at a time; measure {driver.name} in a run without {owner}"
            )
        if why:
            unavailable[driver.name] = why
            continue
        owner = driver.name if driver.takes_parent else owner
        accesses = order.accesses(driver.name)
        for access in sorted(accesses):
            wanted = capability.OF_ACCESS.get(access, frozenset())
            why = capability.lack(wanted, site.lacking)
            if not why and access in IN_MESH:
                why = mesh_refusal(order.port_base, len(order.facts))
            if why:
                refused.append(Refusal(driver.name, why, access))
    return unavailable, refused
