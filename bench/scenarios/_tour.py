"""Trying a scenario's attempts on what stands, and telling what is there and what came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.deployment import HOST_NETWORK, Deployment
from bench.errors import HostUnreachable, NetbenchError
from bench.remote.api import Completed, Task
from bench.remote.fleet import Fleet
from bench.scenarios.base import Attempt, Scenario

WITHIN = 30.0
# New names and routes need a moment to be everywhere: what should work is tried for this long.
SETTLED_WITHIN = 10.0
POLL = 0.3


@dataclass(frozen=True, slots=True)
class Came:
    """What came back of one attempt: in words, and whether it is what the scenario says."""

    attempt: Attempt
    words: str
    good: bool


def tour(
    scenario: Scenario, fleet: Fleet, deployment: Deployment, tell: Callable[[str], None]
) -> list[Came]:
    """Tell what was built, try every attempt and tell what came back, a line at a time.

    Raises HostUnreachable; whatever else goes wrong with an attempt is what came back.
    """
    tell("built:")
    for line in built(deployment):
        tell(f"  {line}")
    tell("tried:")
    found = []
    for attempt in scenario.attempts(deployment):
        came = _tried(fleet, deployment, attempt)
        found.append(came)
        tell(f"  {'ok  ' if came.good else 'FAIL'} {attempt.place.host}: {attempt.words}")
        tell(f"         {came.words}")
    return found


def built(deployment: Deployment) -> Iterator[str]:
    """Networks, then services with their host and addresses, in words; what could not be, too."""
    for driver, settings in deployment.networks.items():
        name = settings["network"]
        others = [f"{key} {value}" for key, value in settings.items() if key != "network"]
        kind = ", ".join(others) if others else "the engine's own"
        yield f"network {name} for {driver} ({kind})"
    for place, task in deployment.tasks.items():
        yield f"service {task.service} on {place.host}: {_where(place.host, deployment, task)}"
    for driver, why in deployment.unavailable.items():
        yield f"not built: {driver}: {why}"


def _where(host: str, deployment: Deployment, task: Task) -> str:
    told = [f"{address} on {network}" for network, address in task.addresses.items()]
    return ", ".join(told) or f"{deployment.data_addresses[host]} on {HOST_NETWORK}"


def _tried(fleet: Fleet, deployment: Deployment, attempt: Attempt) -> Came:
    if attempt.place not in deployment.tasks:
        return Came(attempt, "not tried: its container does not run", good=False)
    container = deployment.tasks[attempt.place].container_id
    deadline = time.monotonic() + SETTLED_WITHIN
    while True:
        try:
            done = fleet[attempt.place.host].engine.exec(container, attempt.argv, timeout=WITHIN)
            came = _judged(attempt, done)
        except HostUnreachable:
            raise
        except NetbenchError as fault:
            came = Came(attempt, str(fault), good=False)
        if came.good or time.monotonic() > deadline:
            return came
        time.sleep(POLL)


def _judged(attempt: Attempt, done: Completed) -> Came:
    said = done.stdout.decode(errors="replace").strip()
    there = attempt.wanted in said.split()
    if attempt.never:
        if there:
            return Came(attempt, f"came back, and must not: {_short(said)}", good=False)
        return Came(attempt, f"as it must: {_short(_complaint(done) or said)}", good=True)
    good = there and done.exit_code == 0
    if good:
        return Came(attempt, _short(said), good=True)
    told = _complaint(done) or f"{_short(said) or 'nothing'}, where {attempt.wanted} is expected"
    return Came(attempt, told, good=False)


def _complaint(done: Completed) -> str:
    if done.exit_code == 0:
        return ""
    return _short(done.stderr.decode(errors="replace")) or f"exit code {done.exit_code}"


def _short(said: str) -> str:
    """The first line that says something."""
    lines = (" ".join(line.split()) for line in said.splitlines())
    return next(filter(None, lines), "")[:160]
