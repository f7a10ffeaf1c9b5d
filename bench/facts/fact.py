"""A fact: a command, and a pure function from what it printed to a value."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.errors import HostError, ParseError
from bench.remote.api import Machine

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Fact(Generic[T_co]):
    """What one command tells about a host.

    ``process`` makes a value of the command's standard output or raises ParseError. ``hint`` says
    what to do on a host where the command cannot be run.
    """

    argv: tuple[str, ...]
    process: Callable[[str], T_co]
    hint: str = ""


def ask(machine: Machine, fact: Fact[T_co]) -> T_co:
    """Run a fact's command on a host and return its value.

    Raises HostError, naming host and command, where the command fails or prints something else.
    """
    name = machine.host.name
    command = shlex.join(fact.argv)
    done = machine.shell.run(fact.argv)
    if done.exit_code != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"exit code {done.exit_code}"
        raise HostError(name, f"`{command}` failed: {why}", fact.hint)
    try:
        return fact.process(done.stdout.decode(errors="replace"))
    except ParseError as fault:
        raise HostError(name, f"`{command}` printed {fault.what}", fact.hint) from fault
