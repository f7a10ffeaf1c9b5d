"""All hosts at once: connect, ask every one of them in parallel, close."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from bench.errors import NetbenchError
from bench.model import Host
from bench.remote.api import Machine

T = TypeVar("T")

# Asking a host is waiting for it, so many at a time cost little.
PARALLEL = 64


class Fleet:
    """The hosts of an inventory by name, in its order.

    ``machines`` are the ones in reach, ``unreachable`` says of the others why they are not. To
    iterate over a fleet is to get the names of all. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        machines: Mapping[str, Machine],
        unreachable: Mapping[str, NetbenchError] | None = None,
        order: Iterable[str] = (),
    ) -> None:
        self.machines = dict(machines)
        self.unreachable = dict(unreachable or {})
        self._names = tuple(order) or (*self.machines, *self.unreachable)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Machine:
        """Raises HostUnreachable for a host that is not in reach."""
        if name in self.unreachable:
            raise self.unreachable[name]
        return self.machines[name]

    def each(self, do: Callable[[Machine], T], hosts: Iterable[str] | None = None) -> dict[str, T]:
        """What ``do`` returns for each host, all of them at once.

        Waits for all. Raises the first host's error, naming the others that failed too.
        """
        answers = self.attempt(do, hosts)
        failed = {
            name: answer for name, answer in answers.items() if isinstance(answer, NetbenchError)
        }
        if failed:
            first, *others = failed
            raise _naming(failed[first], others)
        return {
            name: answer
            for name, answer in answers.items()
            if not isinstance(answer, NetbenchError)
        }

    def attempt(
        self, do: Callable[[Machine], T], hosts: Iterable[str] | None = None
    ) -> dict[str, T | NetbenchError]:
        """What ``do`` returns for each host, or netbench's own error that it raised there."""

        def one(name: str) -> T | NetbenchError:
            try:
                return do(self[name])
            except NetbenchError as fault:
                return fault

        names = tuple(self._names if hosts is None else hosts)
        if not names:
            return {}
        with ThreadPoolExecutor(min(PARALLEL, len(names)), "netbench-host") as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def close(self) -> None:
        """Close all connections, at once. Never raises."""

        def one(machine: Machine) -> None:
            with contextlib.suppress(Exception):
                machine.close()

        if self.machines:
            with ThreadPoolExecutor(min(PARALLEL, len(self.machines))) as pool:
                list(pool.map(one, self.machines.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(hosts: Iterable[Host], *, timeout: float = 10.0) -> Fleet:
    """Connect to all hosts at once; ``timeout`` in seconds is for each step of each connection.

    Hosts that cannot be reached do not raise here: they are in ``unreachable`` and raise when they
    are asked something.
    """
    from bench.remote.machine import RemoteMachine  # noqa: PLC0415 - paramiko and docker are slow

    hosts = tuple(hosts)
    machines: dict[str, Machine] = {}
    unreachable: dict[str, NetbenchError] = {}

    def one(host: Host) -> None:
        try:
            machines[host.name] = RemoteMachine(host, timeout=timeout)
        except NetbenchError as fault:
            unreachable[host.name] = fault

    try:
        with ThreadPoolExecutor(min(PARALLEL, max(1, len(hosts))), "netbench-connect") as pool:
            list(pool.map(one, hosts))
    except BaseException:
        Fleet(machines).close()
        raise
    return Fleet(machines, unreachable, [host.name for host in hosts])


def _naming(fault: NetbenchError, others: Iterable[str]) -> NetbenchError:
    """The same error, which also names the other hosts that failed."""
    names = ", ".join(others)
    if not names:
        return fault
    wider = type(fault).__new__(type(fault))
    wider.__dict__.update(fault.__dict__)
    wider.what = f"{fault.what} (and errors on {names})"
    wider.args = (wider.what,)
    return wider
