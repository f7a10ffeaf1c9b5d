"""How the hosts' engines lead published ports to containers: what is read off a host, and judged.

With its userland proxy on, which is Docker's default, an engine starts a program `docker-proxy` for
each port; with it off, it keeps the port open itself and leaves everything to the kernel. Either
way there is a listener: only the program tells the two apart (moby's portmapper, dummyProxy).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bench.gauges.locate import LOOK_WITHIN
from bench.remote.api import Machine

NAT = ("iptables", "-t", "nat", "-v", "-S", "DOCKER")
LISTENERS = ("cat", "/proc/net/tcp", "/proc/net/tcp6")
# Arguments of every program whose command line names it; a process may end while it is looked at.
_PROGRAMS = """grep -ls docker-proxy /proc/[0-9]*/cmdline | while read -r one; do
  tr '\\0' ' ' <"$one" 2>/dev/null
  echo
done
exit 0
"""
PROXIES = ("sh", "-c", _PROGRAMS)
# The values of HostFacts.publishing.
PROXY, KERNEL = "docker-proxy", "kernel"

_FORWARDED = re.compile(
    r"-p tcp .*--dport (\d+)(?: -c (\d+) \d+)?.* -j DNAT --to-destination (\S+)", re.ASCII
)
_PROXY = re.compile(r"(?:\S*/)?docker-proxy .*-host-port (\d+)(?: |$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host printed: its NAT rules, its listeners and its programs. Empty where it would
    not."""

    nat: str
    listeners: str
    programs: str


def look(machine: Machine) -> Seen:
    """Ask a host. Raises HostError."""
    return Seen(*(_printed(machine, argv) for argv in (NAT, LISTENERS, PROXIES)))


def parse_forwarded(text: str, port: int) -> str:
    """How ``iptables -t nat -v -S`` says that a published port is forwarded; empty where not."""
    for line in text.splitlines():
        found = _FORWARDED.search(line)
        if found and int(found[1]) == port:
            used = f", {found[2]} connections so far" if found[2] else ""
            return f"tcp port {port} by DNAT to {found[3]}{used}"
    return ""


def parse_listening(text: str, port: int) -> bool:
    """Whether /proc/net/tcp or tcp6 (see proc(5)) has a listener on a port."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == "0A" and words[1].endswith(f":{port:04X}"):
            return True
    return False


def parse_proxied(text: str, port: int) -> bool:
    """Whether one of the programs is the engine's proxy for a port."""
    found = (_PROXY.match(line) for line in text.splitlines())
    return any(one and int(one[1]) == port for one in found)


def publication(seen: Seen, port: int) -> str:
    """How a published port reaches its container."""
    forwarded, listening = parse_forwarded(seen.nat, port), parse_listening(seen.listeners, port)
    proxied = parse_proxied(seen.programs, port)
    if forwarded:
        # What its own bridge's containers send does not match that rule where the proxy is on.
        return f"{forwarded}, docker-proxy beside it" if proxied else forwarded
    if proxied:
        return f"tcp port {port} by docker-proxy; whether by DNAT, root can tell"
    if listening:
        return f"tcp port {port} has a listener and no docker-proxy; whether by DNAT, root can tell"
    return f"tcp port {port} has neither a listener nor a DNAT rule that can be read"


def publisher(seen: Seen, ports: Iterable[int]) -> str:
    """PROXY or KERNEL, by what a host has for the ports published on it; empty where none of them
    is there to be judged by."""
    there = [
        parse_proxied(seen.programs, port)
        for port in ports
        if parse_forwarded(seen.nat, port) or parse_listening(seen.listeners, port)
    ]
    return "" if not there else PROXY if any(there) else KERNEL


def _printed(machine: Machine, argv: tuple[str, ...]) -> str:
    done = machine.shell.run(argv, timeout=LOOK_WITHIN)
    return done.stdout.decode(errors="replace") if done.exit_code == 0 else ""
