"""Between netbench's words and the Docker Engine API's JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.drivers.base import NetworkSpec
from bench.remote.api import (
    ContainerSpec,
    EngineFacts,
    Labelled,
    Mount,
    Node,
    ServiceSpec,
    SwarmState,
    Task,
)

SWARM_PORT = 2377
_SECOND = 1_000_000_000


def endpoint(address: str, port: int = SWARM_PORT) -> str:
    """``address:port``; an address that already has a port keeps it."""
    if address.startswith("[") or address.count(":") == 1:
        return address if "]:" in address or address.count(":") == 1 else f"{address}:{port}"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def network(
    name: str, spec: NetworkSpec, labels: Mapping[str, str], config_from: str
) -> dict[str, Any]:
    """The body of ``POST /networks/create``."""
    body: dict[str, Any] = {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": spec.driver,
        "Options": dict(spec.options),
        "Labels": dict(labels),
    }
    if spec.config_only:
        # Such a network is settings and nothing else: the engine refuses a driver for it.
        body["ConfigOnly"] = True
        del body["Driver"]
    else:
        body["Scope"] = spec.scope
    if spec.internal:
        body["Internal"] = True
    if spec.from_config:
        # The engine takes nothing more with it, labels included: see labelled_networks.
        body["ConfigFrom"] = {"Network": config_from}
        del body["Options"], body["Labels"]
    pool = {"Subnet": spec.subnet, "IPRange": spec.ip_range}
    pool = {key: value for key, value in pool.items() if value is not None}
    if pool:
        body["IPAM"] = {"Driver": "default", "Config": [pool]}
    return body


def service(spec: ServiceSpec) -> dict[str, Any]:
    """The body of ``POST /services/create``: its tasks, on their node, started again if they end.

    The command takes the place of the image's entrypoint. An image that is named by its id is
    used as the node has it; one with another name the node looks for at its registry first.
    """
    container: dict[str, Any] = {
        "Image": spec.image,
        "Command": list(spec.command),
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": dict(spec.labels),
        "StopGracePeriod": round(spec.stop_grace * _SECOND),
        "Mounts": _mounts(spec.tmpfs),
    }
    ports = [
        {"Protocol": "tcp", "TargetPort": target, "PublishedPort": port, "PublishMode": mode}
        for mode, ports in (("host", spec.published), ("ingress", spec.mesh))
        for target, port in ports.items()
    ]
    return {
        "Name": spec.name,
        "Labels": dict(spec.labels),
        "TaskTemplate": {
            "ContainerSpec": container,
            "RestartPolicy": {"Condition": "any", "Delay": _SECOND // 2, "MaxAttempts": 0},
            "Placement": {"Constraints": [f"node.id=={spec.node_id}"] if spec.node_id else []},
            "Networks": [{"Target": network} for network in (spec.network, *spec.also)],
        },
        "Mode": {"Replicated": {"Replicas": spec.replicas}},
        "EndpointSpec": {"Mode": spec.endpoint_mode, "Ports": ports},
    }


def container(spec: ContainerSpec) -> dict[str, Any]:
    """The body of ``POST /containers/create``: started again if it ends, as a task would be."""
    return {
        "Image": spec.image,
        "Entrypoint": list(spec.command),
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": dict(spec.labels),
        "HostConfig": {
            "NetworkMode": spec.network,
            "RestartPolicy": {"Name": "unless-stopped"},
            "Mounts": _mounts(spec.tmpfs),
            "Links": [f"{container}:{name}" for container, name in spec.links.items()],
        },
    }


def _mounts(tmpfs: Iterable[Mount]) -> list[dict[str, Any]]:
    return [
        {"Type": "tmpfs", "Target": mount.target, "TmpfsOptions": {"SizeBytes": mount.size}}
        for mount in tmpfs
    ]


def facts(info: Mapping[str, Any]) -> EngineFacts:
    """From the answer to ``GET /info``."""
    return EngineFacts(
        version=str(info.get("ServerVersion", "")),
        kernel=str(info.get("KernelVersion", "")),
        os=str(info.get("OperatingSystem", "")),
        architecture=str(info.get("Architecture", "")),
        cpus=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        storage_driver=str(info.get("Driver", "")),
        data_root=str(info.get("DockerRootDir", "")),
        swarm=swarm_state(info.get("Swarm") or {}),
    )


def swarm_state(swarm: Mapping[str, Any]) -> SwarmState:
    managers = swarm.get("RemoteManagers") or []
    return SwarmState(
        state=str(swarm.get("LocalNodeState", "")),
        node_id=str(swarm.get("NodeID", "")),
        node_address=str(swarm.get("NodeAddr", "")),
        is_manager=bool(swarm.get("ControlAvailable", False)),
        cluster_id=str((swarm.get("Cluster") or {}).get("ID", "")),
        managers=tuple(str(manager.get("NodeID", "")) for manager in managers),
    )


def node(found: Mapping[str, Any]) -> Node:
    """From one of ``GET /nodes``."""
    return Node(
        node_id=str(found["ID"]),
        hostname=str((found.get("Description") or {}).get("Hostname", "")),
        address=str((found.get("Status") or {}).get("Addr", "")),
        ready=(found.get("Status") or {}).get("State") == "ready",
    )


def newest_tasks(
    found: Iterable[Mapping[str, Any]], services: Mapping[str, str]
) -> tuple[Task, ...]:
    """The newest of ``GET /tasks`` for each service (name by id), in the services' order."""
    newest: dict[str, Mapping[str, Any]] = {}
    for task in found:
        service_id = str(task.get("ServiceID", ""))
        known = newest.get(service_id)
        if known is None or _age(task) > _age(known):
            newest[service_id] = task
    return tuple(_task(newest[key], name) for key, name in services.items() if key in newest)


