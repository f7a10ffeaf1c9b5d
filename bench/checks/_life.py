"""One service's life: its network made, itself created, asked, and taken away again, all timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import drivers, labels
from bench.checked import Figure
from bench.checks._parents import config_of, lay
from bench.drivers.base import Driver
from bench.errors import DeployError, HostError, HostUnreachable
from bench.remote.api import Labelled, ServiceSpec, Task
from bench.stage import GONE_WITHIN, Stage

ANSWERED_WITHIN = 60
POLL = 0.02
# What a published port of a bridge's server is above its port inside.
PUBLISHED = 700
PHASES = ("network made", "accepted", "running", "first answer", "container gone", "network gone")


@dataclass(frozen=True, slots=True)
class Round:
    """One service's life, in seconds: from asking for its network until there is one (None where
    the driver needs none); from asking for the service until Swarm takes it, says it runs, and it
    answers; from asking for its end until its container is gone, and its network after it."""

    network: float | None
    accepted: float
    running: float
    answered: float
    container_gone: float
    network_gone: float | None

    def figures(self, of: str) -> list[Figure]:
        values = (
            *(self.network, self.accepted, self.running),
            *(self.answered, self.container_gone, self.network_gone),
        )
        return [
            Figure(of, phase, value, "s")
            for phase, value in zip(PHASES, values, strict=True)
            if value is not None
        ]


class Life:
    """One service on a network of its own on the first host, asked by a client that waits there."""

    def __init__(self, stage: Stage, driver: Driver, number: int, outside: Task) -> None:
        self.stage = stage
        self.driver = driver
        self.number = number
        self.outside = outside
        self.host = stage.hosts[0]
        self.networks: list[str] = []
        self.client: ServiceSpec | None = None

    def lived(self) -> Round:
        """Its whole life. Raises DeployError or HostError where it does not come up or go."""
        begun = time.monotonic()
        network = self.made()
        made = time.monotonic() - begun
        asker = self.waiting(network)
        spec = self.spec(network)
        begun = time.monotonic()
        self.stage.create(spec)
        accepted = time.monotonic() - begun
        ((task,),) = self.stage.running({spec.name: 1}).values()
        running = time.monotonic() - begun
        address, port = self.where(spec, task)
        within = str(ANSWERED_WITHIN)
        self.stage.answer(asker, "netbench-ask", "first", within, address, str(port))
        answered = time.monotonic() - begun
        begun = time.monotonic()
        self.stage.remove(spec)
        self.until(lambda: not self.left(task), f"the container of {spec.name} stays")
        gone = time.monotonic() - begun
        if self.client is not None:
            self.stage.remove(self.client)
        network_gone = self.without_networks() if self.networks else None
        return Round(
            made if self.networks else None, accepted, running, answered, gone, network_gone
        )

    def named(self, what: str) -> str:
        return f"{self.driver.name}-{what}-{self.number}"

    def made(self) -> str:
        """The driver's network: its name. Only the first host has its part of it."""
        stage, driver = self.stage, self.driver
        if driver.existing:
            return driver.existing
        full = stage.named(self.named("net"))
        self.networks = [full, config_of(full)]
        lay(stage, driver, full, [self.host])
        return full

    def over(self) -> None:
        """Take away what is left of a life that was cut short, so that the next driver's begin with
        nothing in their way; what resists is left for the clean-up at the end."""
        for name in [name for name in self.stage.services if name != self.outside.service]:
            key = self.stage.services.pop(name)
            self.stage.manager.engine.remove(Labelled("service", key, name, {}, "swarm"))
        if self.networks:
            self.without_networks()

    def waiting(self, network: str) -> Task:
        """A client that is up already: on the same network, or a plain process where a published
        port or the host's own address is asked."""
        if self.driver.existing or self.driver.published == drivers.known()["bridge"].published:
            return self.outside
        idle = ("sleep", "infinity")
        self.client = self.stage.service(self.named("client"), network, idle, host=self.host)
        return self.stage.up([self.client])[self.client.name][0]

    def spec(self, network: str) -> ServiceSpec:
        stage = self.stage
        published = {}
        bind = ""
        if network == "host":
            bind = stage.facts[self.host].data_address
        elif "bridge" in self.driver.name:
            published = {stage.port: stage.port + PUBLISHED}
        return stage.service(
            self.named("server"),
            network,
            stage.answering(bind),
            host=self.host,
            published=published,
        )

    def where(self, spec: ServiceSpec, task: Task) -> tuple[str, int]:
        """Where the waiting client asks: a published port, or the task's own address."""
        if spec.published:
            return self.stage.facts[self.host].data_address, self.stage.port + PUBLISHED
        if spec.network == "host":
            return self.stage.facts[self.host].data_address, self.stage.port
        return task.addresses[spec.network], self.stage.port

    def left(self, task: Task) -> bool:
        """Whether the task's container is still there."""
        label = f"{labels.CHECK}={self.stage.marks[labels.CHECK]}"
        found = self.stage.fleet[self.host].engine.labelled(label)
        return any(one.object_id == task.container_id for one in found)

    def without_networks(self) -> float:
        """Remove the networks; how long until the host's engine has none of them."""
        begun = time.monotonic()

        def removed() -> bool:
            done = True
            for machine in {self.stage.manager.host.name, self.host}:
                engine = self.stage.fleet[machine].engine
                ids = engine.network_ids()
                for name in self.networks:
                    if name not in ids:
                        continue
                    done = False
                    try:
                        engine.remove(Labelled("network", ids[name], name, {}, "swarm"))
                    except HostUnreachable:
                        raise
                    except HostError:
                        # In use for as long as its last container goes.
                        continue
            return done

        self.until(removed, f"the network {self.networks[0]} stays")
        return time.monotonic() - begun

    def until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + GONE_WITHIN
        while not done():
            if time.monotonic() > deadline:
                raise DeployError(f"{self.host}: {what} after {GONE_WITHIN:.0f} s")
            time.sleep(POLL)
