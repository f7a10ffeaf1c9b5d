"""What has to be known of the hosts, and be on them, before anything is created there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.drivers.base import Driver, Site
from bench.facts import complaints, lacking, networks_in_use, require_parent, underlay
from bench.images import Shipped, ship
from bench.model import HostFacts, Inventory, UnderlayPath
from bench.remote.fleet import Fleet
from bench.site import AUTO, choose_site


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of the hosts before anything is created on them."""

    facts: Mapping[str, HostFacts]
    site: Site
    underlay: tuple[UnderlayPath, ...]
    image: Shipped


def prepare(
    fleet: Fleet,
    inventory: Inventory,
    facts: Mapping[str, HostFacts],
    chosen: Sequence[Driver],
    stage: Callable[[str], None],
    *,
    mtu: str = AUTO,
    image: str | None = None,
) -> Ground:
    """Try the paths between the hosts, choose addresses and MTU for the networks of the ``chosen``
    drivers, ask the kernels, and see to the toolbox image. ``stage`` hears what is going on.

    Raises NetbenchError for what stops everything: nothing has been created by then.
    """
    if any(driver.takes_parent for driver in chosen):
        fleet.each(require_parent)
    paths = underlay(fleet, facts)
    for complaint in complaints(paths):
        stage(complaint)
    site = choose_site(
        facts.values(),
        fleet.each(networks_in_use),
        inventory.macvlan_subnet,
        mtu=mtu,
        fitting=[one.largest for one in paths if one.largest],
    )
    site = replace(site, lacking=fleet.each(lacking))
    return Ground(facts, site, paths, ship(fleet, image, stage))
