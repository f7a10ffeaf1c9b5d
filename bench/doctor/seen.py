"""What the doctor saw on a host and between two, as its probes tell it. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Core:
    """One core's time during the look, as shares of one: worked (interrupts included), spent on
    softirqs, and given to others by the hypervisor."""

    busy: float
    softirq: float
    steal: float


@dataclass(frozen=True, slots=True)
class Peer:
    """Another host as this one reaches it.

    ``via``, ``interface`` and ``source`` are the kernel's route to its data ``address``. Of
    ``sent`` echo requests ``answered`` came back, the median after ``rtt``, the last with ``ttl``.
    ``own_mac`` and ``other_mac`` say whether it answered a question from this interface's MAC
    address and from a made-up one; None where that could not be tried.
    """

    name: str
    address: str
    via: str
    interface: str
    source: str
    sent: int
    answered: int
    rtt: float | None = None
    ttl: int | None = None
    own_mac: bool | None = None
    other_mac: bool | None = None


@dataclass(frozen=True, slots=True)
class Conntrack:
    """The table of tracked connections: entries, room, and what was ``dropped`` for want of room
    during the look."""

    count: int
    most: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Files:
    """Open file descriptors of a process, or of all, and how many there may be."""

    process: str
    used: int
    most: int


@dataclass(frozen=True, slots=True)
class Balancer:
    """A namespace in which IPVS shares out ``services``; it forgets a connection that was silent
    for ``tcp`` or ``udp`` seconds."""

    namespace: str
    services: int
    tcp: int
    udp: int


@dataclass(frozen=True, slots=True)
class Resolver:
    """A name server of the host: ``answered``, ``refused`` or ``silent``, after ``seconds``."""

    server: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Checksums:
    """Packets of one protocol that one network namespace ``received``, of which ``wrong`` had a
    wrong checksum since it is there, and ``during`` of them while the doctor looked."""

    where: str
    wrong: int
    received: int
    during: int


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the host's engine; ``mtu`` in bytes where it was set, ``interface`` the bridge
    of one that is a bridge."""

    name: str
    driver: str
    subnets: tuple[str, ...]
    interface: str
    mtu: int | None = None


@dataclass(frozen=True, slots=True)
class HostLook:
    """One host. ``keepalive`` is after how much silence TCP asks whether the peer is there;
    ``queueing`` what tc holds packets back with on the data interface; ``unread`` what could not
    be read, and why."""

    cores: tuple[Core, ...] = ()
    peers: tuple[Peer, ...] = ()
    conntrack: Conntrack | None = None
    files: tuple[Files, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    keepalive: int | None = None
    resolvers: tuple[Resolver, ...] = ()
    checksums: tuple[Checksums, ...] = ()
    networks: tuple[Network, ...] = ()
    queueing: tuple[str, ...] = ()
    offloads: dict[str, bool] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """Bulk data over TCP from one host to another: what arrived in each ``interval`` seconds, in
    bytes; ``load`` the largest share of a core that sending, receiving or interrupts took
    meanwhile; ``fault`` why nothing could be sent."""

    source: str
    target: str
    interval: float
    taken: tuple[int, ...] = ()
    load: float = 0.0
    fault: str = ""

    @property
    def rates(self) -> tuple[float, ...]:
        """In bit/s, without the beginning, in which TCP finds its pace, and the broken-off end."""
        begin = len(self.taken) // 3
        return tuple(8 * count / self.interval for count in self.taken[begin:-1])


@dataclass(frozen=True, slots=True)
class Place:
    """What else is known of a host: its end of the data network (``network`` as in
    ``198.18.0.0/24``), the routes that are no container network's, by network, with their
    interface; its address in its swarm and whether it manages it; the speed of its data link in
    bit/s where known; what its link is emulated to be like."""

    name: str
    address: str
    interface: str
    mtu: int
    network: str
    routes: tuple[tuple[str, str], ...] = ()
    swarm_address: str = ""
    manager: bool = False
    speed: float | None = None
    emulated: str = ""
