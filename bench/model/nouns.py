"""What is measured, between what, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Placement(StrEnum):
    """Where client and server are, relative to each other."""

    SAME_HOST = "same-host"
    CROSS_HOST = "cross-host"


class Access(StrEnum):
    """How the client reaches the server.

    ``DIRECT`` by the task's address; ``DNS`` by the name of a service in endpoint mode dnsrr, which
    stands for the task's address; ``VIP`` by the name of one in mode vip, whose address IPVS
    shares out; ``LINK`` by the name that a container has in one that is linked to it;
    ``PUBLISHED_HOST`` by a port that the task's host publishes for it alone;
    ``PUBLISHED_INGRESS`` by a port of Swarm's routing mesh at the task's own node, and
    ``PUBLISHED_INGRESS_OTHER`` by the same port at another node: the client's. In those that end in
    ``PLAIN`` the client is on its host's own network, in all others on the driver's.
    """

    DIRECT = "direct"
    DNS = "dns"
    VIP = "vip"
    LINK = "link"
    PUBLISHED_HOST = "published-host"
    PUBLISHED_HOST_PLAIN = "published-host-plain"
    PUBLISHED_INGRESS = "published-ingress"
    PUBLISHED_INGRESS_PLAIN = "published-ingress-plain"
    PUBLISHED_INGRESS_OTHER = "published-ingress-other"
    PUBLISHED_INGRESS_OTHER_PLAIN = "published-ingress-other-plain"

    @property
    def plain(self) -> bool:
        """Whether the client is on no network of Docker's."""
        return self.endswith("-plain")


class Better(StrEnum):
    """Which direction of a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Status(StrEnum):
    """How a trial ended. There is no number that stands for a failure."""

    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Host:
    """One machine reached over SSH, with its own Docker engine.

    ``None`` means "not said in the inventory": ``~/.ssh/config`` and then SSH's defaults decide.
    ``data_address`` and ``data_interface`` name the network to measure on, for machines that have
    several; when neither is given it is the network that ``address`` is on. ``line_rate`` is what
    that network's link carries in bit/s, where its interface does not tell; ``emulated_link`` says
    in words what its link is made to be like, where somebody shapes it.
    """

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    key_file: Path | None = None
    known_hosts_file: Path | None = None
    proxy_jump: str | None = None
    become: bool = False
    data_address: str | None = None
    data_interface: str | None = None
    macvlan_parent: str | None = None
    line_rate: float | None = None
    emulated_link: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The hosts of one inventory file, in the file's order, and what is set for all of them.

    ``port_base`` is the first of the TCP ports that servers listen on in the hosts' own network.
    ``macvlan_subnet`` is the IPv4 network from which macvlan containers get their addresses.
    ``shared_kernel`` is true where the hosts are not machines of their own but share one kernel.
    """

    path: Path
    hosts: tuple[Host, ...]
    port_base: int = 15200
    macvlan_subnet: str = "198.19.0.0/16"
    shared_kernel: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that a workload measures. ``headline`` marks the ones that a report leads with."""

    name: str
    unit: str
    better: Better
    title: str
    headline: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Treatment x placement x workload: one row of the report.

    ``aa`` above zero marks an A/A cell: the baseline measured once more under a label of its own
    (the copy's number), to show what this run makes of a difference that is none.
    """

    driver: str
    access: Access
    placement: Placement
    workload: str
    aa: int = 0

    def __str__(self) -> str:
        copy = f" (A/A {self.aa})" if self.aa else ""
        return f"{self.driver}{copy}/{self.access}/{self.placement}/{self.workload}"


@dataclass(frozen=True, slots=True)
class HostPair:
    """The hosts of a block: ``client`` and ``server`` by inventory name.

    Cells placed on the same host use ``server`` for both ends.
    """

    client: str
    server: str

    def client_for(self, placement: Placement) -> str:
        return self.server if placement is Placement.SAME_HOST else self.client


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One cell in one block. ``sequence`` numbers the trials from 0 in their planned order."""

    sequence: int
    block: int
    pair: HostPair
    cell: Cell


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a run of no fixed number of blocks ends.

    ``target`` is the half-width that the 95 % intervals of the headline metrics' paired ratios are
    to reach, as a share (0.03 for 3 %), or None to use the budget up; ``budget`` the wall time of
    the whole run in seconds; no cell is settled before it has ``min_blocks`` pairs. With ``aa`` the
    run goes on for A/A cells as for any other; without it they are measured beside the others.
    """

    target: float | None
    budget: float
    min_blocks: int
    aa: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do; `bench.plan` lays out each of its blocks from the seed.

    ``duration`` and ``warmup`` in seconds a trial. ``blocks`` is their number, or with ``stopping``
    the most there can be. ``pin`` says which CPUs the two ends are held to: ``auto``, ``off`` or
    ``CLIENT:SERVER`` with a CPU list each (see `bench.pinning`). ``mtu`` is ``auto`` (as much as
    fits between all hosts), ``default`` (what the engines do by themselves) or a number of bytes.
    """

    hosts: tuple[str, ...]
    cells: tuple[Cell, ...]
    blocks: int
    duration: int
    warmup: int
    seed: int
    stopping: Stopping | None = None
    pin: str = "off"
    mtu: str = "auto"
