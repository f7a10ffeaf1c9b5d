"""Networks and services from the drivers' descriptions: the one place that acts on them.

For each driver and host there is one server and one client service of one task, pinned to the host
by node id. The server's container serves every workload; the client's waits for trials to be
executed in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from bench import labels, workloads
from bench.drivers.base import Driver, NetworkSpec, Site, SiteHost
from bench.errors import DeployError, EngineError, HostError, HostUnreachable
from bench.model import Access, Cell, Host, HostFacts, HostPair
from bench.remote.api import Labelled, Machine, Mount, ServiceSpec, Task
from bench.remote.fleet import Fleet
from bench.swarm import Swarm

# For as long as no task gets any further.
TASKS_WITHIN = 60.0
REPLACED_WITHIN = 5.0
# A task counts as running when it has been seen so for this long: one that ends at once was too.
STEADY = 0.4
# How many tasks of one service may come and go before it is given up.
ATTEMPTS = 4
POLL = 0.15
# Inside a network namespace of its own a container is reached through that network alone.
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - see above
SCRATCH = Mount("/run/netbench", 1 << 30)

SERVER, CLIENT = "server", "client"
HOST_NETWORK = "host"


@dataclass(frozen=True, slots=True)
class Place:
    """One service's place: which driver's network, which end, which host."""

    driver: str
    role: str
    host: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands on the hosts: every place's running task, and the drivers that could not be.

    ``networks`` says per driver how its network was made, for the record. ``data_interfaces`` and
    ``parents`` name each host's interface of the data network and the one that containers' own
    interfaces sit on.
    """

    run: str
    manager: str
    port_base: int
    data_addresses: Mapping[str, str]
    tasks: Mapping[Place, Task]
    unavailable: Mapping[str, str]
    networks: Mapping[str, Mapping[str, str]]
    data_interfaces: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def server(self, cell: Cell, pair: HostPair) -> Task:
        return self.tasks[Place(cell.driver, SERVER, pair.server)]

    def client(self, cell: Cell, pair: HostPair) -> Task:
        host = pair.client_for(cell.placement)
        return self.tasks[Place(cell.driver, CLIENT, host)]

    def endpoint(self, cell: Cell, pair: HostPair, port: int) -> tuple[str, int]:
        """Where the client of this cell finds the server's ``port`` offset: address and port.

        Raises EngineError where the server has no address: no other one will do in its place.
        """
        if cell.access is Access.PUBLISHED_HOST:
            return self.data_addresses[pair.server], self.port_base + workloads.PUBLISHED + port
        network = self.networks[cell.driver]["network"]
        if network == HOST_NETWORK:
            return self.data_addresses[pair.server], self.port_base + port
        server = self.server(cell, pair)
        if network not in server.addresses:
            raise EngineError(pair.server, f"{server.service} has no address on {network}")
        return server.addresses[network], self.port_base + port


@dataclass(frozen=True, slots=True)
class Order:
    """What to deploy for a run: on which swarm of which hosts, from which image, on which ports."""

    run: str
    swarm: Swarm
    facts: Mapping[str, HostFacts]
    site: Site
    image: str
    port_base: int


def deploy(fleet: Fleet, order: Order, chosen: Sequence[Driver]) -> Deployment:
    """Create every driver's networks and services and wait until their tasks run.

    A driver whose networks or tasks do not come up is named in ``unavailable`` with the reason; the
    others stand. Raises DeployError where the baseline does not come up: nothing could be compared.
    """
    return _Deployer(fleet, order).deploy(chosen)


