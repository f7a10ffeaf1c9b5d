"""What fits between the hosts: the path MTU, really tried before anything is created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.facts.data_network import DataNetwork
from bench.facts.pairs import path_mtus
from bench.facts.verdict import Outcome
from bench.model import HostFacts, UnderlayPath
from bench.remote.fleet import Fleet


def underlay(fleet: Fleet, facts: Mapping[str, HostFacts]) -> tuple[UnderlayPath, ...]:
    """The path MTU between every two hosts, in both directions; what cannot be found out is left
    out. Never raises for what a host does: whether it is in reach, the next step tells."""
    networks = {
        name: DataNetwork(one.data_address, one.data_interface, one.data_mtu)
        for name, one in facts.items()
    }
    if len(networks) < 2:
        return ()
    return tuple(
        UnderlayPath(one.source, one.target, one.size, one.largest, one.outcome.value)
        for one in path_mtus(fleet.attempt, networks).paths
    )


def complaints(paths: Iterable[UnderlayPath]) -> tuple[str, ...]:
    """What is wrong with the paths, a line for each kind of trouble."""
    found: dict[str, list[str]] = {}
    for one in paths:
        words = {
            Outcome.BLACK_HOLE: f"black hole: packets of {one.size} bytes vanish, those of "
            f"{one.largest} arrive",
            Outcome.SMALLER: f"packets of {one.size} bytes are too large for the path, those of "
            f"{one.largest} arrive",
        }.get(Outcome(one.outcome))
        if words:
            found.setdefault(words, []).append(f"{one.source} -> {one.target}")
    return tuple(f"{', '.join(where)}: {words}" for words, where in found.items())
