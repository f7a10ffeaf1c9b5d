"""What a check found, as it is stored: the words of `netbench verify`. Pure.

A check says what it expected and what it found (findings), and how much of something there was
(figures). What it could not do it skips, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bench.model import HostFacts, ImageFacts

# The format of verify.json.
FORMAT = 1


class Outcome(StrEnum):
    """What came of a check. There is no passing of what was not looked at."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``group`` is what it is told together with; ``failure`` names
    what is wrong in a line, empty where all is as expected."""

    group: str
    what: str
    expected: str
    found: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: ``name`` of ``of``, in an SI unit."""

    of: str
    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not looked at, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check hands back: findings, figures, and what it skipped. ``notes`` are conclusions
    that are no failures, a line each."""

    findings: tuple[Finding, ...] = ()
    figures: tuple[Figure, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """One check, done: its report, how it came out, how long it took in seconds, and the files of
    raw output relative to the folder. ``fault`` is what kept it from its end."""

    check: str
    title: str
    outcome: Outcome
    seconds: float
    report: Report
    fault: str = ""
    raw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """All that `netbench verify` did: the content of verify.json.

    ``ending`` is ``finished``, ``interrupted`` or ``failed``, with ``message``; ``outstanding``
    names what could not be removed, by host.
    """

    format: int
    run: str
    created: str
    netbench: str
    command: tuple[str, ...]
    hosts: tuple[HostFacts, ...]
    image: ImageFacts
    checks: tuple[Checked, ...]
    ending: str
    message: str = ""
    outstanding: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it went to its end, nothing failed and nothing is left on the hosts."""
        failed = any(one.outcome is Outcome.FAILED for one in self.checks)
        return self.ending == "finished" and not failed and not self.outstanding


def outcome_of(report: Report, fault: str = "") -> Outcome:
    """What a report comes to."""
    if fault or any(one.failure for one in report.findings):
        return Outcome.FAILED
    return Outcome.PASSED if report.findings or report.figures else Outcome.SKIPPED


def failures(reports: Iterable[Checked]) -> list[str]:
    """Every failure, a line each, with its check."""
    return [
        f"{one.check}: {told}"
        for one in reports
        for told in (*(finding.failure for finding in one.report.findings), one.fault)
        if told
    ]
