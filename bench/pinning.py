"""Which CPUs the two ends of a trial are held to. Pure.

Client and server that share processors fight for them: on a machine of two CPUs the scheduler moves
them about, and how it happens to place them is a good part of the spread between trials. ``--pin``
decides: ``auto`` keeps the two apart where they run on the same processors, ``off`` leaves
everything to the scheduler, and ``CLIENT:SERVER`` names CPUs for each end as in ``0-3:4-7,9``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.errors import UsageError
from bench.model import Cell, HostPair, Placement

AUTO, OFF = "auto", "off"
HINT = "use auto, off, or CLIENT:SERVER with a list of CPUs each, such as 0-3:4-7,9"
# Linux's own limit on x86 is 8192; a larger number is a slip of the finger, not a machine.
MOST = 8192

_PART = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Policy:
    """What ``--pin`` asks for: ``auto``, or CPU numbers (ascending) for each end; with neither
    nothing is pinned."""

    auto: bool = False
    client: tuple[int, ...] = ()
    server: tuple[int, ...] = ()


def parse(text: str) -> Policy:
    """The policy that ``text`` names. Raises UsageError for anything else."""
    if text in (AUTO, OFF):
        return Policy(auto=text == AUTO)
    ends = text.split(":")
    if len(ends) != 2:
        raise UsageError(f"--pin: {text!r} is no policy", HINT)
    return Policy(client=_numbers(ends[0], text), server=_numbers(ends[1], text))


def refuse(policy: Policy, cpus_by_host: Mapping[str, int]) -> None:
    """Raises UsageError, naming the host, where the policy names a CPU that one of the hosts does
    not have (``cpus_by_host`` says how many there are): with three or more hosts each end is on
    every host in turn."""
    wanted = {*policy.client, *policy.server}
    for host, count in cpus_by_host.items():
        absent = sorted(cpu for cpu in wanted if cpu >= count)
        if absent:
            has = f"CPUs 0 to {count - 1}" if count > 1 else "CPU 0 alone"
            raise UsageError(
                f"{host}: --pin names CPU {listing(absent)}, and the host has {has}", HINT
            )


def cpus(
    policy: Policy,
    cell: Cell,
    pair: HostPair,
    cpus_by_host: Mapping[str, int],
    *,
    shared_kernel: bool,
) -> tuple[str, str]:
    """The lists of CPUs for the client's and the server's container; "" is not pinned.

    ``auto`` splits the CPUs where both ends run on the same ones: placed on one host, or on hosts
    that share a kernel. The server gets the lower half and the client the upper, which is the
    larger of the two where the number is odd. A single CPU cannot be split, and ends on machines of
    their own have nothing to fight about.
    """
    if not policy.auto:
        return listing(policy.client), listing(policy.server)
    together = shared_kernel or cell.placement is Placement.SAME_HOST or pair.client == pair.server
    count = min(cpus_by_host[pair.client_for(cell.placement)], cpus_by_host[pair.server])
    if not together or count < 2:
        return "", ""
    return listing(range(count // 2, count)), listing(range(count // 2))


def every(count: int) -> str:
    """The list of all of a host's CPUs."""
    return listing(range(count))


def listing(numbers: Iterable[int]) -> str:
    """CPU numbers as the kernel writes lists of them: ``0-3,9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1][-1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _numbers(text: str, whole: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first
        if match is None or not first <= last < MOST:
            raise UsageError(f"--pin: {part!r} in {whole!r} is no list of CPUs", HINT)
        found.update(range(first, last + 1))
    return tuple(sorted(found))
