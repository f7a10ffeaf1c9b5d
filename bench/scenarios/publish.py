"""A web service behind a published port, reached from outside its host."""

from __future__ import annotations

from collections.abc import Iterator

from bench import drivers, workloads
from bench.deployment import CLIENT, SERVER, Deployment, Place
from bench.model import Access, Placement
from bench.scenarios.base import Attempt, Scenario, answers


class PublishScenario(Scenario):
    name = "publish"
    title = "a web service behind a published port, reached from outside its host"
    lesson = (
        "the price of the mapping (a bridge, and NAT to the published port) against the same "
        "server with no mapping, on the host's own network: by a plain client, and by one that is "
        "a container itself"
    )
    drivers = ("bridge",)
    accesses = (Access.PUBLISHED_HOST_PLAIN, Access.PUBLISHED_HOST)
    placements = (Placement.CROSS_HOST,)
    hosts = 2
    least = 2

    def attempts(self, deployment: Deployment) -> Iterator[Attempt]:
        inside = deployment.port_base + workloads.known()["http-echo"].port
        published = inside + drivers.known()["bridge"].published
        network = deployment.networks["bridge"]["network"]
        hosts = list(deployment.data_addresses)
        for host, outside in zip(hosts, hosts[::-1], strict=True):
            at = deployment.data_addresses[host]
            plain = Place(drivers.BASELINE, CLIENT, outside)
            boxed = Place("bridge", CLIENT, outside)
            server = deployment.tasks[Place("bridge", SERVER, host)]
            yield answers(f"a plain client outside {host}", plain, at, published, server.service)
            yield answers(f"a container outside {host}", boxed, at, published, server.service)
            own = Place(drivers.BASELINE, CLIENT, host)
            yield answers("from its own host", own, at, published, server.service)
            bare = deployment.tasks[Place(drivers.BASELINE, SERVER, host)]
            yield answers("no mapping: the same server as host", plain, at, inside, bare.service)
            hidden = server.addresses[network]
            yield Attempt(
                f"past the mapping: request to the container's own {hidden}:{inside}",
                plain,
                ("netbench-probe", hidden, str(inside), "2"),
                server.service,
                never=True,
            )


SCENARIO = PublishScenario()
