"""Where isolation is tried: the networks, and a container on each of them on each host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import capability, drivers
from bench.capability import Capability
from bench.checked import Skipped
from bench.checks._parents import lay, why_not
from bench.checks._reach import Kind, Net, Spot
from bench.drivers.base import NetworkSpec
from bench.errors import ParseError
from bench.remote.api import ServiceSpec, Task
from bench.stage import Stage

HOST = Net("host", Kind.HOST)
TENANT_A, TENANT_B = Net("tenant-a", Kind.OVERLAY), Net("tenant-b", Kind.OVERLAY)
NETS = (
    Net("bridge-a", Kind.BRIDGE),
    Net("bridge-b", Kind.BRIDGE),
    Net("bridge-internal", Kind.BRIDGE, internal=True),
    TENANT_A,
    TENANT_B,
    Net("overlay-internal", Kind.OVERLAY, internal=True),
)
ENCRYPTED = Net("encrypted", Kind.OVERLAY)
GATEWAY = Net("docker_gwbridge", Kind.GATEWAY)
# On the hosts' parent interfaces, which one of these can have at a time; the first that can be.
ON_PARENTS = ("macvlan", "ipvlan-l2")
BOTH = "both-tenants"

_ADDRESS = re.compile(r" inet (\d+\.\d+\.\d+\.\d+)/", re.ASCII)


def chosen(stage: Stage) -> tuple[list[Net], list[Skipped]]:
    """The networks that can be on these hosts, and why the others cannot. Raises
    HostUnreachable."""
    nets, skipped = list(NETS), []
    lack = capability.lack({Capability.ESP}, stage.site.lacking)
    if lack:
        skipped.append(Skipped("an encrypted overlay, and what of it can be read", lack))
    else:
        nets.append(ENCRYPTED)
    there = ""
    for name in ON_PARENTS:
        why = why_not(stage, drivers.known()[name], stage.hosts)
        if why or there:
            skipped.append(
                Skipped(name, why or f"{there} is on the parent interface, which takes one of them")
            )
        else:
            there = name
            nets.append(Net(name, Kind.PARENT))
    return nets, skipped


def laid(stage: Stage, nets: Sequence[Net]) -> dict[str, str]:
    """Make the networks, and say what each is called in full: overlays are numbered from what no
    host uses, bridges by their engines. Raises HostError."""
    free = stage.site.overlay_subnet.subnets(new_prefix=26)
    mtu = stage.site.mtu_option()
    full = {net.name: stage.named(net.name) for net in nets}
    for net in nets:
        match net.kind:
            case Kind.PARENT:
                lay(stage, drivers.known()[net.name], full[net.name], stage.hosts)
            case Kind.BRIDGE:
                spec = NetworkSpec("bridge", "swarm", mtu, internal=net.internal)
                stage.network(net.name, spec)
            case _:
                subnet = stage.site.encrypted_subnet if net == ENCRYPTED else next(free)
                options = {**mtu, "encrypted": ""} if net == ENCRYPTED else mtu
                spec = NetworkSpec(
                    "overlay", "swarm", options, subnet=str(subnet), internal=net.internal
                )
                stage.network(net.name, spec)
    return full


def settled(stage: Stage, nets: Sequence[Net], full: Mapping[str, str]) -> dict[Spot, Task]:
    """A container on each network on each host, and one on the first that is on both tenants'; up,
    with all of their addresses. Raises DeployError, HostError or ParseError."""
    wanted: list[tuple[str, str, tuple[Net, ...], ServiceSpec]] = []
    for number, host in enumerate(stage.hosts, start=1):
        bind = stage.facts[host].data_address
        spec = stage.service(f"host-{number}", "host", stage.answering(bind), host=host)
        wanted.append(("host", host, (HOST,), spec))
        for net in nets:
            spec = stage.service(
                f"{net.name}-{number}", full[net.name], stage.answering(), host=host
            )
            wanted.append((net.name, host, (net,), spec))
    first = stage.hosts[0]
    a, b = full[TENANT_A.name], full[TENANT_B.name]
    spec = stage.service(BOTH, a, stage.answering(), host=first, also=(b,))
    # A planted leak is said to be tenant a's and is on b's network too.
    mine = (TENANT_A,) if stage.plant_leak else (TENANT_A, TENANT_B)
    wanted.append((BOTH, first, mine, spec))
    running = stage.up([spec for *_, spec in wanted])

    def spot(one: tuple[str, str, tuple[Net, ...], ServiceSpec]) -> tuple[Spot, Task]:
        label, host, own, spec = one
        (task,) = running[spec.name]
        kind = own[0].kind
        if kind is Kind.HOST:
            return Spot(
                label, host, own, spec.name, {HOST.name: stage.facts[host].data_address}
            ), task
        at = {net.name: task.addresses[full[net.name]] for net in own}
        gateway = _gateway(stage, task) if kind is Kind.OVERLAY else ""
        if gateway:
            own, at = (*own, GATEWAY), {**at, GATEWAY.name: gateway}
        named = task.container_name if kind is Kind.BRIDGE else spec.name
        return Spot(label, host, own, spec.name, at, named), task

    with ThreadPoolExecutor(max_workers=3) as pool:
        return dict(pool.map(spot, wanted))


def _gateway(stage: Stage, task: Task) -> str:
    """A container's address on its host's docker_gwbridge, which engines do not tell with the
    others; empty where it is not on that."""
    said = stage.answer(task, "ip", "-4", "-o", "addr", "show", "scope", "global", about="ip addr")
    found = set(_ADDRESS.findall(said)) - set(task.addresses.values())
    if len(found) > 1:
        raise ParseError(f"{task.service} has more addresses than networks: {said!r:.80}")
    return next(iter(found), "")
