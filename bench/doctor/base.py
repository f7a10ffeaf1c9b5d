"""What a finding is, what it is made from, and what a rule is. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from bench.doctor.seen import Flow, HostLook, Place
from bench.facts import Report

T = TypeVar("T")


class Sure(StrEnum):
    """How sure a finding is: seen itself, explained best by it, or one explanation of several."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that makes a network slow or breaks it.

    ``where`` names hosts or ``source -> target``, ``what`` the trouble and what it does to
    containers; ``evidence`` is what was seen, ``advice`` what to do.
    """

    rule: str
    where: str
    what: str
    sure: Sure
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.sure}): {self.evidence}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was seen: the check's report, each host's end of the data network and what was
    looked at there, and the bulk transfers."""

    report: Report
    places: Mapping[str, Place] = field(default_factory=dict)
    hosts: Mapping[str, HostLook] = field(default_factory=dict)
    flows: tuple[Flow, ...] = ()
    shared_kernel: bool = False


class Rule(ABC):
    """A family of findings: a pure function of what was seen.

    ``title`` says in a few words what it looks for.
    """

    name: str
    title: str

    @abstractmethod
    def find(self, seen: Examination) -> Iterable[Finding]:
        """The findings. Says nothing of what could not be seen."""

    def finding(self, where: str, what: str, sure: Sure, evidence: str, advice: str) -> Finding:
        return Finding(self.name, where, what, sure, evidence, advice)


def together(found: Iterable[tuple[str, T]], tell: Callable[[str, T], Finding]) -> list[Finding]:
    """A finding for each different thing, naming all the hosts of which it is true."""
    hosts: dict[T, list[str]] = {}
    for host, what in found:
        hosts.setdefault(what, []).append(host)
    return [tell(", ".join(dict.fromkeys(names)), what) for what, names in hosts.items()]