class _Deployer:
    def __init__(self, fleet: Fleet, order: Order) -> None:
        self.fleet = fleet
        self.order = order
        self.manager = fleet[order.swarm.manager].engine
        self.short = order.run.rsplit("-", 1)[-1]
        self.unavailable: dict[str, str] = {}
        self.networks: dict[str, Mapping[str, str]] = {}
        self.services: dict[str, str] = {}

    def deploy(self, chosen: Sequence[Driver]) -> Deployment:
        drivers = {driver.name: driver for driver in chosen}
        for driver in chosen:
            self.create_networks(driver)
        places = {
            self.service_name(driver, role, host): Place(driver.name, role, host)
            for driver in chosen
            if driver.name not in self.unavailable
            for role in (SERVER, CLIENT)
            for host in self.fleet
        }
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(
                pool.map(
                    lambda named: self.create_service(drivers[named[1].driver], *named),
                    places.items(),
                )
            )
        running = self.await_tasks(places, drivers)
        self.remove_unavailable(places)
        tasks = _with_addresses(self.fleet, running)
        for driver in chosen:
            if driver.existing == HOST_NETWORK and driver.name in self.unavailable:
                raise DeployError(
                    f"the baseline does not come up: {self.unavailable[driver.name]}",
                    "see `netbench check`",
                )
        return Deployment(
            self.order.run,
            self.order.swarm.manager,
            self.order.port_base,
            {name: facts.data_address for name, facts in self.order.facts.items()},
            tasks,
            self.unavailable,
            self.networks,
            {name: facts.data_interface for name, facts in self.order.facts.items()},
            {
                name: self.site_host(machine.host).parent
                for name, machine in self.fleet.machines.items()
            },
        )

    def create_networks(self, driver: Driver) -> None:
        """Create the driver's networks and note their settings, or why it is unavailable."""
        name = self.network_name(driver)
        config = f"{name}-config"
        site, marks = self.order.site, labels.of_run(self.order.run)

        def on_host(machine: Machine) -> None:
            spec = driver.host_network(site, self.site_host(machine.host))
            if spec is not None:
                machine.engine.create_network(config, spec, marks)

        def on_manager(machine: Machine) -> None:
            if spec is not None:
                source = config if spec.from_config else ""
                machine.engine.create_network(name, spec, marks, config_from=source)

        refusal = driver.refusal(site)
        if refusal:
            self.unavailable[driver.name] = refusal
            return
        spec = driver.network(site)
        try:
            self.fleet.each(on_host)
            self.fleet.each(on_manager, [self.order.swarm.manager])
        except HostUnreachable:
            raise
        except HostError as fault:
            self.unavailable[driver.name] = f"{fault.what}; it needs {driver.needs}"
            return
        self.networks[driver.name] = {"network": name} if spec is None else _record(name, spec)

    def create_service(self, driver: Driver, name: str, place: Place) -> None:
        try:
            self.services[name] = self.manager.create_service(self.service(driver, name, place))
        except HostUnreachable:
            raise
        except HostError as fault:
            self.unavailable[driver.name] = f"{fault.what}; it needs {driver.needs}"

    def remove_unavailable(self, places: Mapping[str, Place]) -> None:
        """Take the services of drivers that did not come up away again: Swarm would try to start
        their tasks for as long as the others are measured."""
        for name, key in self.services.items():
            if places[name].driver in self.unavailable:
                self.manager.remove(Labelled("service", key, name, {}, "swarm"))

    def site_host(self, host: Host) -> SiteHost:
        parent = host.macvlan_parent or self.order.facts[host.name].data_interface
        return SiteHost(list(self.fleet).index(host.name), host.name, parent)

    def network_name(self, driver: Driver) -> str:
        return driver.existing or f"netbench-{self.short}-{driver.name}"

    def service_name(self, driver: Driver, role: str, host: str) -> str:
        # Service names are limited to 63 characters and host names are not: number the hosts.
        return f"netbench-{self.short}-{driver.name}-{role}-{list(self.fleet).index(host) + 1}"

    def service(self, driver: Driver, name: str, place: Place) -> ServiceSpec:
        known = workloads.known().values()
        # On the host's own network servers listen on the data address alone, not on whatever
        # other networks the machine is in.
        own_network = driver.existing == HOST_NETWORK
        bind = self.order.facts[place.host].data_address if own_network else EVERY_ADDRESS
        command: tuple[str, ...] = ("sleep", "infinity")
        published: dict[int, int] = {}
        if place.role == SERVER:
            served = [
                workload.server(bind, self.order.port_base + workload.port) for workload in known
            ]
            command = tuple(word for argv in served for word in ("--", *argv))[1:]
            if Access.PUBLISHED_HOST in driver.access.values():
                ports = [self.order.port_base + workload.port for workload in known]
                published = {port: port + workloads.PUBLISHED for port in ports}
        return ServiceSpec(
            name=name,
            image=self.order.image,
            command=("netbench-serve", *command),
            network=self.network_name(driver),
            node_id=self.order.swarm.node_ids[place.host],
            labels=labels.of_run(self.order.run),
            published=published,
            environment={"NETBENCH_TASK": name},
            tmpfs=(SCRATCH,),
        )

    def await_tasks(
        self, places: Mapping[str, Place], drivers: Mapping[str, Driver]
    ) -> dict[Place, Task]:
        """Every place's running task; a driver with a task that does not run is unavailable."""
        selector = labels.selector(self.order.run)
        deadline = time.monotonic() + TASKS_WITHIN
        attempts: dict[str, set[str]] = {name: set() for name in places}
        said: dict[str, str] = dict.fromkeys(places, "no task was made")
        settled_at: float | None = None
        reached: dict[str, tuple[str, str]] = {}
        while True:
            found = {task.service: task for task in self.manager.tasks(selector)}
            # A slow host starts many containers one after the other: it is waited for while it
            # gets on. How often one task may begin anew has its own limit; Swarm goes on with those
            # that were given up, which is no reason to wait.
            states = {
                name: (found[name].task_id, found[name].state)
                for name, place in places.items()
                if name in found and place.driver not in self.unavailable
            }
            if states != reached:
                reached = states
                deadline = time.monotonic() + TASKS_WITHIN
            waiting = {
                name: place
                for name, place in places.items()
                if place.driver not in self.unavailable
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
                    self.unavailable[place.driver] = (
                        f"{place.host}: the {place.role}'s task does not run ({said[name]}); "
                        f"it needs {drivers[place.driver].needs}"
                    )
            if any(place.driver not in self.unavailable for place in waiting.values()):
                settled_at = None
            elif settled_at is None:
                settled_at = time.monotonic()
            elif time.monotonic() > settled_at + STEADY:
                return {
                    place: found[name]
                    for name, place in places.items()
                    if place.driver not in self.unavailable
                }
            time.sleep(POLL)


def _with_addresses(fleet: Fleet, tasks: Mapping[Place, Task]) -> dict[Place, Task]:
    """The tasks with their containers' addresses, asked of each host's own engine: the manager
    knows only those on overlays."""

    def on_host(machine: Machine) -> dict[Place, Task]:
        return {
            place: replace(task, addresses=machine.engine.addresses(task.container_id))
            for place, task in tasks.items()
            if place.host == machine.host.name
        }

    return {place: task for found in fleet.each(on_host).values() for place, task in found.items()}


def _record(name: str, spec: NetworkSpec) -> Mapping[str, str]:
    settings = {"network": name, "driver": spec.driver, "scope": spec.scope, **spec.options}
    if spec.subnet:
        settings["subnet"] = spec.subnet
    return settings


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
            task.service in running for task in deployment.tasks.values()
        ):
            break
        time.sleep(POLL)
    replaced = {
        place: running[task.service]
        for place, task in deployment.tasks.items()
        if task.service in running and running[task.service].container_id != task.container_id
    }
    tasks = {**deployment.tasks, **_with_addresses(fleet, replaced)}
    return replace(deployment, tasks=tasks)
