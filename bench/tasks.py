"""Waiting for the tasks of services, and knowing their containers' addresses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from bench import drivers, labels
from bench.deployment import Deployment, Place
from bench.remote.api import Engine, Machine, Task
from bench.remote.fleet import Fleet

# For as long as no task gets any further.
TASKS_WITHIN = 60.0
REPLACED_WITHIN = 5.0
# A task counts as running when it has been seen so for this long: one that ends at once was too.
STEADY = 0.4
# How many tasks of one service may come and go before it is given up.
ATTEMPTS = 4
POLL = 0.15


def await_tasks(
    manager: Engine, run: str, places: Mapping[str, Place], unavailable: dict[str, str]
) -> dict[Place, Task]:
    """Every running task of the services called as ``places`` says, by its place.

    A driver with a task that does not run is noted in ``unavailable`` with the reason; nothing of
    the drivers there is waited for.
    """
    selector = labels.selector(run)
    deadline = time.monotonic() + TASKS_WITHIN
    attempts: dict[str, set[str]] = {name: set() for name in places}
    said: dict[str, str] = dict.fromkeys(places, "no task was made")
    settled_at: float | None = None
    reached: dict[str, tuple[str, str]] = {}
    while True:
        found = {task.service: task for task in manager.tasks(selector)}
        # A slow host starts many containers one after the other: it is waited for while it
        # gets on. How often one task may begin anew has its own limit; Swarm goes on with those
        # that were given up, which is no reason to wait.
        states = {
            name: (found[name].task_id, found[name].state)
            for name, place in places.items()
            if name in found and place.driver not in unavailable
        }
        if states != reached:
            reached = states
            deadline = time.monotonic() + TASKS_WITHIN
        waiting = {
            name: place
            for name, place in places.items()
            if place.driver not in unavailable
            and not (name in found and found[name].state == "running")
        }
        for name, place in waiting.items():
            if name in found:
                task = found[name]
                attempts[name].add(task.task_id)
                if task.message or said[name] == "no task was made":
                    said[name] = ": ".join(filter(None, (task.state, task.message)))
            # Swarm tries again by itself, and a first refusal may pass: the network of a
            # task can arrive on its node a moment after the task.
            if time.monotonic() > deadline or len(attempts[name]) > ATTEMPTS:
                unavailable[place.driver] = (
                    f"{place.host}: the {place.role}'s task does not run ({said[name]}); "
                    f"it needs {drivers.known()[place.driver].needs}"
                )
        if any(place.driver not in unavailable for place in waiting.values()):
            settled_at = None
        elif settled_at is None:
            settled_at = time.monotonic()
        elif time.monotonic() > settled_at + STEADY:
            return {
                place: found[name]
                for name, place in places.items()
                if place.driver not in unavailable
            }
        time.sleep(POLL)


def with_addresses(fleet: Fleet, tasks: Mapping[Place, Task]) -> dict[Place, Task]:
    """The tasks with their containers' addresses, asked of each host's own engine: the manager
    knows only those on overlays."""

    def on_host(machine: Machine) -> dict[Place, Task]:
        return {
            place: replace(task, addresses=machine.engine.addresses(task.container_id))
            for place, task in tasks.items()
            if place.host == machine.host.name
        }

    return {place: task for found in fleet.each(on_host).values() for place, task in found.items()}


def refreshed(deployment: Deployment, fleet: Fleet) -> Deployment:
    """The same deployment with the tasks that run now: Swarm replaces a task whose container ended.

    Waits a little for one that is being replaced; a task that does not come back is left as it was.
    Raises HostError where an engine does not answer.
    """
    selector = labels.selector(deployment.run)
    deadline = time.monotonic() + REPLACED_WITHIN
    while True:
        found = fleet[deployment.manager].engine.tasks(selector)
        running = {task.service: task for task in found if task.state == "running"}
        if time.monotonic() > deadline or all(
            task.alone or task.service in running for task in deployment.tasks.values()
        ):
            break
        time.sleep(POLL)
    replaced = {
        place: running[task.service]
        for place, task in deployment.tasks.items()
        if not task.alone
        and task.service in running
        and running[task.service].container_id != task.container_id
    }
    tasks = {**deployment.tasks, **with_addresses(fleet, replaced)}
    return replace(deployment, tasks=tasks)
