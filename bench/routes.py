"""Routes that netbench sets on hosts, known by the number of who set them.

Every route of the kernel carries the number of the program that made it (see ip-route(8), proto).
Netbench's is one that iproute2's table of them, rt_protos, has nobody for: it is the routes' label.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from bench.errors import HostError
from bench.remote.api import Machine

PROTOCOL = "78"


def lay(machine: Machine, wanted: Mapping[IPv4Network, str]) -> None:
    """Set routes on a host: network and next hop. Raises HostError, naming the route, where the
    host does not take one; a route of somebody else's is never replaced."""
    for network, hop in wanted.items():
        argv = ("ip", "route", "add", str(network), "via", hop, "proto", PROTOCOL)
        done = machine.shell.run(argv)
        if done.exit_code != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())[-120:]
            raise HostError(
                machine.host.name,
                f"it takes no route to {network} by {hop}: {said or done.exit_code}",
                "routes are set as root: log in as root, or set ansible_become",
            )


def laid(machine: Machine) -> tuple[str, ...]:
    """The routes of netbench's that a host has, a line of ``ip route`` each; none where that cannot
    be asked. Raises HostUnreachable and RemoteTimeout."""
    done = machine.shell.run(("ip", "route", "show", "proto", PROTOCOL))
    lines = done.stdout.decode(errors="replace").splitlines() if done.exit_code == 0 else []
    return tuple(" ".join(line.split()) for line in lines if line.strip())


def lift(machine: Machine) -> int:
    """Remove netbench's routes from a host; returns how many there were. Raises HostError."""
    found = laid(machine)
    if found:
        done = machine.shell.run(("ip", "route", "flush", "proto", PROTOCOL))
        if done.exit_code != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())[-120:]
            raise HostError(
                machine.host.name,
                f"its routes of netbench's stay ({'; '.join(found)}): {said}",
                f"run `ip route flush proto {PROTOCOL}` there as root",
            )
    return len(found)
