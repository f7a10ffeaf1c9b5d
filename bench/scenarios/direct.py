"""Two services on one user-defined bridge on one host, by name and by address."""

from __future__ import annotations

from collections.abc import Iterator

from bench import workloads
from bench.deployment import CLIENT, SERVER, Deployment, Place
from bench.model import Access, Placement
from bench.scenarios.base import Attempt, Scenario, answers, resolves


class DirectScenario(Scenario):
    name = "direct"
    title = "two services on one bridge of one host"
    lesson = (
        "the price of a user-defined bridge against the host's own network, by the server's "
        "address (bridge) and by its name (dns)"
    )
    drivers = ("bridge",)
    accesses = (Access.DIRECT, Access.DNS)
    placements = (Placement.SAME_HOST,)
    hosts = 1

    def attempts(self, deployment: Deployment) -> Iterator[Attempt]:
        port = deployment.port_base + workloads.known()["http-echo"].port
        network = deployment.networks["bridge"]["network"]
        for host in deployment.data_addresses:
            client, server = (Place("bridge", role, host) for role in (CLIENT, SERVER))
            for one, other in ((client, server), (server, client)):
                task = deployment.tasks[other]
                name, address = task.container_name, task.addresses[network]
                yield resolves(f"the {one.role} knows the {other.role} by name", one, name, address)
            task = deployment.tasks[server]
            address = task.addresses[network]
            yield answers("by address", client, address, port, task.service)
            yield answers("by name", client, task.container_name, port, task.service)


SCENARIO = DirectScenario()
