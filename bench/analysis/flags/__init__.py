"""What is odd about a run, each with its evidence: noise, foul play, and what cannot be.

Pure functions from a stored run and its summary. The thresholds are in `flag`, their reasons in
docs/flags.md.
"""

from __future__ import annotations

from bench.analysis.flags.bounds import bounds
from bench.analysis.flags.course import courses
from bench.analysis.flags.flag import Flag, Kind, Severity
from bench.analysis.flags.machines import machines
from bench.analysis.summary import Summary
from bench.store import StoredRun

__all__ = ["Flag", "Kind", "Severity", "find"]


def find(run: StoredRun, summary: Summary) -> tuple[Flag, ...]:
    """All flags of a run, the gravest kinds first."""
    found = [*bounds(run, summary), *courses(run, summary), *machines(run)]
    order = {kind: place for place, kind in enumerate(Kind)}
    return tuple(sorted(found, key=lambda flag: order[flag.kind]))
