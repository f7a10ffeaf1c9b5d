"""From two readings of a host to what it did in between. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bench.gauges.reading import Reading
from bench.model import CoreUse, EndUse


def use(
    host: str, roles: tuple[str, ...], before: Reading, after: Reading, pinned: str = ""
) -> EndUse:
    """What ``host`` did between the two readings.

    A counter that went backwards counts as one that stood still: the kernel's idle time does so by
    a tick, and an interface that is gone takes its counts along. A packet that a receive queue
    threw away is counted by its interface too, so the larger of the two sums is taken. Cores that
    came or went in between are left out from the end of the list.
    """
    seconds = max(0.0, after.at - before.at)
    pressure = None
    if before.pressure is not None and after.pressure is not None and seconds > 0:
        pressure = min(1.0, max(0.0, after.pressure - before.pressure) / seconds)
    return EndUse(
        host=host,
        roles=roles,
        seconds=seconds,
        cores=tuple(map(_between, before.cores, after.cores)),
        load=after.load,
        retransmits=max(0, after.retransmits - before.retransmits),
        drops=max(0, after.drops - before.drops, after.queue_drops - before.queue_drops),
        pressure=pressure,
        frequency=after.frequency,
        pinned=pinned,
    )


def busy(ends: Iterable[EndUse], *, shared_kernel: bool) -> float:
    """CPU seconds in which the ends' cores worked: all of their time but idle and stolen.

    The whole hosts' work is counted: both tools, the kernel's part on their behalf (softirqs belong
    to no process), and whatever else ran. Ends that share a kernel are one machine and see the same
    cores: it counts once.
    """
    every = tuple(ends)
    counted = every[:1] if shared_kernel else every
    return sum(
        core.user + core.system + core.softirq + core.irq for end in counted for core in end.cores
    )


def _between(before: CoreUse, after: CoreUse) -> CoreUse:
    return CoreUse(
        user=max(0.0, after.user - before.user),
        system=max(0.0, after.system - before.system),
        softirq=max(0.0, after.softirq - before.softirq),
        irq=max(0.0, after.irq - before.irq),
        steal=max(0.0, after.steal - before.steal),
        idle=max(0.0, after.idle - before.idle),
    )
