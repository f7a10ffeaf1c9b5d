"""What is done to a task or its node, and undone: each fault is ended however the check goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import labels
from bench.errors import DeployError, HostError
from bench.remote.api import Labelled, Task
from bench.stage import Stage

# How long a host that was away may take to be back in the swarm, and its engine to end or begin.
BACK_WITHIN = 90.0
STOPPED_WITHIN, BEGUN_WITHIN = 60.0, 180.0

# Where there is a service manager, it is the one to ask: the socket would start the engine again.
# Else how the engine was started is kept until it is started again. Either way it is told to end,
# and ends its containers first.
STOP = """
[ -d /run/systemd/system ] && exec systemctl stop --no-block docker.socket docker.service
pid=$(cat /run/docker.pid) || exit 1
cat /proc/$pid/environ /proc/$pid/cmdline >/run/netbench-engine && kill $pid || exit 1
while kill -0 $pid 2>/dev/null; do sleep 0.1; done
"""
START = """
[ -d /run/systemd/system ] && exec systemctl start docker.socket docker.service
[ -e /run/netbench-engine ] || exit 0
pid=$(cat /run/docker.pid 2>/dev/null) && kill -0 $pid 2>/dev/null ||
    setsid --fork xargs -0 -a /run/netbench-engine env -i </dev/null >/run/netbench-engine.log 2>&1
until docker info >/dev/null 2>&1; do sleep 0.2; done
rm /run/netbench-engine
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, in words, how it begins and how it is undone. ``node`` says that it takes the
    task's whole node, ``lab`` that it is done to a lab's hosts alone."""

    words: str
    begin: Callable[[Stage, Task], None]
    end: Callable[[Stage, Task], None]
    node: bool = True
    lab: bool = False

    def why_not(self, stage: Stage) -> str:
        """Why it cannot be done on this stage; empty where it can."""
        if self.node and not owns_nodes(stage):
            if len(stage.hosts) < 2:
                return "there is one host"
            return "the swarm is not netbench's own: what else runs on the node would have to move"
        if self.lab and stage.cut is None:
            return "that is done to a lab's hosts alone: name the lab by --lab"
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
    _engine(stage, task, STOP, STOPPED_WITHIN, "stopped")


def _start(stage: Stage, task: Task) -> None:
    _engine(stage, task, START, BEGUN_WITHIN, "started again")
    _await_back(stage, task)


def _engine(stage: Stage, task: Task, script: str, within: float, what: str) -> None:
    host = stage.host_of(task)
    done = stage.fleet[host].shell.run(("sh", "-c", script), timeout=within)
    if done.exit_code:
        said = " ".join(done.stderr.decode(errors="replace").split())[-120:]
        raise HostError(
            host, f"its engine cannot be {what}: {said or done.exit_code}", "see its log there"
        )


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
    Fault("its engine is stopped", _stop, _start, lab=True),
)
