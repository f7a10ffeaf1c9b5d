"""A host's Docker engine, asked through its SSH connection. See ``bench.remote.api.Engine``."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import docker
import docker.errors
import requests

from bench.drivers.base import NetworkSpec
from bench.errors import EngineError
from bench.remote import wire
from bench.remote.api import (
    Completed,
    ContainerSpec,
    EngineFacts,
    Labelled,
    Node,
    ServiceSpec,
    Task,
)
from bench.remote.dial import DialAdapter, Dialer
from bench.remote.execute import Execution
from bench.remote.faults import refused, told
from bench.remote.ssh import Connection

# Seconds without an answer until a call fails: for questions; for joining and leaving swarms (which
# the engine itself gives up after 20 to 30) and what the manager has to write down, of which a busy
# one has many before it; and between two signs of life of an image transfer.
ASK = 20
SWARM = 60
TRANSFER = 300
OLDEST = (1, 41)
NEWEST = (1, 45)
# A name for the SDK to put into its requests; nothing listens there.
_URL = "http://docker:80"


class DockerEngine:
    """The Docker engine of one host. Safe to use from several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._host = connection.host.name
        self._dialer = Dialer(connection)
        self._adapter = DialAdapter(self._dialer)
        self._lock = threading.Lock()
        self._version = ""
        self._clients: dict[int, docker.APIClient] = {}

    def close(self) -> None:
        """Give up the ways to the engine; the SSH connection stays. Never raises."""
        self._dialer.close()
        self._adapter.close()

    def facts(self) -> EngineFacts:
        with told(self._connection, "docker info"):
            return wire.facts(self._client().info())

    def image_labels(self, reference: str) -> Mapping[str, str] | None:
        with told(self._connection, f"image {reference}"):
            try:
                found = self._client().inspect_image(reference)
            except docker.errors.NotFound:
                return None
            return dict(found["Config"].get("Labels") or {})

    def load_image(self, archive: BinaryIO) -> None:
        with told(self._connection, "loading an image"):
            self._to_end(self._client(TRANSFER).load_image(archive), "loading an image")

    def pull_image(self, reference: str) -> str:
        with told(self._connection, f"pulling {reference}"):
            answer = self._client(TRANSFER).pull(reference, stream=True, decode=True)
            self._to_end(answer, f"pulling {reference}")
            return str(self._client().inspect_image(reference)["Id"])

    def swarm_init(self, address: str, labels: Mapping[str, str]) -> None:
        client = self._client(SWARM)
        with told(self._connection, "docker swarm init"):
            spec = client.create_swarm_spec(labels=dict(labels))
            client.init_swarm(
                advertise_addr=address,
                listen_addr=wire.endpoint(address),
                data_path_addr=address,
                swarm_spec=spec,
            )

    def worker_token(self) -> str:
        with told(self._connection, "docker swarm join-token"):
            return str(self._client().inspect_swarm()["JoinTokens"]["Worker"])

    def swarm_labels(self) -> Mapping[str, str]:
        with told(self._connection, "docker swarm inspect"):
            return dict(self._client().inspect_swarm()["Spec"].get("Labels") or {})

    def swarm_join(self, address: str, manager: str, token: str) -> None:
        with told(self._connection, f"docker swarm join {manager}"):
            self._client(SWARM).join_swarm(
                [wire.endpoint(manager)],
                token,
                listen_addr=wire.endpoint(address),
                advertise_addr=address,
                data_path_addr=address,
            )

    def swarm_leave(self) -> None:
        with told(self._connection, "docker swarm leave"):
            self._client(SWARM).leave_swarm(force=True)

    def nodes(self) -> tuple[Node, ...]:
        with told(self._connection, "docker node ls"):
            return tuple(wire.node(found) for found in self._client().nodes())

    def network_names(self) -> frozenset[str]:
        with told(self._connection, "docker network ls"):
            return frozenset(str(found["Name"]) for found in self._client().networks())

    def network_ids(self) -> Mapping[str, str]:
        with told(self._connection, "docker network ls"):
            return {str(found["Name"]): str(found["Id"]) for found in self._client().networks()}

    def create_network(
        self, name: str, spec: NetworkSpec, labels: Mapping[str, str], config_from: str = ""
    ) -> str:
        body = wire.network(name, spec, labels, config_from)
        return str(self._post("/networks/create", body, f"network {name}")["Id"])

    def service_names(self) -> frozenset[str]:
        with told(self._connection, "docker service ls"):
            return frozenset(str(found["Spec"]["Name"]) for found in self._client().services())

    def create_service(self, spec: ServiceSpec) -> str:
        return str(self._post("/services/create", wire.service(spec), f"service {spec.name}")["ID"])

    def run_container(self, spec: ContainerSpec) -> str:
        path, doing = f"/containers/create?name={spec.name}", f"container {spec.name}"
        made = str(self._post(path, wire.container(spec), doing)["Id"])
        try:
            with told(self._connection, doing):
                self._client(SWARM).start(made)
        except EngineError:
            self.remove(Labelled("container", made, spec.name, spec.labels))
            raise
        return made

    def tasks(self, label: str) -> tuple[Task, ...]:
        return wire.newest_tasks(*self._tasks(label))

    def replicas(self, label: str) -> tuple[Task, ...]:
        return wire.live_tasks(*self._tasks(label))

    def _tasks(self, label: str) -> tuple[list[Any], dict[str, str]]:
        """All tasks of the services with a label, as the engine lists them, and the services' names
        by id."""
        # Tasks do not carry their service's labels, so the services have to be asked for first.
        with told(self._connection, "docker service ps"):
            services = {
                str(found["ID"]): str(found["Spec"]["Name"])
                for found in self._client().services(filters={"label": [label]})
            }
            if not services:
                return [], {}
            return self._client().tasks(filters={"service": list(services)}), services

    def scale_service(self, service: str, replicas: int) -> None:
        doing = f"scaling service {service[:24]}"
        with told(self._connection, doing):
            found = self._client().inspect_service(service)
        spec = {**found["Spec"], "Mode": {"Replicated": {"Replicas": replicas}}}
        version = found["Version"]["Index"]
        self._post(f"/services/{service}/update?version={version}", spec, doing)

    def set_availability(self, node: str, availability: str) -> None:
        with told(self._connection, f"docker node update --availability {availability}"):
            client = self._client()
            found = client.inspect_node(node)
            spec = {**found["Spec"], "Availability": availability}
            client.update_node(node, found["Version"]["Index"], spec)

    def addresses(self, container: str) -> Mapping[str, str]:
        with told(self._connection, f"container {container[:24]}"):
            return wire.addresses(self._client().inspect_container(container))

    def pid(self, container: str) -> int:
        with told(self._connection, f"container {container[:24]}"):
            found = wire.pid(self._client().inspect_container(container))
        if found == 0:
            raise EngineError(self._host, f"container {container[:24]} does not run")
        return found

    def set_cpus(self, container: str, cpus: str) -> None:
        doing = f"holding container {container[:24]} to CPU {cpus}"
        with told(self._connection, doing):
            answer = self._client().update_container(container, cpuset_cpus=cpus)
        # Without the cgroup controller for it the engine takes the request, does nothing and warns.
        for warning in (answer or {}).get("Warnings") or ():
            if "cpuset" in str(warning).lower():
                raise refused(self._host, doing, str(warning))

    def create_marker(self, name: str, labels: Mapping[str, str]) -> None:
        with told(self._connection, f"volume {name}"):
            self._client().create_volume(name, labels=dict(labels))

    def labelled(self, label: str) -> tuple[Labelled, ...]:
        wanted = {"label": [label]}
        with told(self._connection, f"what is labelled {label}"):
            client = self._client()
            swarm = wire.swarm_state(client.info().get("Swarm") or {})
            lists = {
                "service": client.services(filters=wanted) if swarm.is_manager else [],
                "container": client.containers(all=True, filters=wanted),
                "volume": client.volumes(filters=wanted).get("Volumes") or [],
            }
            others = (
                wire.labelled(kind, found) for kind, every in lists.items() for found in every
            )
            networks = wire.labelled_networks(client.networks(), label, in_swarm=swarm.active)
            return (*others, *networks)

    def remove(self, thing: Labelled) -> None:
        with told(self._connection, f"removing {thing.kind} {thing.name}"):
            client = self._client()
            try:
                if thing.kind == "service":
                    client.remove_service(thing.object_id)
                elif thing.kind == "container":
                    client.remove_container(thing.object_id, v=True, force=True)
                elif thing.kind == "network":
                    client.remove_network(thing.object_id)
                elif thing.kind == "volume":
                    client.remove_volume(thing.object_id, force=True)
                else:
                    raise EngineError(self._host, f"there is no removing a {thing.kind}")
            except docker.errors.NotFound:
                return

    def exec(self, container: str, argv: Sequence[str], *, timeout: float) -> Completed:
        execution = Execution(self._connection, self._client(), self._dialer)
        return execution.run(container, argv, timeout)

    def _client(self, timeout: int = ASK) -> Any:
        """The SDK's client whose calls fail after ``timeout`` seconds of silence.

        Any, as the SDK's published types leave half of its calls untyped.
        """
        with self._lock:
            if not self._version:
                self._version = self._negotiated()
            if timeout not in self._clients:
                self._clients[timeout] = self._made(self._version, timeout)
            return self._clients[timeout]

    def _made(self, version: str, timeout: int) -> docker.APIClient:
        client = docker.APIClient(_URL, version=version, timeout=timeout)
        client.mount(_URL, self._adapter)
        # Proxies and passwords that the environment names are not for this.
        client.trust_env = False
        return client

    def _negotiated(self) -> str:
        """The newest API version that both sides speak."""
        with told(self._connection, "docker version"):
            offered = str(self._made(_text(OLDEST), ASK).version(api_version=False)["ApiVersion"])
            spoken = tuple(int(part) for part in offered.split("."))
        if spoken < OLDEST:
            raise EngineError(
                self._host,
                f"its Docker engine is too old (API {offered})",
                "install Docker 20.10 or newer",
            )
        return _text(min(spoken, NEWEST))

    def _post(self, path: str, body: Mapping[str, Any], doing: str) -> dict[str, Any]:
        """A call that the SDK has no or not the whole of: it knows no config-only networks, and
        sends the controller's registry passwords along with services."""
        client = self._client(SWARM)
        with told(self._connection, doing):
            answer = client.post(
                f"{_URL}/v{client.api_version}{path}", json=body, timeout=client.timeout
            )
            try:
                answer.raise_for_status()
            except requests.HTTPError as fault:
                docker.errors.create_api_error_from_http_exception(fault)
            found: dict[str, Any] = answer.json()
            return found

    def _to_end(self, progress: Iterable[Mapping[str, Any]], doing: str) -> None:
        """Follow an image's transfer; its failure comes as a line of the progress."""
        for line in progress:
            if "error" in line:
                raise refused(self._host, doing, str(line["error"]))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
