"""Parsers of what /proc and /sys print, as far as netbench reads them. Pure.

All raise ParseError for what no kernel prints, and for nothing else. See proc_stat(5) and
proc_net(5) of the Linux manual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from bench.errors import ParseError
from bench.model import CoreUse

# TCP's own queues, where a segment that came this far is thrown away.
_SOCKET_DROPS = ("TcpExt.TCPBacklogDrop", "TcpExt.TCPRcvQDrop")
_CORE = re.compile(r"cpu\d{1,5}", re.ASCII)
_STALLED = re.compile(r"^some .*\btotal=(\d{1,20})$", re.MULTILINE | re.ASCII)
# No counter of the kernel's (64 bits) is longer than this.
_WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """One interface's counters: bytes received and sent together, and packets it threw away."""

    moved: int
    drops: int


def whole(text: str) -> int:
    """A whole number."""
    if not _WHOLE.fullmatch(text):
        raise ParseError(f"{text!r:.60} where a number should be")
    return int(text)


def leading(text: str) -> float:
    """The first number of /proc/uptime (seconds) or /proc/loadavg (the 1-minute average)."""
    words = text.split()
    if not words or not _DECIMAL.fullmatch(words[0]):
        raise ParseError(f"{text.strip()!r:.60} where a number should be")
    return float(words[0])


def cores(text: str, tick: int) -> tuple[CoreUse, ...]:
    """Each core's line of /proc/stat, in seconds; ``tick`` is how many of its units make one.

    Guests' time is in user's already, niced time is added to it; waiting for a disk is idling.
    """
    found = []
    for line in text.splitlines():
        name, *columns = line.split() or [""]
        if not _CORE.fullmatch(name):
            continue
        ticks = [whole(column) for column in columns[:8]]
        if len(ticks) < 8:
            raise ParseError(f"/proc/stat has the line {line!r:.60}")
        user, nice, system, idle, waiting, irq, softirq, steal = (one / tick for one in ticks)
        found.append(
            CoreUse(
                user=user + nice,
                system=system,
                softirq=softirq,
                irq=irq,
                steal=steal,
                idle=idle + waiting,
            )
        )
    if not found:
        raise ParseError("/proc/stat names no core")
    return tuple(found)


def devices(text: str) -> dict[str, Device]:
    """/proc/net/dev by interface."""
    found = {}
    for line in text.splitlines()[2:]:
        # Old kernels print no space after the colon, and an alias has one in its name.
        name, colon, rest = line.rpartition(":")
        columns = rest.split()
        if not line.strip():
            continue
        if not colon or len(columns) != 16:
            raise ParseError(f"/proc/net/dev has the line {line!r:.60}")
        numbers = [whole(column) for column in columns]
        found[name.strip()] = Device(numbers[0] + numbers[8], numbers[3] + numbers[11])
    return found


def retransmits(snmp: str) -> int:
    """TCP segments sent again, from /proc/net/snmp; 0 where it does not tell."""
    return _protocols(snmp).get("Tcp.RetransSegs", 0)


def socket_drops(netstat: str) -> int:
    """Segments that TCP's own queues threw away, from /proc/net/netstat."""
    counted = _protocols(netstat)
    return sum(counted.get(name, 0) for name in _SOCKET_DROPS)


def queue_drops(softnet: str) -> int:
    """Packets that the receive queues of all CPUs threw away, from /proc/net/softnet_stat: its
    second column, hexadecimal. 0 where the kernel has no such column."""
    rows = [line.split() for line in softnet.splitlines()]
    counted = [row[1] for row in rows if len(row) > 1]
    for column in counted:
        if not _HEX.fullmatch(column):
            raise ParseError(f"/proc/net/softnet_stat has {column!r:.60}")
    return sum(int(column, 16) for column in counted)


def stalled(pressure: str) -> float | None:
    """Seconds in which some task waited for a CPU, from /proc/pressure/cpu; None where the kernel
    does not count them."""
    match = _STALLED.search(pressure)
    return int(match[1]) / 1e6 if match else None


def _protocols(text: str) -> Mapping[str, int]:
    """Pairs of lines, names above and numbers below, as ``Protocol.Name`` to number."""
    found = {}
    for above, below in pairwise(line.split() for line in text.splitlines() if line.strip()):
        if above[0] != below[0] or not above[0].endswith(":") or len(above) != len(below):
            continue
        for name, number in zip(above[1:], below[1:], strict=True):
            if _WHOLE.fullmatch(number):
                found[f"{above[0]}{name}".replace(":", ".")] = int(number)
    return found
