"""Where a lab's things are and what they are called. All names carry the lab's own.

/run/netbench/lab/NAME/       what `lab up` decided (gone after a reboot, as the lab itself is)
/var/lib/netbench/lab/NAME/   a folder per host: Docker's data root, /etc on top, home, logs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from bench.errors import UsageError
from bench.units import exact

STATE_ROOT = Path("/run/netbench/lab")
DATA_ROOT = Path("/var/lib/netbench/lab")

# RFC 2544 sets 198.18.0.0/15 aside for benchmarks. The upper half is left to macvlan containers,
# which live on the same layer 2.
UNDERLAY = IPv4Network("198.18.0.0/16")
CONTROLLER = 254
PACKAGES = 253
MAX_HOSTS = 32

DATA_INTERFACE = "eth0"
SWITCH = "switch"
CGROUP = "netbench-lab"

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?")


def check_name(name: str) -> str:
    """``name`` itself, or UsageError: it becomes part of host names, folders and cgroups."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"lab name {name!r} cannot be used",
            "use up to 16 small letters, digits and hyphens, a letter first, no hyphen last",
        )
    return name


@dataclass(frozen=True, slots=True)
class Machines:
    """What makes the hosts virtual machines, and which ones. ``memory`` is in MiB for each.

    ``bare`` ones have no Docker; ``filter_macs`` lets only a machine's own MAC address pass, as
    clouds do; ``accelerator`` is QEMU's, found when the lab was made.
    """

    suite: str = "trixie"
    bare: bool = False
    memory: int = 768
    filter_macs: bool = False
    accelerator: str = "tcg"


@dataclass(frozen=True, slots=True)
class Link:
    """What a host's link is made to be like: ``rate`` in bit/s, None for what the machine can do;
    ``delay`` in seconds and ``loss`` as a share for each packet on its way to the host.

    With ``within`` delay and loss are the virtual machine's own doing, on packets it sends: the
    kernel below cannot do it.
    """

    rate: float | None = None
    delay: float = 0.0
    loss: float = 0.0
    within: bool = False

    @property
    def words(self) -> str:
        parts = [
            f"rate {exact(self.rate, 'bit/s')}" if self.rate else "",
            f"delay {exact(self.delay, 's')}" if self.delay else "",
            f"loss {self.loss * 100:.9g} %" if self.loss else "",
        ]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Lab:
    """What a lab is made of. ``subnet`` is the third number of its underlay 198.18.subnet.0/24.

    ``machines`` is None where the hosts are namespaces of this machine. ``complete`` turns true
    when every host answered; ``handouts`` are the inventories written for its users, absolute;
    ``links`` has the hosts whose links are shaped. ``suite`` is the Debian of the namespaces' own
    root file systems, None where they see this machine's.
    """

    name: str
    subnet: int
    size: int
    complete: bool = False
    handouts: tuple[Path, ...] = ()
    machines: Machines | None = None
    links: Mapping[str, Link] = field(default_factory=dict)
    suite: str | None = None

    @property
    def network(self) -> IPv4Network:
        return IPv4Network((int(UNDERLAY.network_address) + (self.subnet << 8), 24))

    @property
    def hosts(self) -> dict[str, IPv4Address]:
        """Host name -> address on the underlay."""
        return {f"{self.name}{n}": self.network[n] for n in range(1, self.size + 1)}

    @property
    def controller(self) -> IPv4Address:
        """The machine's own address on the underlay."""
        return self.network[CONTROLLER]

    @property
    def packages(self) -> IPv4Address:
        """The switch's address on the underlay, where bare machines get packages from."""
        return self.network[PACKAGES]

    @property
    def controller_interface(self) -> str:
        """The machine's own interface on the underlay; its peer is a port of the switch."""
        return f"nblab{self.subnet}"

    def folder(self, host: str) -> Path:
        """The folder of one host's data and logs."""
        return data_folder(self.name) / host

    def log(self, host: str, service: str) -> Path:
        return self.folder(host) / "log" / f"{service}.log"


def state_folder(name: str) -> Path:
    return STATE_ROOT / name


def data_folder(name: str) -> Path:
    return DATA_ROOT / name
