"""Attach and start: from asking for a service to its first answer, by driver, and down again."""

from __future__ import annotations

from contextlib import suppress

from bench import drivers
from bench.checked import Figure, Finding, Report, Skipped
from bench.checks._life import PHASES, Life, Round
from bench.checks._parents import why_not
from bench.checks.base import Check
from bench.drivers.base import Driver
from bench.errors import DeployError, HostError, HostUnreachable
from bench.stage import Stage

ROUNDS = 3


class Attach(Check):
    name = "attach"
    title = "from service create to the first answer, and to its end"
    takes = "about 3 min"

    def run(self, stage: Stage) -> Report:
        findings: list[Finding] = []
        figures: list[Figure] = []
        skipped: list[Skipped] = []
        host = stage.hosts[0]
        plain = stage.service("plain", "host", ("sleep", "infinity"), host=host)
        (outside,) = stage.up([plain])[plain.name]
        for driver in drivers.known().values():
            why = _why_not(stage, driver)
            if why:
                skipped.append(Skipped(driver.name, why))
                continue
            stage.say(f"starting and ending {ROUNDS} services on {driver.name}")
            rounds: list[Round] = []
            failure = ""
            try:
                for number in range(ROUNDS):
                    life = Life(stage, driver, number, outside)
                    try:
                        rounds.append(life.lived())
                    finally:
                        with suppress(HostError, DeployError):
                            life.over()
            except HostUnreachable:
                raise
            except (HostError, DeployError) as fault:
                failure = f"{driver.name}: {fault}; it needs {driver.needs}"
            findings.append(
                Finding(
                    driver.name,
                    f"a service on {host}",
                    f"{ROUNDS} services answer and go",
                    f"{len(rounds)} of {ROUNDS}",
                    failure,
                )
            )
            for one in rounds:
                figures += one.figures(driver.name)
        return Report(tuple(findings), tuple(_medians(figures)), tuple(skipped))


def _why_not(stage: Stage, driver: Driver) -> str:
    """Why a driver's services cannot be started here, or not be timed; empty where they can."""
    if driver.shares_namespace:
        return "nothing outside its container can ask it"
    return why_not(stage, driver, stage.hosts[:1])


def _medians(figures: list[Figure]) -> list[Figure]:
    """Of each driver's rounds the median of each phase, and the slowest answer."""
    found = []
    for of in dict.fromkeys(figure.of for figure in figures):
        for phase in PHASES:
            values = sorted(one.value for one in figures if (one.of, one.name) == (of, phase))
            if values:
                found.append(Figure(of, phase, values[len(values) // 2], "s"))
            if phase == "first answer":
                found.append(Figure(of, "slowest answer", values[-1], "s"))
    return found


CHECK = Attach()
