"""Networks and services from the drivers' descriptions: the one place that acts on them.

For each driver and host there is one server and one client service of one task, pinned to the host
by node id; a second server where an access needs one whose address Swarm shares out. The server's
container serves every workload; the client's waits for trials to be executed in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from bench import capability, labels, routes, services
from bench.deployment import (
    CLIENT,
    HOST_NETWORK,
    LOOPBACK,
    NO_NETWORK,
    SERVER,
    Deployment,
    Order,
    Place,
    Refusal,
    in_mesh,
    mesh_refusal,
)
from bench.drivers.base import Driver, NetworkSpec, SiteHost
from bench.errors import DeployError, HostError, HostUnreachable
from bench.model import Placement
from bench.remote.api import Labelled, Machine, Task
from bench.remote.fleet import Fleet

# For as long as no task gets any further.
TASKS_WITHIN = 60.0
REPLACED_WITHIN = 5.0
# A task counts as running when it has been seen so for this long: one that ends at once was too.
STEADY = 0.4
# How many tasks of one service may come and go before it is given up.
ATTEMPTS = 4
POLL = 0.15


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
        self.unavailable: dict[str, str] = {}
        self.refused: list[Refusal] = []
        self.networks: dict[str, Mapping[str, str]] = {}
        self.services: dict[str, str] = {}

    def deploy(self, chosen: Sequence[Driver]) -> Deployment:
        drivers = {driver.name: driver for driver in chosen}
        self.refuse(chosen)
        for driver in chosen:
            if driver.name not in self.unavailable:
                self.create_networks(driver)
        places = {
            services.service_name(place, self.order): place
            for driver in chosen
            if driver.name not in self.unavailable and not driver.shares_namespace
            for place in services.places(driver, self.order, list(self.fleet))
        }
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(
                pool.map(
                    lambda named: self.create_service(drivers[named[1].driver], *named),
                    places.items(),
                )
            )
        alone = self.containers([driver for driver in chosen if driver.shares_namespace])
        running = self.await_tasks(places, drivers)
        self.remove_unavailable(places)
        tasks = _with_addresses(self.fleet, running) | alone
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
            {host.name: host.parent for host in self.site_hosts()},
            tuple(self.refused),
        )

    def refuse(self, chosen: Sequence[Driver]) -> None:
        """Note what cannot be deployed, or not be reached in some way, before anything is made."""
        site = self.order.site
        owner = ""
        # The usual drivers come first where only one can have the parent interface.
        for driver in sorted(chosen, key=lambda one: not one.usual):
            why = driver.refusal(site) or capability.lack(driver.requires, site.lacking)
            if driver.takes_parent and owner and not why:
                why = (
                    f"{owner} has the parent interface, of which the kernel makes one kind of "
                    f"interface at a time; measure {driver.name} in a run without {owner}"
                )
            if why:
                self.unavailable[driver.name] = why
                continue
            owner = driver.name if driver.takes_parent else owner
            accesses = self.order.accesses(driver.name)
            for access in sorted(accesses):
                wanted = capability.OF_ACCESS.get(access, frozenset())
                why = capability.lack(wanted, site.lacking)
                if not why and in_mesh(frozenset({access})):
                    why = mesh_refusal(self.order.port_base, len(self.order.facts))
                if why:
                    self.refused.append(Refusal(driver.name, why, access))

    def create_networks(self, driver: Driver) -> None:
        """Create the driver's networks and note their settings, or why it is unavailable."""
        name = services.network_name(driver, self.order)
        config = f"{name}-config"
        site, marks = self.order.site, labels.of_run(self.order.run)
        hosts = {host.name: host for host in self.site_hosts()}

        def on_host(machine: Machine) -> None:
            spec = driver.host_network(site, hosts[machine.host.name])
            if spec is not None:
                machine.engine.create_network(config, spec, marks)

        def on_manager(machine: Machine) -> None:
            if spec is not None:
                source = config if spec.from_config else ""
                machine.engine.create_network(name, spec, marks, config_from=source)

        def routed(machine: Machine) -> None:
            host = hosts[machine.host.name]
            routes.lay(machine, driver.routes(site, host, tuple(hosts.values())))

        spec = driver.network(site)
        try:
            self.fleet.each(on_host)
            self.fleet.each(on_manager, [self.order.swarm.manager])
        except HostUnreachable:
            raise
        except HostError as fault:
            self.unavailable[driver.name] = f"{fault.what}; it needs {driver.needs}"
            return
        try:
            self.fleet.each(routed)
        except HostUnreachable:
            raise
        except HostError as fault:
            why = f"{fault}; it needs {driver.needs}"
            self.refused.append(Refusal(driver.name, why, placement=Placement.CROSS_HOST))
        self.networks[driver.name] = {"network": name} if spec is None else _record(name, spec)

    def create_service(self, driver: Driver, name: str, place: Place) -> None:
        try:
            spec = services.service(driver, place, self.order)
            self.services[name] = self.manager.create_service(spec)
        except HostUnreachable:
            raise
        except HostError as fault:
            self.unavailable[driver.name] = f"{fault.what}; it needs {driver.needs}"

    def containers(self, chosen: Sequence[Driver]) -> dict[Place, Task]:
        """Both ends of the drivers whose ends share a namespace, on every host."""
        found: dict[Place, Task] = {}
        for driver in chosen:
            if driver.name in self.unavailable:
                continue
            try:
                made = self.fleet.each(partial(self.couple, driver))
            except HostUnreachable:
                raise
            except HostError as fault:
                self.unavailable[driver.name] = f"{fault.what}; it needs {driver.needs}"
                continue
            for tasks in made.values():
                found |= tasks
        return found

    def couple(self, driver: Driver, machine: Machine) -> dict[Place, Task]:
        """A server, and a client in its namespace, on one host."""
        server = ""
        found: dict[Place, Task] = {}
        for role in (SERVER, CLIENT):
            place = Place(driver.name, role, machine.host.name)
            spec = services.container(driver, place, self.order, server)
            made = machine.engine.run_container(spec)
            server = server or made
            at = {NO_NETWORK: LOOPBACK}
            found[place] = Task(spec.name, "running", "", "", made, at, alone=True)
        return found

    def remove_unavailable(self, places: Mapping[str, Place]) -> None:
        """Take the services of drivers that did not come up away again: Swarm would try to start
        their tasks for as long as the others are measured."""
        for name, key in self.services.items():
            if places[name].driver in self.unavailable:
                self.manager.remove(Labelled("service", key, name, {}, "swarm"))

    def site_hosts(self) -> tuple[SiteHost, ...]:
        return tuple(
            SiteHost(
                index,
                name,
                machine.host.macvlan_parent or self.order.facts[name].data_interface,
                self.order.facts[name].data_address,
            )
            for index, (name, machine) in enumerate(self.fleet.machines.items())
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
    tasks = {**deployment.tasks, **_with_addresses(fleet, replaced)}
    return replace(deployment, tasks=tasks)
