"""Readings of both ends' hosts right before and right after a trial's tool, and what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.gauges.attest import Attested, Attestor
from bench.gauges.reading import Reading, Sources, read
from bench.gauges.use import use
from bench.model import Cell, EndUse, HostPair
from bench.remote.api import Machine
from bench.remote.fleet import Fleet

# How late the counters of a network card may be, in seconds, and a little.
LATE = 1.2


@dataclass(frozen=True, slots=True)
class Before:
    """What was read before the tool, by host, and what to read again after it."""

    cell: Cell
    pair: HostPair
    sources: Mapping[str, Sources]
    readings: Mapping[str, Reading]

    @property
    def outdated(self) -> bool:
        """Whether a container's process is gone: another container has taken its place."""
        return any(
            key.startswith("pid:")
            for reading in self.readings.values()
            for key in reading.unreadable
        )


@dataclass(frozen=True, slots=True)
class Around:
    """Both readings of every host that took part and could be read."""

    before: Before
    readings: Mapping[str, Reading]

    def ends(self, client_cpus: str, server_cpus: str) -> tuple[EndUse, ...]:
        """What each host did in between, the client's first; nothing where one could not be read.

        The arguments say what CPUs the containers were held to.
        """
        pair, cell = self.before.pair, self.before.cell
        client, server = pair.client_for(cell.placement), pair.server
        # One end alone would be taken for the cost of both.
        if not {client, server} <= self.before.readings.keys() & self.readings.keys():
            return ()
        if client == server:
            both = f"{client_cpus}:{server_cpus}" if client_cpus or server_cpus else ""
            return (self._end(client, ("client", "server"), both),)
        return (
            self._end(client, ("client",), client_cpus),
            self._end(server, ("server",), server_cpus),
        )

    def _end(self, host: str, roles: tuple[str, ...], pinned: str) -> EndUse:
        return use(host, roles, self.before.readings[host], self.readings[host], pinned)


class Gauges:
    """Reads hosts around trials. A host that cannot be read fails no trial: ``note`` hears why,
    once a reason. ``seconds`` is the time that all readings took so far."""

    def __init__(self, fleet: Fleet, attestor: Attestor, note: Callable[[str], None]) -> None:
        self.fleet = fleet
        self.attestor = attestor
        self.note = note
        self.seconds = 0.0
        self._noted: set[str] = set()

    def before(self, cell: Cell, pair: HostPair) -> Before:
        """Read the hosts of a trial that is about to begin, at once."""
        begun = time.monotonic()
        sources = self.attestor.sources(cell, pair)
        readings = self._read(sources, frequencies=False)
        self.seconds += time.monotonic() - begun
        return Before(cell, pair, sources, readings)

    def after(self, before: Before) -> Around:
        """Read them again, now that the tool has ended."""
        begun = time.monotonic()
        readings = self._read(before.sources, frequencies=True)
        self.seconds += time.monotonic() - begun
        return Around(before, readings)

    def attest(self, around: Around, payload: float) -> Attested:
        """Hold the interfaces' counters against the path; ``payload`` in bytes.

        Some network cards bring their counters up to date once a second only (bnxt, for one): what
        falls short is looked at again after that time, and the better of the two looks counts.
        """
        before = around.before

        def held(readings: Mapping[str, Reading]) -> Attested:
            return self.attestor.attest(
                before.cell, before.pair, before.readings, readings, payload
            )

        found = held(around.readings)
        if not found.complaint:
            return found
        begun = time.monotonic()
        time.sleep(LATE)
        again = held(self._read(before.sources, frequencies=False))
        self.seconds += time.monotonic() - begun
        return found if again.complaint or not again.passages else again

    def _read(self, sources: Mapping[str, Sources], *, frequencies: bool) -> dict[str, Reading]:
        def one(machine: Machine) -> Reading:
            return read(machine, sources[machine.host.name], frequencies=frequencies)

        found: dict[str, Reading] = {}
        for name, answer in self.fleet.attempt(one, sources).items():
            if isinstance(answer, Reading):
                found[name] = answer
            elif str(answer) not in self._noted:
                self._noted.add(str(answer))
                self.note(f"not read: {answer}")
        return found
