"""What a scenario is: the treatments it stands up, what is tried on them, what must come back.

A description: `bench.scenarios._tour` tries, and everything else is an ordinary run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from bench.deployment import Deployment, Place
from bench.model import Access, Placement


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that is tried: a command in the container of ``place``.

    ``words`` say what is tried. ``wanted`` must be a word of what the command prints on standard
    output; with ``never`` it must not be, and whether the command succeeds does not matter.
    """

    words: str
    place: Place
    argv: tuple[str, ...]
    wanted: str
    never: bool = False


class Scenario(ABC):
    """What somebody does with Docker's networks, from what is built to what it costs.

    ``drivers`` are measured beside the baseline in the ways ``accesses`` and ``placements``;
    ``hosts`` is how many of the inventory's first hosts take part, None for all of them, and
    ``least`` how many there must be. ``lesson`` is the line under the numbers: what they are the
    price of.
    """

    name: str
    title: str
    lesson: str
    drivers: tuple[str, ...]
    accesses: tuple[Access, ...]
    placements: tuple[Placement, ...]
    hosts: int | None = None
    least: int = 1

    @abstractmethod
    def attempts(self, deployment: Deployment) -> Iterator[Attempt]:
        """What to try on what stands, in order."""


# Seconds within which each attempt's own tool gives up.
PATIENCE = "5"


def answers(words: str, place: Place, address: str, port: int, task: str) -> Attempt:
    """A request with a body of 64 KiB, which has to come back unchanged from this very task."""
    argv = ("netbench-probe", address, str(port), PATIENCE)
    return Attempt(f"{words}: request to {address}:{port}", place, argv, task)


def resolves(words: str, place: Place, name: str, address: str) -> Attempt:
    """A name that has to be found at this address."""
    return Attempt(f"{words}: look up {name}", place, ("getent", "ahostsv4", name), address)
