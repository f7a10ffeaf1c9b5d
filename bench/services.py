"""The services and containers that a driver's servers and clients are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench import labels, workloads
from bench.deployment import (
    BALANCED,
    CLIENT,
    HOST_NETWORK,
    LINK_NAME,
    LINKED,
    NO_NETWORK,
    SERVER,
    Order,
    Place,
    server_role,
)
from bench.drivers.base import Driver
from bench.ports import IN_MESH, ON_HOST, mesh_port
from bench.remote.api import ContainerSpec, Mount, ServiceSpec

# Inside a network namespace of its own a container is reached through that network alone.
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - see above
SCRATCH = Mount("/run/netbench", 1 << 30)


def network_name(driver: Driver, order: Order) -> str:
    return driver.existing or f"netbench-{_short(order)}-{driver.name}"


def service_name(place: Place, order: Order) -> str:
    # Service names are limited to 63 characters and host names are not: number the hosts.
    number = list(order.facts).index(place.host) + 1
    return f"netbench-{_short(order)}-{place.driver}-{place.role}-{number}"


def places(driver: Driver, order: Order, hosts: Sequence[str]) -> Iterator[Place]:
    """Every server and client that a driver's cells need on these hosts."""
    roles = {server_role(access) for access in order.accesses(driver.name)}
    for role in (*sorted(roles, reverse=True), CLIENT):
        for host in hosts:
            yield Place(driver.name, role, host)


def service(driver: Driver, place: Place, order: Order) -> ServiceSpec:
    """One service of one task on its host."""
    known = workloads.known().values()
    accesses = order.accesses(driver.name)
    published: dict[int, int] = {}
    mesh: dict[int, int] = {}
    ports = {one.port: order.port_base + one.port for one in known}
    if place.role == SERVER and accesses & ON_HOST:
        published = {port: port + driver.published for port in ports.values()}
    if place.role == BALANCED and accesses & IN_MESH:
        number = list(order.facts).index(place.host)
        mesh = {port: mesh_port(order.port_base, number, offset) for offset, port in ports.items()}
    return ServiceSpec(
        name=service_name(place, order),
        image=order.image,
        command=_command(driver, place, order),
        network=network_name(driver, order),
        node_id=order.swarm.node_ids[place.host],
        labels=labels.of_run(order.run),
        published=published,
        mesh=mesh,
        endpoint_mode="vip" if place.role == BALANCED else "dnsrr",
        environment={"NETBENCH_TASK": service_name(place, order)},
        tmpfs=(SCRATCH,),
    )


def container(driver: Driver, place: Place, order: Order, joins: str) -> ContainerSpec:
    """A container of a driver whose ends share a namespace: its own, or that of the container whose
    id is ``joins``."""
    name = service_name(place, order)
    return ContainerSpec(
        name=name,
        image=order.image,
        command=_command(driver, place, order),
        network=f"container:{joins}" if joins else NO_NETWORK,
        labels=labels.of_run(order.run),
        environment={"NETBENCH_TASK": name},
        tmpfs=(SCRATCH,),
    )


def linked(driver: Driver, place: Place, order: Order, server: str) -> ContainerSpec:
    """A client with a link to the container whose id is ``server``."""
    spec = container(driver, place, order, "")
    return replace(spec, network=network_name(driver, order), links={server: LINK_NAME})


def _command(driver: Driver, place: Place, order: Order) -> tuple[str, ...]:
    if place.role in (CLIENT, LINKED):
        return ("netbench-serve", "sleep", "infinity")
    # On the host's own network servers listen on the data address alone, not on whatever other
    # networks the machine is in.
    own_network = driver.existing == HOST_NETWORK
    bind = order.facts[place.host].data_address if own_network else EVERY_ADDRESS
    served = [one.server(bind, order.port_base + one.port) for one in workloads.known().values()]
    return ("netbench-serve", *tuple(word for argv in served for word in ("--", *argv))[1:])


def _short(order: Order) -> str:
    return order.run.rsplit("-", 1)[-1]
