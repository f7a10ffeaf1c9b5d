"""The inventory: which hosts there are and how to reach them, from an Ansible YAML inventory.

The same file serves ``ansible-playbook -i`` and ``netbench -i``. What netbench needs beyond
Ansible's own variables is in ``netbench_*`` ones; ``docs/inventory.md`` lists them all.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from bench.errors import InventoryError
from bench.inventory import settings, tree
from bench.inventory.settings import PORT_BASES, Vars
from bench.model import Host, Inventory

__all__ = ["load_inventory"]


def load_inventory(path: Path) -> Inventory:
    """Read and check an inventory; hosts come in the file's order.

    Raises InventoryError, naming file, line and key, for anything in it that netbench cannot use.
    """
    found = tree.parse(path)
    every = [Vars(name, found.variables(name), found.places[name]) for name in found.hosts]
    if not every:
        raise InventoryError(f"{path}: names no host", "write hosts under `all: hosts:`")
    hosts = [settings.host(one) for one in every]
    _distinct(hosts, every)
    given: dict[str, Any] = {
        "port_base": _agreed(
            every,
            "netbench_port_base",
            [one.number(PORT_BASES, "netbench_port_base") for one in every],
        ),
        "macvlan_subnet": _agreed(
            every,
            "netbench_macvlan_subnet",
            [one.subnet("netbench_macvlan_subnet") for one in every],
        ),
        "shared_kernel": _agreed(
            every, "netbench_shared_kernel", [one.truth("netbench_shared_kernel") for one in every]
        ),
    }
    said = {key: value for key, value in given.items() if value is not None}
    inventory = Inventory(path, tuple(hosts), **said)
    _room(inventory, every)
    return inventory


def _agreed(every: list[Vars], name: str, values: list[Any]) -> Any:
    """The one value that all hosts have for what is set for all of them."""
    for one, value in zip(every, values, strict=True):
        if value != values[0]:
            place = one.found[name].where if name in one.found else one.place
            raise InventoryError(
                f"{place}: {name} is {value} for {one.host} and {values[0]} for {every[0].host}",
                "it holds for all hosts: set it once, in the vars of `all`",
            )
    return values[0]


def _distinct(hosts: list[Host], every: list[Vars]) -> None:
    """Two names for one machine would be measured against itself."""
    reached: dict[tuple[str, int | None], str] = {}
    data: dict[str, str] = {}
    for host, one in zip(hosts, every, strict=True):
        target = (host.address.lower(), host.port or 22)
        if host.proxy_jump is None and target in reached:
            raise InventoryError(
                f"{one.place}: {host.name} and {reached[target]} are both"
                f" {target[0]} port {target[1]}",
                "a host is listed under one name",
            )
        if host.data_address is not None and host.data_address in data:
            raise InventoryError(
                f"{one.found['netbench_data_address'].where}: {host.name} and"
                f" {data[host.data_address]} both have netbench_data_address {host.data_address}",
                "each host has an address of its own",
            )
        if host.proxy_jump is None:
            reached[target] = host.name
        if host.data_address is not None:
            data[host.data_address] = host.name


def _room(inventory: Inventory, every: list[Vars]) -> None:
    """Each host gets a /24 of the macvlan subnet, and the first one stays unused."""
    subnet = ipaddress.IPv4Network(inventory.macvlan_subnet)
    room = 2 ** max(0, 24 - subnet.prefixlen) - 1
    if room >= len(inventory.hosts):
        return
    var = every[0].found.get("netbench_macvlan_subnet")
    raise InventoryError(
        f"{var.where if var else inventory.path}: netbench_macvlan_subnet {subnet} has room for"
        f" {room} hosts and there are {len(inventory.hosts)}",
        "each host takes a /24 of it, the first /24 stays unused: write a larger network",
    )
