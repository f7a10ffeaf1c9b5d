"""A driver's own networks on a check's stage: what each host needs first, then the one of all."""

from __future__ import annotations

from collections.abc import Iterable

from bench import capability
from bench.drivers.base import Driver, SiteHost
from bench.errors import HostError, HostUnreachable
from bench.facts import require_parent
from bench.stage import Stage


def lay(stage: Stage, driver: Driver, full: str, hosts: Iterable[str]) -> None:
    """Make a driver's network of that name, usable on these hosts, and the settings that it is
    made from, named by `config_of`. Raises HostError."""
    config = config_of(full)
    # The manager looks the settings up before it makes a network from them.
    for host in dict.fromkeys((*hosts, stage.swarm.manager)):
        machine, facts = stage.fleet[host], stage.facts[host]
        parent = machine.host.macvlan_parent or facts.data_interface
        place = SiteHost(stage.hosts.index(host), host, parent, facts.data_address)
        settings = driver.host_network(stage.site, place)
        if settings is not None:
            machine.engine.create_network(config, settings, stage.marks)
    spec = driver.network(stage.site)
    assert spec is not None
    source = config if spec.from_config else ""
    stage.manager.engine.create_network(full, spec, stage.marks, config_from=source)


def config_of(full: str) -> str:
    """What a host's settings of a network are called."""
    return f"{full}-config"


def why_not(stage: Stage, driver: Driver, hosts: Iterable[str]) -> str:
    """Why a driver's networks cannot be on these hosts; empty where they can. Raises
    HostUnreachable."""
    why = driver.refusal(stage.site) or capability.lack(driver.requires, stage.site.lacking)
    if not why and driver.takes_parent:
        try:
            stage.fleet.each(require_parent, hosts)
        except HostUnreachable:
            raise
        except HostError as fault:
            why = str(fault)
    return why
