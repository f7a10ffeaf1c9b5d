"""Holding the containers of a trial to the CPUs that the run's policy names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import pinning
from bench.errors import EngineError
from bench.model import Cell, HostPair
from bench.remote.api import Task
from bench.remote.fleet import Fleet


class Holder:
    """Holds containers to CPUs, and asks an engine only where that changes.

    A run goes on unpinned where an engine will not do it; ``note`` hears why, once a host.
    """

    def __init__(
        self,
        fleet: Fleet,
        policy: pinning.Policy,
        cpus_by_host: Mapping[str, int],
        *,
        shared_kernel: bool,
        note: Callable[[str], None],
    ) -> None:
        self.fleet = fleet
        self.policy = policy
        self.cpus_by_host = cpus_by_host
        self.shared_kernel = shared_kernel
        self.note = note
        self._held: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    def hold(self, cell: Cell, pair: HostPair, client: Task, server: Task) -> tuple[str, str]:
        """The CPUs that client and server are held to from now on; "" for an end that is not.

        Raises HostUnreachable and RemoteTimeout, and EngineError where a container does not run.
        """
        wanted = pinning.cpus(
            self.policy, cell, pair, self.cpus_by_host, shared_kernel=self.shared_kernel
        )
        return (
            self._one(pair.client_for(cell.placement), client.container_id, wanted[0]),
            self._one(pair.server, server.container_id, wanted[1]),
        )

    def _one(self, host: str, container: str, cpus: str) -> str:
        held = self._held.get(container, "")
        # Containers are asked for afresh: one that Swarm has replaced since is not held yet.
        if held == cpus or host in self._refused:
            return held
        try:
            everything = pinning.every(self.cpus_by_host[host])
            self.fleet[host].engine.set_cpus(container, cpus or everything)
        except EngineError as fault:
            # A container that has ended, or an engine that is down, says nothing of what the host
            # can do: this raises, the trial fails, and the next one finds what runs by then.
            self.fleet[host].engine.pid(container)
            self._refused[host] = str(fault)
            self.note(f"not pinned: {fault}")
            return held
        self._held[container] = cpus
        return cpus
