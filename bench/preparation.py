"""What a run has to know of its hosts before it creates anything on them, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import drivers, pinning
from bench.drivers.base import Driver, Site
from bench.facts import (
    complaints,
    gather,
    lacking,
    networks_in_use,
    require_parent,
    underlay,
)
from bench.images import Shipped, ship
from bench.model import HostFacts, Inventory, Plan, UnderlayPath
from bench.remote.fleet import Fleet
from bench.site import AUTO, choose_site


@dataclass(frozen=True, slots=True)
class Ready:
    """What is known of the hosts, and the image that all of them have."""

    facts: Mapping[str, HostFacts]
    site: Site
    underlay: tuple[UnderlayPath, ...]
    image: Shipped


def prepare(
    fleet: Fleet, inventory: Inventory, plan: Plan, image: str | None, note: Callable[[str], None]
) -> Ready:
    """Read the hosts, choose addresses and MTU, and see to the image; ``note`` hears what is done.

    Raises NetbenchError for what the plan asks of the hosts and they do not have.
    """
    note("reading the hosts' facts")
    facts = fleet.each(gather)
    cpus = {name: found.cpus for name, found in facts.items()}
    pinning.refuse(pinning.parse(plan.pin), cpus)
    chosen = drivers.chosen(tuple(dict.fromkeys(cell.driver for cell in plan.cells)))
    return settle(fleet, inventory, facts, chosen, note, mtu=plan.mtu, image=image)


def settle(
    fleet: Fleet,
    inventory: Inventory,
    facts: Mapping[str, HostFacts],
    chosen: Sequence[Driver],
    note: Callable[[str], None],
    *,
    mtu: str = AUTO,
    image: str | None = None,
) -> Ready:
    """Of hosts that were read: try the paths between them, choose addresses and MTU for networks of
    the ``chosen`` drivers, ask the kernels, and see to the image. Raises NetbenchError."""
    if any(driver.takes_parent for driver in chosen):
        fleet.each(require_parent)
    paths = underlay(fleet, facts)
    for complaint in complaints(paths):
        note(complaint)
    site = choose_site(
        facts.values(),
        fleet.each(networks_in_use),
        inventory.macvlan_subnet,
        mtu=mtu,
        fitting=[one.largest for one in paths if one.largest],
    )
    site = replace(site, lacking=fleet.each(lacking))
    return Ready(facts, site, paths, ship(fleet, image, note))
