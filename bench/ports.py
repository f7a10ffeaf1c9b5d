"""Which TCP ports the servers of a run have, from the port base up. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench import workloads
from bench.drivers.base import Driver
from bench.matrix import ways
from bench.model import Access, Placement

# Where the routing mesh's ports begin above the port base, and how many each host's servers have.
MESH, MESH_STEP = 1000, 100
MOST_PORT = 65_535

ON_HOST = frozenset({Access.PUBLISHED_HOST, Access.PUBLISHED_HOST_PLAIN})
BY_OTHER = frozenset({Access.PUBLISHED_INGRESS_OTHER, Access.PUBLISHED_INGRESS_OTHER_PLAIN})
IN_MESH = frozenset({Access.PUBLISHED_INGRESS, Access.PUBLISHED_INGRESS_PLAIN}) | BY_OTHER


def mesh_port(base: int, host: int, port: int) -> int:
    """The port of the routing mesh for a workload's ``port`` offset of the server on a host (by
    its number): all nodes listen on it, so that no two servers share one."""
    return base + MESH + MESH_STEP * host + port


def mesh_refusal(base: int, hosts: int) -> str:
    """Why the routing mesh has no ports for this many hosts; empty where it has."""
    last = mesh_port(base, hosts - 1, max(one.port for one in workloads.known().values()))
    if last <= MOST_PORT:
        return ""
    return (
        f"the routing mesh would need ports up to {last} for {hosts} hosts, and {MOST_PORT} is the "
        f"last: set netbench_port_base to {base - (last - MOST_PORT)} or lower"
    )


def of_servers(
    base: int, hosts: int, chosen: Sequence[Driver], accesses: Sequence[Access]
) -> tuple[int, ...]:
    """The ports of the hosts' data addresses at which servers are reached when these drivers are
    measured in these ways (each in its first for none), in order; none beyond the last that
    there is."""
    asked = {
        driver: {way for placement in Placement for way in ways(driver, placement, accesses)}
        for driver in chosen
    }
    offsets = {0} | {driver.published for driver, has in asked.items() if has & ON_HOST}
    ports = [one.port for one in workloads.known().values()]
    found = {base + port + offset for port in ports for offset in offsets}
    if any(has & IN_MESH for has in asked.values()):
        found |= {mesh_port(base, host, port) for host in range(hosts) for port in ports}
    return tuple(sorted(port for port in found if port <= MOST_PORT))
