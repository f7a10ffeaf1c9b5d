"""Hosts that cannot be looked at, or whose engine or swarm is not sound."""

from __future__ import annotations

from collections.abc import Iterable

from bench.doctor.base import Examination, Finding, Rule, Sure


class Reach(Rule):
    name = "hosts"
    title = "hosts out of reach, engines and swarms that are not sound"

    def find(self, seen: Examination) -> Iterable[Finding]:
        for problem in seen.report.problems:
            # What is between two hosts is for other rules, and what only keeps netbench from
            # measuring something is for the check.
            if problem.warning or "->" in problem.where:
                continue
            advice = problem.hint or "see `netbench check`"
            yield self.finding(problem.where, problem.what, Sure.CERTAIN, "the check", advice)


RULE = Reach()
