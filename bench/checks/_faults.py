"""What is done to a task or its node, and undone: each fault is ended however the check goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import labels
from bench.errors import DeployError, HostError
from bench.remote.api import Labelled, Task
from bench.stage import Stage

# How long a host that was away may take to be back in the swarm, and its engine to be told, and to
# have ended and begun again.
BACK_WITHIN = 90.0
TOLD_WITHIN, BEGUN_WITHIN = 30.0, 180.0

# Not waited for: what happens while an engine ends is what is looked at. The socket would start it
# again for the next that asks.
STOP = ("systemctl", "stop", "--no-block", "docker.socket", "docker.service")
START = ("systemctl", "start", "docker.socket", "docker.service")
MANAGED = ("test", "-d", "/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, in words, how it begins and how it is undone. ``node`` says that it takes the
    task's whole node, ``lab`` that it is done to a lab's hosts alone, ``managed`` to those whose
    engine systemd starts and stops."""

    words: str
    begin: Callable[[Stage, Task], None]
    end: Callable[[Stage, Task], None]
    node: bool = True
    lab: bool = False
    managed: bool = False

    def why_not(self, stage: Stage) -> str:
        """Why it cannot be done on this stage; empty where it can."""
        if self.node and not owns_nodes(stage):
            if len(stage.hosts) < 2:
                return "there is one host"
            return "the swarm is not netbench's own: what else runs on the node would have to move"
        if self.lab and stage.cut is None:
            return "that is done to a lab's hosts alone: name the lab by --lab"
        if self.managed:
            for host in stage.hosts:
                if stage.fleet[host].shell.run(MANAGED).exit_code:
                    return f"{host} has no systemd to stop its engine, as virtual machines have"
        return ""


def owns_nodes(stage: Stage) -> bool:
    """Whether nodes may be taken away: there is another one, and the swarm is netbench's own."""
    return len(stage.hosts) > 1 and stage.manager.engine.swarm_labels().get(labels.RUN) == stage.run


def _kill(stage: Stage, task: Task) -> None:
    thing = Labelled("container", task.container_id, task.container_name, {})
    stage.fleet[stage.host_of(task)].engine.remove(thing)


def _killed(_stage: Stage, _task: Task) -> None:
    """Swarm has replaced it: there is nothing to undo."""


def _drain(stage: Stage, task: Task) -> None:
    stage.manager.engine.set_availability(task.node_id, "drain")


def _drained(stage: Stage, task: Task) -> None:
    stage.manager.engine.set_availability(task.node_id, "active")


def _cut(stage: Stage, task: Task) -> None:
    assert stage.cut is not None
    stage.cut(stage.host_of(task), True)


def _mend(stage: Stage, task: Task) -> None:
    assert stage.cut is not None
    stage.cut(stage.host_of(task), False)
    _await_back(stage, task)


def _stop(stage: Stage, task: Task) -> None:
    _systemd(stage, task, STOP, TOLD_WITHIN)


def _start(stage: Stage, task: Task) -> None:
    _systemd(stage, task, START, BEGUN_WITHIN)
    _await_back(stage, task)


def _systemd(stage: Stage, task: Task, argv: tuple[str, ...], within: float) -> None:
    host = stage.host_of(task)
    done = stage.fleet[host].shell.run(argv, timeout=within)
    if done.exit_code:
        said = " ".join(done.stderr.decode(errors="replace").split())[-120:]
        raise HostError(host, f"`{' '.join(argv)}`: {said or done.exit_code}")


def _await_back(stage: Stage, task: Task) -> None:
    deadline = time.monotonic() + BACK_WITHIN
    while not any(
        node.ready for node in stage.manager.engine.nodes() if node.node_id == task.node_id
    ):
        if time.monotonic() > deadline:
            host = stage.host_of(task)
            raise DeployError(f"{host}: not back in the swarm after {BACK_WITHIN:.0f} s")
        time.sleep(1.0)


FAULTS = (
    Fault("the task is killed", _kill, _killed, node=False),
    Fault("its node is drained", _drain, _drained),
    Fault("its host is cut off", _cut, _mend, lab=True),
    Fault("its engine is stopped", _stop, _start, lab=True, managed=True),
)
