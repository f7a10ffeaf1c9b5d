"""What netbench asks of a host, as protocols: a shell, a Docker engine, and the two together.

``bench.remote.machine`` does it over one SSH connection a host; ``bench.remote.fake`` in memory,
for tests. Every call has a deadline and every error names its host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from bench.drivers.base import NetworkSpec
from bench.model import Host


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended: its exit code and what it printed."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class SwarmState:
    """An engine's own view of its swarm.

    ``state`` is Docker's LocalNodeState (inactive, pending, active, error, locked); ``node_id`` is
    empty outside a swarm; ``managers`` are the node ids of the managers it knows.
    """

    state: str
    node_id: str = ""
    node_address: str = ""
    is_manager: bool = False
    cluster_id: str = ""
    managers: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return self.state not in ("inactive", "")


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What ``docker info`` says, as far as netbench uses it; ``memory`` in bytes."""

    version: str
    kernel: str
    os: str
    architecture: str
    cpus: int
    memory: int
    storage_driver: str
    data_root: str
    swarm: SwarmState


@dataclass(frozen=True, slots=True)
class Node:
    """A node as a manager lists it."""

    node_id: str
    hostname: str
    address: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Mount:
    """A tmpfs inside a container; ``size`` in bytes."""

    target: str
    size: int


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One Swarm service: ``replicas`` tasks on a node, or anywhere where ``node_id`` is empty.

    ``published`` maps ports of the container to ports of the host (host mode), ``mesh`` to ports
    of the routing mesh; ``endpoint_mode`` is ``dnsrr`` or ``vip``, which the mesh needs;
    ``stop_grace`` is how many seconds its process has to end before it is killed. Its tasks are on
    the networks ``also`` besides.
    """

    name: str
    image: str
    command: tuple[str, ...]
    network: str
    node_id: str
    labels: Mapping[str, str]
    published: Mapping[int, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[Mount, ...] = ()
    stop_grace: float = 1.0
    mesh: Mapping[int, int] = field(default_factory=dict)
    endpoint_mode: str = "dnsrr"
    replicas: int = 1
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container that no swarm looks after; ``network`` is ``none``, ``bridge`` or
    ``container:ID``. ``links`` are legacy links, on ``bridge`` alone: container and the name that
    it has in this one."""

    name: str
    image: str
    command: tuple[str, ...]
    network: str
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[Mount, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """The newest task of a service. ``state`` is Swarm's (new ... running, failed, rejected);
    ``message`` its error, if any; ``addresses`` by network name, without prefix length. With
    ``alone`` it is a container that no swarm looks after. ``slot`` counts a service's tasks from
    1."""

    service: str
    state: str
    message: str
    node_id: str
    container_id: str
    addresses: Mapping[str, str]
    task_id: str = ""
    alone: bool = False
    slot: int = 1

    @property
    def container_name(self) -> str:
        """What Swarm calls the task's container."""
        return f"{self.service}.{self.slot}.{self.task_id}"


@dataclass(frozen=True, slots=True)
class Labelled:
    """An object of the engine that carries a label of netbench's.

    ``kind`` is service, network, container or volume; ``scope`` is swarm for what only a manager
    can remove, else local.
    """

    kind: str
    object_id: str
    name: str
    labels: Mapping[str, str]
    scope: str = "local"


class Shell(Protocol):
    """Commands on the host, as the SSH user (or as root where the inventory says become)."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        """Run a command to its end.

        Raises RemoteTimeout after ``timeout`` seconds and HostUnreachable when the connection is
        lost. An exit code other than 0 is the caller's to judge.
        """
        ...


class Engine(Protocol):
    """The host's Docker engine. All raise EngineError (or EngineUnsupported), naming the host."""

    def facts(self) -> EngineFacts: ...

    def image_labels(self, reference: str) -> Mapping[str, str] | None:
        """The labels of an image the engine has, by id or name; None if it lacks it."""
        ...

    def load_image(self, archive: BinaryIO) -> None:
        """Take an image from a (gzipped) docker-archive."""
        ...

    def pull_image(self, reference: str) -> str:
        """Pull an image from its registry; returns its id."""
        ...

    def swarm_init(self, address: str, labels: Mapping[str, str]) -> None: ...

    def worker_token(self) -> str:
        """The join token for a worker. A secret: never log it."""
        ...

    def swarm_labels(self) -> Mapping[str, str]:
        """The labels of the swarm that this manager manages."""
        ...

    def swarm_join(self, address: str, manager: str, token: str) -> None: ...

    def swarm_leave(self) -> None:
        """Leave by force. No error where there is no swarm."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """The swarm's nodes. Only a manager can tell."""
        ...

    def network_names(self) -> frozenset[str]:
        """The names of all networks that the engine knows."""
        ...

    def network_ids(self) -> Mapping[str, str]:
        """The ids of all networks that the engine knows, by name."""
        ...

    def create_network(
        self, name: str, spec: NetworkSpec, labels: Mapping[str, str], config_from: str = ""
    ) -> str:
        """Create a network; returns its id. ``config_from`` names the config-only network that
        it takes its settings from."""
        ...

    def service_names(self) -> frozenset[str]:
        """The names of all services of the swarm. Only a manager can tell."""
        ...

    def create_service(self, spec: ServiceSpec) -> str: ...

    def run_container(self, spec: ContainerSpec) -> str:
        """Create a container and start it; returns its id. One that cannot start is removed."""
        ...

    def tasks(self, label: str) -> tuple[Task, ...]:
        """The newest task of each service that carries ``label`` (``key=value``).

        The manager knows the tasks' addresses on overlays alone: where each engine hands them out
        by itself (bridge, macvlan), ask the engine of the task's host for ``addresses``.
        """
        ...

    def replicas(self, label: str) -> tuple[Task, ...]:
        """Every task that Swarm wants to run, or waits for the end of, of the services that carry
        ``label``: those that it has given up or shut down are left out. Addresses as in ``tasks``.
        """
        ...

    def scale_service(self, service: str, replicas: int) -> None:
        """Change how many tasks a service has, by its id."""
        ...

    def set_availability(self, node: str, availability: str) -> None:
        """Say whether a node gets tasks: ``active``, ``pause`` or ``drain``. Only a manager can."""
        ...

    def addresses(self, container: str) -> Mapping[str, str]:
        """A container's IPv4 addresses by network name, as its own engine knows them. Empty on the
        host's network."""
        ...

    def pid(self, container: str) -> int:
        """The number, on its host, of a running container's first process."""
        ...

    def set_cpus(self, container: str, cpus: str) -> None:
        """Hold a running container, and what is executed in it from now on, to a list of CPUs such
        as ``0-3,9``. To let go of it, name them all: the engine takes an empty list for no change.
        """
        ...

    def create_marker(self, name: str, labels: Mapping[str, str]) -> None:
        """An empty volume whose labels say what netbench did to this host."""
        ...

    def labelled(self, label: str) -> tuple[Labelled, ...]:
        """Services (of a manager), networks, containers and volumes carrying ``label``."""
        ...

    def remove(self, thing: Labelled) -> None:
        """Remove one object; no error when it is gone already."""
        ...

    def exec(self, container: str, argv: Sequence[str], *, timeout: float) -> Completed:
        """Run a command in a container to its end; RemoteTimeout ends it."""
        ...


class Machine(Protocol):
    """One host in reach: its shell and its engine over one connection."""

    @property
    def host(self) -> Host: ...

    @property
    def shell(self) -> Shell: ...

    @property
    def engine(self) -> Engine: ...

    def close(self) -> None: ...
