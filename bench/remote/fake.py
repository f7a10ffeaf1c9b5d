"""Hosts in memory: real classes that keep the promises of ``bench.remote.api``, for unit tests.

A ``FakeWorld`` holds what the hosts share (who is in which swarm); a ``FakeMachine`` is one host.
Tools are not run: ``FakeWorld.tool`` answers for them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from bench.drivers.base import NetworkSpec
from bench.errors import EngineError, HostUnreachable
from bench.model import Host
from bench.remote.api import (
    Completed,
    ContainerSpec,
    EngineFacts,
    Labelled,
    Node,
    ServiceSpec,
    SwarmState,
    Task,
)

Tool = Callable[["FakeMachine", str, Sequence[str]], Completed]
Command = Callable[["FakeMachine", Sequence[str]], Completed | None]


# Where bench.facts.host asks for the playbooks' tuning.
_TUNING = "/run/netbench/tuning"


@dataclass
class FakeSwarm:
    """A swarm: which hosts are in it, and what its manager was asked for."""

    manager: str
    labels: Mapping[str, str]
    members: dict[str, str] = field(default_factory=dict)
    networks: dict[str, Labelled] = field(default_factory=dict)
    services: dict[str, ServiceSpec] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    ended: dict[str, int] = field(default_factory=dict)


@dataclass
class FakeWorld:
    """What several fake hosts have in common. ``tool`` answers for commands run in containers,
    given the host, the service whose container it is, and the command; ``command`` for those run on
    hosts, None where it knows none."""

    tool: Tool
    command: Command = lambda _machine, _argv: None
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def host(self, name: str) -> FakeMachine:
        """Add a host."""
        self.machines[name] = FakeMachine(Host(name, f"198.18.0.{len(self.machines) + 1}"), self)
        return self.machines[name]


class FakeMachine:
    """One host: its own shell and engine. ``lost`` makes every call fail as a dead host's does;
    ``refuses`` names network drivers that its kernel lacks,
    ``refuses_services`` parts of the names of services that it will not take; ``join_hangs`` leaves
    a join under way for good."""

    def __init__(self, host: Host, world: FakeWorld) -> None:
        self.host = host
        self.world = world
        self.swarm: FakeSwarm | None = None
        self.images: dict[str, dict[str, str]] = {}
        self.own: dict[str, Labelled] = {}
        self.refuses: set[str] = set()
        self.architecture = "x86_64"
        self.refuses_services: set[str] = set()
        self.join_hangs = False
        self.pending = False
        self.lost = False
        self.closed = False
        self.cpus = 2
        self.pinned: dict[str, str] = {}
        self.commands: dict[tuple[str, ...], str] = {
            ("ip", "-j", "addr", "show"): json.dumps([_interface(host.address)]),
            ("ip", "-j", "route", "show"): "[]",
            ("sh", "-c", f"test ! -e {_TUNING} || cat {_TUNING}"): "",
        }

    @property
    def shell(self) -> FakeMachine:
        return self

    @property
    def engine(self) -> FakeMachine:
        return self

    def close(self) -> None:
        self.closed = True

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        self._alive()
        answer = self.world.command(self, argv)
        if answer is not None:
            return answer
        said = self.commands.get(tuple(argv))
        if said is None:
            return Completed(127, b"", f"{argv[0]}: not found".encode())
        return Completed(0, said.encode(), b"")

    def facts(self) -> EngineFacts:
        self._alive()
        return EngineFacts(
            version="28.0.0",
            kernel="6.12.0",
            os="Debian GNU/Linux 13 (trixie)",
            architecture=self.architecture,
            cpus=self.cpus,
            memory=1 << 30,
            storage_driver="overlay2",
            data_root="/var/lib/docker",
            swarm=self._state(),
        )

    def image_labels(self, reference: str) -> Mapping[str, str] | None:
        self._alive()
        return self.images.get(reference)

    def load_image(self, archive: BinaryIO) -> None:
        self._alive()
        self.images[archive.read().decode()] = {}

    def pull_image(self, reference: str) -> str:
        self._alive()
        raise EngineError(self.host.name, f"no registry has {reference}")

    def swarm_init(self, address: str, labels: Mapping[str, str]) -> None:
        self._alive()
        if self.swarm is not None:
            raise EngineError(self.host.name, "This node is already part of a swarm")
        self.swarm = FakeSwarm(self.host.name, labels)
        self.swarm.members[self.host.name] = address

    def worker_token(self) -> str:
        return f"SWMTKN-secret-{self._managed().manager}"

    def swarm_labels(self) -> Mapping[str, str]:
        return self._managed().labels

    def swarm_join(self, address: str, manager: str, token: str) -> None:
        self._alive()
        if self.join_hangs:
            # As an engine does that cannot reach the manager: it gives the call up, not the join.
            self.pending = True
            raise EngineError(self.host.name, "Timeout was reached before node joined")
        for machine in self.world.machines.values():
            swarm = machine.swarm
            if swarm is not None and token == f"SWMTKN-secret-{machine.host.name}":
                swarm.members[self.host.name] = address
                self.swarm = swarm
                return
        raise EngineError(self.host.name, f"could not join {manager}")

    def swarm_leave(self) -> None:
        self._alive()
        if self.swarm is not None:
            self.swarm.members.pop(self.host.name, None)
        self.swarm = None
        self.pending = False

    def nodes(self) -> tuple[Node, ...]:
        return tuple(
            Node(_node(name), name, address, ready=not self.world.machines[name].lost)
            for name, address in self._managed().members.items()
        )

    def network_names(self) -> frozenset[str]:
        self._alive()
        shared = self.swarm.networks.values() if self.swarm else ()
        return frozenset(thing.name for thing in (*self.own.values(), *shared))

    def network_ids(self) -> Mapping[str, str]:
        self._alive()
        shared = self.swarm.networks.values() if self.swarm else ()
        return {
            thing.name: thing.object_id
            for thing in (*self.own.values(), *shared)
            if thing.kind == "network"
        }

    def create_network(
        self, name: str, spec: NetworkSpec, labels: Mapping[str, str], config_from: str = ""
    ) -> str:
        self._alive()
        if spec.driver in self.refuses:
            raise EngineError(self.host.name, f"{spec.driver}: operation not supported")
        scope = "swarm" if spec.scope == "swarm" else "local"
        made = Labelled("network", self._id(), name, dict(labels), scope)
        networks = self._managed().networks if scope == "swarm" else self.own
        networks[made.object_id] = made
        return made.object_id

    def service_names(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self._managed().services.values())

    def create_service(self, spec: ServiceSpec) -> str:
        if any(word in spec.name for word in self.refuses_services):
            raise EngineError(self.host.name, f"service {spec.name} is refused")
        key = self._id()
        self._managed().services[key] = spec
        return key

    def run_container(self, spec: ContainerSpec) -> str:
        self._alive()
        if any(word in spec.name for word in self.refuses_services):
            raise EngineError(self.host.name, f"container {spec.name} is refused")
        tasks = self.swarm.services.values() if self.swarm else ()
        here = {task.name for task in tasks if task.node_id == _node(self.host.name)} | {*self.own}
        joined = spec.network.removeprefix("container:")
        for other in spec.links if joined in {"none", "bridge"} else (joined,):
            if other not in here:
                raise EngineError(self.host.name, f"No such container: {other}")
        self.own[spec.name] = Labelled("container", spec.name, spec.name, dict(spec.labels))
        return spec.name

    def tasks(self, label: str) -> tuple[Task, ...]:
        key, _, value = label.partition("=")
        swarm = self._managed()
        return tuple(
            Task(
                service=spec.name,
                state="running",
                message="",
                node_id=spec.node_id,
                container_id=spec.name,
                addresses=_addresses(spec, number),
            )
            for number, spec in enumerate(swarm.services.values(), start=2)
            if key in spec.labels and value in ("", spec.labels[key])
        )

    def replicas(self, label: str) -> tuple[Task, ...]:
        """Of a service of several tasks the containers are called NAME.SLOT. A task whose container
        is removed, or whose node is drained, is another one at once."""
        swarm = self._managed()
        specs = {spec.name: spec for spec in swarm.services.values()}
        hosts = [_node(name) for name in swarm.members if name not in swarm.drained]
        found = []
        for task in self.tasks(label):
            spec = specs[task.service]
            for slot in range(1, spec.replicas + 1):
                node = spec.node_id or hosts[slot % len(hosts)]
                container = f"{spec.name}.{slot}" if spec.replicas > 1 else spec.name
                number = swarm.ended.get(container, 0)
                key = f"t{number}{node}"
                found.append(
                    replace(task, node_id=node, container_id=container, slot=slot, task_id=key)
                )
        return tuple(found)

    def scale_service(self, service: str, replicas: int) -> None:
        swarm = self._managed()
        swarm.services[service] = replace(swarm.services[service], replicas=replicas)

    def set_availability(self, node: str, availability: str) -> None:
        drained = self._managed().drained
        name = node.removeprefix("node-")
        (drained.discard if availability == "active" else drained.add)(name)

    def addresses(self, container: str) -> Mapping[str, str]:
        self._alive()
        services = self.swarm.services.values() if self.swarm else ()
        for number, spec in enumerate(services, start=2):
            if spec.name == container.partition(".")[0]:
                slot = int(container.partition(".")[2] or 0)
                return _addresses(spec, number + 40 * slot)
        if container in self.own:
            return {"bridge": f"10.78.0.{2 + list(self.own).index(container)}"}
        raise EngineError(self.host.name, f"No such container: {container}")

    def pid(self, container: str) -> int:
        self._alive()
        services = self.swarm.services.values() if self.swarm else ()
        for number, spec in enumerate(services, start=1000):
            if spec.name == container:
                return number
        if container in self.own:
            return 2000 + list(self.own).index(container)
        raise EngineError(self.host.name, f"No such container: {container}")

    def set_cpus(self, container: str, cpus: str) -> None:
        self._alive()
        if any(part for part in cpus.replace("-", ",").split(",") if int(part) >= self.cpus):
            raise EngineError(self.host.name, f"Requested CPUs are not available: {cpus}")
        self.pinned[container] = cpus

    def create_marker(self, name: str, labels: Mapping[str, str]) -> None:
        self._alive()
        self.own[name] = Labelled("volume", name, name, dict(labels))

    def labelled(self, label: str) -> tuple[Labelled, ...]:
        self._alive()
        key, _, value = label.partition("=")
        found = list(self.own.values())
        if self.swarm is not None and self.swarm.manager == self.host.name:
            found += self.swarm.networks.values()
            found += [
                Labelled("service", number, spec.name, dict(spec.labels), "swarm")
                for number, spec in self.swarm.services.items()
            ]
        return tuple(
            thing for thing in found if key in thing.labels and value in ("", thing.labels[key])
        )

    def remove(self, thing: Labelled) -> None:
        self._alive()
        if self.swarm is not None:
            self.swarm.networks.pop(thing.object_id, None)
            self.swarm.services.pop(thing.object_id, None)
        if self.swarm is not None and thing.kind == "container":
            ended = self.swarm.ended
            ended[thing.object_id] = ended.get(thing.object_id, 0) + 1
        self.own.pop(thing.object_id, None)

    def exec(self, container: str, argv: Sequence[str], *, timeout: float) -> Completed:
        self._alive()
        return self.world.tool(self, container, argv)

    def _alive(self) -> None:
        if self.lost:
            raise HostUnreachable(self.host.name, "the connection was lost")

    def _managed(self) -> FakeSwarm:
        self._alive()
        if self.swarm is None or self.swarm.manager != self.host.name:
            raise EngineError(self.host.name, "This node is not a swarm manager")
        return self.swarm

    def _state(self) -> SwarmState:
        if self.pending:
            return SwarmState("pending", managers=("",))
        if self.swarm is None:
            return SwarmState("inactive")
        return SwarmState(
            state="active",
            node_id=_node(self.host.name),
            node_address=self.swarm.members[self.host.name],
            is_manager=self.swarm.manager == self.host.name,
            managers=(_node(self.swarm.manager),),
        )

    def _id(self) -> str:
        return f"id{next(self.world.numbers)}"


def _interface(address: str) -> dict[str, Any]:
    """As `ip -j addr show` prints it."""
    own = {"family": "inet", "local": address, "prefixlen": 24, "scope": "global"}
    return {"ifname": "eth0", "mtu": 1500, "operstate": "UP", "addr_info": [own]}


def _node(name: str) -> str:
    return f"node-{name}"


def _addresses(spec: ServiceSpec, number: int) -> dict[str, str]:
    networks = (spec.network, *spec.also)
    return {
        network: f"10.{77 + place}.0.{number}"
        for place, network in enumerate(networks)
        if network != "host"
    }
