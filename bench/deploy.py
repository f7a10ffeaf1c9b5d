"""Networks and services from the drivers' descriptions: the one place that acts on them.

For each driver and host there is one server and one client service of one task, pinned to the host
by node id; a second server where an access needs one whose address Swarm shares out. The server's
container serves every workload; the client's waits for trials to be executed in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench import labels, routes, services
from bench.deployment import (
    CLIENT,
    HOST_NETWORK,
    LINKED,
    LOOPBACK,
    NO_NETWORK,
    SERVER,
    Deployment,
    Order,
    Place,
    Refusal,
)
from bench.drivers.base import Driver, NetworkSpec, SiteHost
from bench.errors import DeployError, HostError, HostUnreachable
from bench.model import Access, Placement
from bench.refusals import refusals
from bench.remote.api import Labelled, Machine, Task
from bench.remote.fleet import Fleet
from bench.tasks import await_tasks, with_addresses


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
        self.unavailable, self.refused = refusals(self.order, chosen)
        places = {
            services.service_name(place, self.order): place
            for driver in chosen
            if driver.name not in self.unavailable and not driver.shares_namespace
            for place in services.places(driver, self.order, list(self.fleet))
        }
        self.refuse_taken(chosen, places)
        for driver in chosen:
            if driver.name not in self.unavailable:
                self.create_networks(driver)
        places = {
            name: place for name, place in places.items() if place.driver not in self.unavailable
        }
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(
                pool.map(
                    lambda named: self.create_service(drivers[named[1].driver], *named),
                    places.items(),
                )
            )
        alone = self.containers([driver for driver in chosen if driver.shares_namespace])
        running = await_tasks(self.manager, self.order.run, places, self.unavailable)
        self.remove_unavailable(places)
        tasks = with_addresses(self.fleet, running) | alone
        tasks |= self.linked(chosen, tasks)
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

    def refuse_taken(self, chosen: Sequence[Driver], names: Iterable[str]) -> None:
        """Raise DeployError, before anything is made, where somebody else's network or service
        has a name that one of this run would get."""
        networks = {
            services.network_name(one, self.order)
            for one in chosen
            if one.name not in self.unavailable and one.existing is None
        }
        for what, taken in (
            ("network", networks & self.manager.network_names()),
            ("service", self.manager.service_names().intersection(names)),
        ):
            if taken:
                raise DeployError(
                    f"{self.order.swarm.manager}: there is somebody else's {what} "
                    f"{', '.join(sorted(taken))}, a name that this run's would have",
                    "run again: names hold the run's own number, which is drawn each time; or "
                    f"remove that {what}",
                )

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

    def linked(self, chosen: Sequence[Driver], tasks: Mapping[Place, Task]) -> dict[Place, Task]:
        """On every host a client with a link to the server there, of the drivers that are reached
        by one: of links Swarm knows nothing."""
        found: dict[Place, Task] = {}
        for driver in chosen:
            accesses = self.order.accesses(driver.name)
            if driver.name in self.unavailable or Access.LINK not in accesses:
                continue
            try:
                made = self.fleet.each(partial(self.link, driver, tasks))
            except HostUnreachable:
                raise
            except HostError as fault:
                self.refused.append(Refusal(driver.name, str(fault), Access.LINK))
                continue
            found |= dict(made.values())
        return found

    def link(
        self, driver: Driver, tasks: Mapping[Place, Task], machine: Machine
    ) -> tuple[Place, Task]:
        place = Place(driver.name, LINKED, machine.host.name)
        server = tasks[Place(driver.name, SERVER, machine.host.name)].container_id
        spec = services.linked(driver, place, self.order, server)
        made = machine.engine.run_container(spec)
        at = machine.engine.addresses(made)
        return place, Task(spec.name, "running", "", "", made, at, alone=True)

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


def _record(name: str, spec: NetworkSpec) -> Mapping[str, str]:
    settings = {"network": name, "driver": spec.driver, "scope": spec.scope, **spec.options}
    if spec.subnet:
        settings["subnet"] = spec.subnet
    return settings
