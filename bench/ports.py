"""Which ports the servers of a run have, from the port base up. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench import workloads
from bench.drivers.base import Driver
from bench.matrix import ways
from bench.model import Access, Placement

# Where the routing mesh's ports begin above the port base, and how many each host's servers have.
MESH, MESH_STEP = 1000, 100
MOST_PORT = 65_535
# How far above the port base the servers of `netbench verify` listen (TCP and UDP).
CHECKS = 95
# How far below each other lie the port bases of pairs that are measured at once, and the least.
PAIR_STEP, LEAST_PORT = 1000, 1024

ON_HOST = frozenset({Access.PUBLISHED_HOST, Access.PUBLISHED_HOST_PLAIN})
BY_OTHER = frozenset({Access.PUBLISHED_INGRESS_OTHER, Access.PUBLISHED_INGRESS_OTHER_PLAIN})
IN_MESH = frozenset({Access.PUBLISHED_INGRESS, Access.PUBLISHED_INGRESS_PLAIN}) | BY_OTHER


def pair_base(base: int, number: int) -> int:
    """The port base of the servers of one of several pairs: below the first's, as above it are
    the published ports and the routing mesh's."""
    return base - PAIR_STEP * (number - 1)


def mesh_port(base: int, host: int, port: int) -> int:
    """The port of the routing mesh for a workload's ``port`` offset of the server on a host (by
    its number): all nodes listen on it, so that no two servers share one."""
    return base + MESH + MESH_STEP * host + port


def mesh_refusal(base: int, hosts: int) -> str:
    """Why the routing mesh has no ports for this many hosts; empty where it has."""
    offsets = (port for one in workloads.known().values() for port in workloads.ports(one))
    last = mesh_port(base, hosts - 1, max(offsets))
    if last <= MOST_PORT:
        return ""
    return (
        f"the routing mesh would need ports up to {last} for {hosts} hosts, and {MOST_PORT} is the "
        f"last: set netbench_port_base to {base - (last - MOST_PORT)} or lower"
    )


def of_servers(
    base: int, hosts: int, chosen: Sequence[Driver], accesses: Sequence[Access]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The TCP ports and the UDP ports of the hosts' data addresses at which servers are reached
    when these drivers are measured in these ways (each in its first for none), in order; none
    beyond the last that there is."""
    asked = {
        driver: {way for placement in Placement for way in ways(driver, placement, accesses)}
        for driver in chosen
    }
    above = {0} | {driver.published for driver, has in asked.items() if has & ON_HOST}
    if any(has & IN_MESH for has in asked.values()):
        above |= {MESH + MESH_STEP * host for host in range(hosts)}
    known = workloads.known().values()

    def every(offsets: set[int]) -> tuple[int, ...]:
        found = sorted(base + offset + more for offset in offsets for more in above)
        return tuple(port for port in found if port <= MOST_PORT)

    tcp = {port for one in known for port in workloads.ports(one)} | {CHECKS}
    return every(tcp), every({workloads.ports(one)[-1] for one in known if one.udp} | {CHECKS})
