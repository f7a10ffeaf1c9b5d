"""Where a check acts: networks and services of its own, and commands in their containers.

Everything carries the run's label, so that `bench.cleanup` finds it; every command's output is
kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from bench import labels
from bench.drivers.base import NetworkSpec, Site
from bench.errors import DeployError, EngineError, HostError
from bench.model import HostFacts
from bench.ports import CHECKS
from bench.preparation import Ready
from bench.remote.api import Completed, Labelled, Machine, ServiceSpec, Task
from bench.remote.fleet import Fleet
from bench.swarm import Swarm

# For as long as no task gets any further, until this many tasks have come and gone.
RUNNING_WITHIN = 60.0
MOST_TASKS = 500
GONE_WITHIN = 30.0
POLL = 0.1

# Takes a host's name, and True to take its link off.
Cut = Callable[[str, bool], None]


@dataclass
class Stage:
    """One check's place on the hosts. ``keep`` stores a command's output and returns the file's
    name; ``say`` hears what is going on. ``cut`` takes a host's link off and puts it on again,
    where somebody can."""

    fleet: Fleet
    ready: Ready
    swarm: Swarm
    run: str
    check: str
    port_base: int
    keep: Callable[[str, bytes, bytes], str]
    say: Callable[[str], None]
    plant_leak: bool = False
    cut: Cut | None = None
    raw: list[str] = field(default_factory=list)
    services: dict[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Mapping[str, HostFacts]:
        return self.ready.facts

    @property
    def site(self) -> Site:
        return self.ready.site

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self.ready.facts)

    @property
    def manager(self) -> Machine:
        return self.fleet[self.swarm.manager]

    @property
    def port(self) -> int:
        return self.port_base + CHECKS

    @property
    def marks(self) -> Mapping[str, str]:
        """The labels of what this check makes."""
        return {**labels.of_run(self.run), labels.CHECK: f"{self.run}-{self.check}"}

    def named(self, name: str) -> str:
        """What something of this check is called on the hosts."""
        return f"netbench-{self.run.rsplit('-', 1)[-1]}-{name}"

    def host_of(self, task: Task) -> str:
        """Which of the hosts a task runs on. Raises EngineError for a node that is none of them."""
        for host, node in self.swarm.node_ids.items():
            if node == task.node_id:
                return host
        raise EngineError(
            self.swarm.manager, f"{task.service} runs on a node outside the inventory"
        )

    def network(self, name: str, spec: NetworkSpec) -> str:
        """Create a network of swarm scope; returns its full name. Raises HostError."""
        full = self.named(name)
        self.manager.engine.create_network(full, spec, self.marks)
        return full

    def service(
        self,
        name: str,
        network: str,
        command: Sequence[str],
        *,
        host: str = "",
        also: Sequence[str] = (),
        replicas: int = 1,
        mode: str = "dnsrr",
        published: Mapping[int, int] | None = None,
        mesh: Mapping[int, int] | None = None,
    ) -> ServiceSpec:
        """The words for a service of this check: not created yet."""
        full = self.named(name)
        return ServiceSpec(
            name=full,
            image=self.ready.image.name,
            command=("netbench-serve", *command),
            network=network,
            node_id=self.swarm.node_ids[host] if host else "",
            labels=self.marks,
            published=published or {},
            mesh=mesh or {},
            environment={"NETBENCH_TASK": full},
            endpoint_mode=mode,
            replicas=replicas,
            also=tuple(also),
        )

    def answering(self, bind: str = "") -> tuple[str, ...]:
        """The command that says which task it is, on ``bind`` or every address of its namespace."""
        return ("netbench-answer", str(self.port), *((bind,) if bind else ()))

    def create(self, spec: ServiceSpec) -> None:
        """Create a service; it comes up by and by. Raises HostError."""
        self.services[spec.name] = self.manager.engine.create_service(spec)

    def up(self, specs: Sequence[ServiceSpec]) -> dict[str, tuple[Task, ...]]:
        """Create services and wait until all of their tasks run; those with their addresses, by the
        services' names. Raises DeployError, naming one that does not come up."""
        if specs:
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(self.create, specs))
        return self.running({spec.name: spec.replicas for spec in specs})

    def tasks(self) -> dict[str, tuple[Task, ...]]:
        """The tasks of this run's services that run, by service, as their manager knows them."""
        return _running(self.manager.engine.replicas(labels.selector(self.run)))

    def running(self, wanted: Mapping[str, int]) -> dict[str, tuple[Task, ...]]:
        """Wait until each service has as many running tasks; those, with their addresses.

        Waits for as long as tasks get on, as a slow host starts one after the other. Raises
        DeployError, naming a service that does not come to its tasks.
        """
        deadline = time.monotonic() + RUNNING_WITHIN
        reached: dict[str, str] = {}
        while True:
            every = self.manager.engine.replicas(labels.selector(self.run))
            found = _running(every)
            late = [name for name, count in wanted.items() if len(found.get(name, ())) != count]
            if not late:
                return {
                    name: self.addressed(found[name]) for name, count in wanted.items() if count
                }
            states = {task.task_id: task.state for task in every}
            if set(states.items()) - set(reached.items()) and len(reached) <= MOST_TASKS:
                # New tasks of a service that fails again and again are no getting on for ever.
                reached |= states
                deadline = time.monotonic() + RUNNING_WITHIN
            if time.monotonic() > deadline:
                raise DeployError(self._late(late[0], wanted[late[0]]), "see `netbench check`")
            time.sleep(POLL)

    def _late(self, service: str, wanted: int) -> str:
        every = self.manager.engine.tasks(labels.selector(self.run))
        said = [f"{task.state} {task.message}" for task in every if task.service == service]
        told = "; ".join(said) or "no task was made"
        return f"{service} does not come to {wanted} running tasks ({told.strip()})"

    def addressed(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """The tasks with their addresses, asked of each host's own engine."""

        def on_host(machine: Machine) -> dict[str, Mapping[str, str]]:
            return {
                task.container_id: machine.engine.addresses(task.container_id)
                for task in tasks
                if self.host_of(task) == machine.host.name
            }

        found: dict[str, Mapping[str, str]] = {}
        for answer in self.fleet.each(on_host, {self.host_of(task) for task in tasks}).values():
            found |= answer
        return tuple(replace(task, addresses=found[task.container_id]) for task in tasks)

    def ask(self, task: Task, *argv: str, within: float = 60.0, about: str = "") -> Completed:
        """Execute a command in a task's container and keep what it prints. Raises HostError."""
        host = self.host_of(task)
        done = self.fleet[host].engine.exec(task.container_id, argv, timeout=within)
        named = f"{self.check}-{about or ' '.join(argv[:2])}-{task.service}-{host}"
        self.raw.append(self.keep(named, done.stdout, done.stderr))
        return done

    def answer(self, task: Task, *argv: str, within: float = 60.0, about: str = "") -> str:
        """What a command prints that has to succeed. Raises EngineError where it does not."""
        done = self.ask(task, *argv, within=within, about=about)
        if done.exit_code:
            said = " ".join(done.stderr.decode(errors="replace").split())[-160:]
            what = f"`{argv[0]} {argv[1]}` in {task.service}: {said or done.exit_code}"
            raise EngineError(self.host_of(task), what)
        return done.stdout.decode(errors="replace")

    def remove(self, spec: ServiceSpec) -> None:
        """Take one service away. Raises HostError."""
        key = self.services.pop(spec.name)
        self.manager.engine.remove(Labelled("service", key, spec.name, {}, "swarm"))

    def clear(self) -> None:
        """Take away what this check made, so that the next begins on an empty stage; what resists
        is left for the clean-up at the end, which tells."""

        def refused(kind: str, machine: Machine) -> int:
            """Remove what there is of this kind; how many would not go."""
            label = f"{labels.CHECK}={self.marks[labels.CHECK]}"
            stays = 0
            for thing in machine.engine.labelled(label):
                if thing.kind == kind:
                    try:
                        machine.engine.remove(thing)
                    except HostError:
                        stays += 1
            return stays

        for kind, hosts in (
            ("service", [self.swarm.manager]),
            ("container", list(self.fleet)),
            ("network", [self.swarm.manager]),
        ):
            # For as long as they get fewer: a slow host takes seconds for each.
            least = deadline = math.inf
            while True:
                answers = self.fleet.attempt(partial(refused, kind), hosts)
                stay = sum(answer if isinstance(answer, int) else 1 for answer in answers.values())
                if stay < least:
                    least, deadline = stay, time.monotonic() + GONE_WITHIN
                if not stay or time.monotonic() > deadline:
                    break
                time.sleep(POLL)
        self.services.clear()


def _running(tasks: Sequence[Task]) -> dict[str, tuple[Task, ...]]:
    found: dict[str, tuple[Task, ...]] = {}
    for task in tasks:
        if task.state == "running":
            found[task.service] = (*found.get(task.service, ()), task)
    return found