# States of a task that is still to run or runs; the others are ends.
_LIVE = frozenset(
    ("new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting")
) | {"running"}


def live_tasks(found: Iterable[Mapping[str, Any]], services: Mapping[str, str]) -> tuple[Task, ...]:
    """Those of ``GET /tasks`` that run, or are to run and not ended, of these services (name by
    id)."""
    return tuple(
        _task(task, services[task["ServiceID"]])
        for task in found
        if task.get("ServiceID") in services
        and task.get("DesiredState") in ("running", "ready")
        and (task.get("Status") or {}).get("State") in _LIVE
    )


def addresses(container: Mapping[str, Any]) -> dict[str, str]:
    """From ``GET /containers/ID/json``: IPv4 addresses by network name, that of the routing mesh
    among them, without the swarm's own gateway network."""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        str(name): str(found["IPAddress"])
        for name, found in networks.items()
        if found.get("IPAddress") and name != "docker_gwbridge"
    }


def pid(container: Mapping[str, Any]) -> int:
    """From ``GET /containers/ID/json``: its first process's number, 0 where it does not run."""
    return int((container.get("State") or {}).get("Pid") or 0)


def labelled(kind: str, found: Mapping[str, Any]) -> Labelled:
    """From one of the engine's lists of services, containers or volumes."""
    labels, name, scope = found.get("Labels"), found.get("Name", ""), "local"
    if kind == "service":
        labels, name, scope = found["Spec"].get("Labels"), found["Spec"]["Name"], "swarm"
    elif kind == "container":
        name = str((found.get("Names") or [found["Id"][:12]])[0]).lstrip("/")
    identity = {"service": "ID", "volume": "Name"}.get(kind, "Id")
    return Labelled(kind, str(found[identity]), str(name), dict(labels or {}), scope)


def labelled_networks(
    every: Iterable[Mapping[str, Any]], label: str, *, in_swarm: bool
) -> tuple[Labelled, ...]:
    """Those of all an engine's networks that carry a label (``key`` or ``key=value``).

    A network made from a config-only network can have no labels: it counts as having the latter's.
    A network of swarm scope on a host that is in no swarm is a leftover that the host's own engine
    can remove.
    """
    networks = list(every)
    own = {str(found["Name"]): dict(found.get("Labels") or {}) for found in networks}
    key, equals, value = label.partition("=")
    picked = []
    for found in networks:
        name = str(found["Name"])
        source = str((found.get("ConfigFrom") or {}).get("Network", ""))
        labels = own[name] or own.get(source, {})
        if key in labels and (not equals or labels[key] == value):
            scope = "swarm" if in_swarm and found.get("Scope") == "swarm" else "local"
            picked.append(Labelled("network", str(found["Id"]), name, labels, scope))
    return tuple(picked)


def _age(task: Mapping[str, Any]) -> tuple[str, int]:
    return str(task.get("CreatedAt", "")), int((task.get("Version") or {}).get("Index", 0))


def _task(task: Mapping[str, Any], service_name: str) -> Task:
    status = task.get("Status") or {}
    addresses = {}
    for attachment in task.get("NetworksAttachments") or []:
        spec = (attachment.get("Network") or {}).get("Spec") or {}
        for address in (attachment.get("Addresses") or [])[:1]:
            addresses[str(spec.get("Name", ""))] = str(address).partition("/")[0]
    return Task(
        service=service_name,
        state=str(status.get("State", "")),
        message=str(status.get("Err") or ""),
        node_id=str(task.get("NodeID", "")),
        container_id=str((status.get("ContainerStatus") or {}).get("ContainerID", "")),
        addresses=addresses,
        task_id=str(task.get("ID", "")),
        slot=int(task.get("Slot") or 1),
    )
