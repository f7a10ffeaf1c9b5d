"""Forming a swarm out of the hosts, or using the one they already form.

A swarm that was there before is used as it is and never left. One that netbench creates carries
the run's label; every host that joins it is marked first, with a labelled volume that names the
manager, so that ``bench.cleanup`` can tell later, from the hosts alone, which memberships are
netbench's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import labels
from bench.drivers.base import NetworkSpec
from bench.errors import HostError, HostUnreachable, SwarmError
from bench.remote.api import Machine, Node, SwarmState
from bench.remote.fleet import Fleet

READY_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Swarm:
    """The swarm of a run: the host whose engine manages it and every host's node id.

    ``elsewhere`` names the hosts whose node is in the swarm with another address than that of the
    data network, and that address: overlay traffic takes that other network.
    """

    manager: str
    node_ids: Mapping[str, str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def form(fleet: Fleet, addresses: Mapping[str, str], run: str) -> Swarm:
    """Make the hosts one swarm on their data ``addresses``, or use the one they form already.

    Raises SwarmError, naming the host, where some are in a swarm and others are not or in another.
    """
    states = fleet.each(lambda machine: machine.engine.facts().swarm)
    if any(state.active for state in states.values()):
        return _existing(fleet, states, addresses)
    fleet.each(lambda machine: _own_gateway(machine, run))
    first, *others = states
    engine = fleet[first].engine
    # As all that creates: in a worker, so that an interrupt waits until the engine has answered.
    fleet.each(lambda _: engine.swarm_init(addresses[first], labels.of_run(run)), [first])
    manager_id = engine.facts().swarm.node_id
    token = engine.worker_token()

    def join(name: str) -> None:
        mark = {**labels.of_run(run), labels.JOINED: manager_id}
        fleet[name].engine.create_marker(f"netbench-{run}", mark)
        try:
            fleet[name].engine.swarm_join(addresses[name], addresses[first], token)
        except HostUnreachable:
            raise
        except HostError as fault:
            raise SwarmError(
                f"{fault.what}, joining the swarm of {first}",
                f"TCP 2377 of {first} ({addresses[first]}) must be open to {name}; "
                "`netbench check` tries it",
            ) from fault

    fleet.each(lambda machine: join(machine.host.name), others)
    states = fleet.each(lambda machine: machine.engine.facts().swarm)
    node_ids = {name: state.node_id for name, state in states.items()}
    _await_ready(fleet, first, node_ids)
    return Swarm(first, node_ids)


# What Docker would make by itself at the first overlay, with the settings that it would use.
GATEWAY = "docker_gwbridge"
GATEWAY_SPEC = NetworkSpec(
    "bridge",
    "local",
    {
        "com.docker.network.bridge.name": GATEWAY,
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
    },
)


def _own_gateway(machine: Machine, run: str) -> None:
    """Create the swarm's gateway bridge under the run's label: made by Docker it would stay behind
    when the host leaves the swarm, and nobody could tell whose it is."""
    if GATEWAY not in machine.engine.network_names():
        machine.engine.create_network(GATEWAY, GATEWAY_SPEC, labels.of_run(run))


def _existing(
    fleet: Fleet, states: Mapping[str, SwarmState], addresses: Mapping[str, str]
) -> Swarm:
    for name, state in states.items():
        if state.active and state.state != "active":
            raise SwarmError(
                f"{name}: its swarm membership is {state.state}",
                f"mend it, or run `docker swarm leave --force` on {name}",
            )
    managers = [name for name, state in states.items() if state.is_manager]
    inside = [name for name, state in states.items() if state.active]
    if not managers:
        raise SwarmError(
            f"{inside[0]}: is a worker in a swarm that no host of the inventory manages",
            "add a manager of it to the inventory, or run `docker swarm leave` on the host",
        )
    manager = managers[0]
    owner = fleet[manager].engine.swarm_labels().get(labels.RUN)
    if owner:
        raise SwarmError(
            f"{manager}: is in a swarm that run {owner} of netbench left behind",
            "run `netbench clean` with this inventory, or wait for that run to end",
        )
    listed = {node.node_id for node in fleet[manager].engine.nodes()}
    for name, state in states.items():
        if not state.active:
            raise SwarmError(
                f"{name}: is in no swarm, but {manager} is",
                f"join it to {manager}'s swarm, or run `docker swarm leave` on "
                f"{', '.join(inside)} to let netbench form one of its own",
            )
        if state.node_id not in listed:
            raise SwarmError(
                f"{name}: is in another swarm than {manager}",
                "use hosts of one swarm, or hosts in none",
            )
    node_ids = {name: state.node_id for name, state in states.items()}
    _await_ready(fleet, manager, node_ids)
    elsewhere = {
        name: state.node_address
        for name, state in states.items()
        if state.node_address != addresses[name]
    }
    return Swarm(manager, node_ids, elsewhere)


def _await_ready(fleet: Fleet, manager: str, node_ids: Mapping[str, str]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        nodes: dict[str, Node] = {node.node_id: node for node in fleet[manager].engine.nodes()}
        waiting = [
            name for name, key in node_ids.items() if key not in nodes or not nodes[key].ready
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise SwarmError(
                f"{', '.join(waiting)}: not ready in the swarm of {manager} "
                f"after {READY_WITHIN:.0f} s",
                f"TCP 2377 and TCP and UDP 7946 must be open; see `docker node ls` on {manager}",
            )
        time.sleep(0.1)
