"""Services on several hosts on one overlay, which find each other by service name."""

from __future__ import annotations

from collections.abc import Iterator

from bench import workloads
from bench.deployment import CLIENT, SERVER, Deployment, Place
from bench.model import Access, Placement
from bench.scenarios.base import Attempt, Scenario, answers, resolves


class OverlayScenario(Scenario):
    name = "overlay"
    title = "services on several hosts on one overlay, found by service name"
    lesson = "the price of the overlay (VXLAN) between hosts against their own network"
    drivers = ("overlay",)
    accesses = (Access.DNS,)
    placements = (Placement.CROSS_HOST,)
    least = 2

    def attempts(self, deployment: Deployment) -> Iterator[Attempt]:
        port = deployment.port_base + workloads.known()["http-echo"].port
        network = deployment.networks["overlay"]["network"]
        for source in deployment.data_addresses:
            client = Place("overlay", CLIENT, source)
            for target in deployment.data_addresses:
                server = deployment.tasks[Place("overlay", SERVER, target)]
                address, name = server.addresses[network], server.service
                yield resolves(f"the service on {target}", client, name, address)
                yield answers(f"the service on {target}", client, name, port, name)


SCENARIO = OverlayScenario()
