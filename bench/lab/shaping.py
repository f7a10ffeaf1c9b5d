"""What ``tc`` is to be told so that a link has a rate, a delay and a loss.

    host <- port -+- bridge      towards the host: rate, delay, loss on the port
    host -> port -> up -> bridge from the host: rate, on an interface that the port's packets are
                                 sent through (an "ifb", see tc-mirred(8))

So a packet from one host to another is delayed once and has one chance of being lost. Packets to
and from the controller are let through: it must reach a host whatever the link is like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from ipaddress import IPv4Network

from bench.lab.layout import Link
from bench.units import FASTEST

# A rate is that of an Ethernet: a full packet takes 1538 bytes of the line (preamble, checksum and
# gap included), of which the kernel counts 1514. So TCP gets 0.9415 of the rate, as on a real one.
MTU, HEADER, AROUND = 1500, 14, 38
# How late the kernel may come back to a queue (a tick of the slowest clock, 250 Hz) and still send
# all it owed. What an idle link may send at once above its rate is as little as this much time.
LATE = 0.004
# What a link holds back when more comes in than it carries, as time. Real ones hold 10 to 50 ms.
HELD = 0.02
# It holds at least two packets as bulk transfers have them inside a machine, 64 KiB each.
LEAST_HELD = 2 << 16
LEAST_BURST = 2 * (MTU + HEADER)
# netem counts packets; its own default is the least.
LEAST_PACKETS = 1000
ROOT, SHAPED, LEAF = "1:", "1:10", "10:"

Words = tuple[str, ...]


def towards(port: str, link: Link, control: IPv4Network) -> Iterator[Words]:
    """Shape what leaves ``port`` for its host; ``control`` has the controller's addresses."""
    yield from _queue(port, link, f"src {control}")


def outwards(port: str, up: str, link: Link, control: IPv4Network) -> Iterator[Words]:
    """Shape what comes into ``port`` from its host, by way of the interface ``up``."""
    yield from _queue(up, Link(link.rate), f"dst {control}")
    yield ("qdisc", "add", "dev", port, "handle", "ffff:", "ingress")
    yield (
        *("filter", "add", "dev", port, "parent", "ffff:", "protocol", "all", "prio", "1"),
        *("u32", "match", "u32", "0", "0"),
        *("action", "mirred", "egress", "redirect", "dev", up),
    )


def within(interface: str, link: Link, control: IPv4Network) -> Iterator[Words]:
    """Delay and lose what leaves a virtual machine by its own ``interface``."""
    yield from _queue(interface, Link(None, link.delay, link.loss), f"dst {control}")


def on_the_wire(rate: float) -> float:
    """What of a line's ``rate`` the kernel counts, in bit/s, packets being full."""
    return rate * (MTU + HEADER) / (MTU + AROUND)


def _queue(interface: str, link: Link, control: str) -> Iterator[Words]:
    rate = on_the_wire(link.rate or FASTEST)
    burst = max(LEAST_BURST, math.ceil(rate * LATE / 8))
    yield (
        *("qdisc", "add", "dev", interface, "root", "handle", ROOT),
        *("htb", "default", SHAPED.removeprefix(ROOT)),
    )
    yield (
        *("class", "add", "dev", interface, "parent", ROOT, "classid", SHAPED, "htb"),
        *("rate", f"{rate:.0f}bit", "burst", f"{burst}", "cburst", f"{burst}"),
        # Only for sharing between classes, of which there is one; without it the kernel complains.
        *("quantum", "60000"),
    )
    yield ("qdisc", "add", "dev", interface, "parent", SHAPED, "handle", LEAF, *_leaf(link, rate))
    for priority, protocol, match in (
        ("1", "ip", ("ip", *control.split())),
        # Neither delay nor loss may make a machine's address unknown.
        ("2", "arp", ("u32", "0", "0")),
    ):
        yield (
            *("filter", "add", "dev", interface, "parent", ROOT),
            *("protocol", protocol, "prio", priority, "u32", "match", *match, "flowid", ROOT),
        )


def _leaf(link: Link, rate: float) -> Words:
    if not (link.delay or link.loss):
        return ("bfifo", "limit", f"{max(LEAST_HELD, math.ceil(rate * HELD / 8))}")
    packets = math.ceil(rate * (link.delay + HELD) / 8 / (MTU + HEADER))
    return (
        *("netem", "limit", f"{max(LEAST_PACKETS, packets)}"),
        *(("delay", f"{link.delay * 1e6:.0f}us") if link.delay else ()),
        *(("loss", "random", f"{link.loss * 100:g}%") if link.loss else ()),
    )
