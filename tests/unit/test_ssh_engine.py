"""The words of the Docker API, the engine's errors, and asking many hosts at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker.errors
import pytest
import requests

from bench.drivers.base import NetworkSpec
from bench.errors import (
    EngineError,
    EngineUnsupported,
    HostError,
    HostUnreachable,
    NetbenchError,
    RemoteTimeout,
)
from bench.model import Host
from bench.remote import wire
from bench.remote.api import Completed, ContainerSpec, Mount, ServiceSpec
from bench.remote.dial import DialFailedError
from bench.remote.engine import DockerEngine
from bench.remote.fake import FakeWorld
from bench.remote.faults import told
from bench.remote.fleet import Fleet, connect
from bench.remote.ssh import Connection

LABELS = {"netbench.run": "r1"}


# --- requests


def test_a_service_is_one_pinned_task_that_is_not_resolved() -> None:
    body = wire.service(
        ServiceSpec(
            name="s",
            image="sha256:1",
            command=("iperf3", "-s"),
            network="net",
            node_id="n1",
            labels=LABELS,
            published={15201: 15301},
            environment={"A": "b c"},
            tmpfs=(Mount("/scratch", 1024),),
        )
    )
    task = body["TaskTemplate"]
    assert task["Placement"] == {"Constraints": ["node.id==n1"]}
    assert task["RestartPolicy"]["Condition"] == "any"
    assert task["Networks"] == [{"Target": "net"}]
    container = task["ContainerSpec"]
    assert (container["Image"], container["Command"]) == ("sha256:1", ["iperf3", "-s"])
    assert container["Env"] == ["A=b c"]
    assert container["Labels"] == body["Labels"] == LABELS
    assert container["Mounts"][0]["TmpfsOptions"] == {"SizeBytes": 1024}
    assert "Hostname" not in container
    assert body["Mode"] == {"Replicated": {"Replicas": 1}}
    assert body["EndpointSpec"] == {
        "Mode": "dnsrr",
        "Ports": [
            {
                "Protocol": "tcp",
                "TargetPort": 15201,
                "PublishedPort": 15301,
                "PublishMode": "host",
            }
        ],
    }


def test_networks_of_all_kinds() -> None:
    overlay = NetworkSpec("overlay", "swarm", {"mtu": "1500"}, subnet="10.77.0.0/24")
    body = wire.network("n", overlay, LABELS, "")
    assert (body["Driver"], body["Scope"], body["Labels"]) == ("overlay", "swarm", LABELS)
    assert body["IPAM"]["Config"] == [{"Subnet": "10.77.0.0/24"}]
    settings = NetworkSpec(
        "macvlan",
        "local",
        {"parent": "eth0"},
        subnet="198.19.0.0/16",
        ip_range="198.19.1.0/24",
        config_only=True,
    )
    body = wire.network("c", settings, LABELS, "")
    assert body["ConfigOnly"] is True
    assert "Driver" not in body
    assert body["IPAM"]["Config"] == [{"Subnet": "198.19.0.0/16", "IPRange": "198.19.1.0/24"}]
    body = wire.network("n", NetworkSpec("macvlan", "swarm", from_config=True), LABELS, "c")
    assert body["ConfigFrom"] == {"Network": "c"}
    # The engine refuses every setting beside it.
    assert not {"Options", "Labels", "IPAM"} & set(body)


def test_a_network_made_from_settings_has_their_labels() -> None:
    every = [
        {"Id": "1", "Name": "c", "Scope": "local", "Labels": LABELS},
        {"Id": "2", "Name": "n", "Scope": "swarm", "Labels": None, "ConfigFrom": {"Network": "c"}},
        {"Id": "3", "Name": "host", "Scope": "local", "Labels": {}, "ConfigFrom": {"Network": ""}},
    ]
    for label in ("netbench.run", "netbench.run=r1"):
        found = wire.labelled_networks(every, label, in_swarm=True)
        assert [(one.name, one.scope) for one in found] == [("c", "local"), ("n", "swarm")]
    assert wire.labelled_networks(every, "netbench.run=r2", in_swarm=True) == ()
    left = wire.labelled_networks(every, "netbench.run", in_swarm=False)
    assert [one.scope for one in left] == ["local", "local"]


def test_the_newest_task_of_each_service_with_its_addresses() -> None:
    def task(service: str, created: str, **more: Any) -> dict[str, Any]:
        return {"ServiceID": service, "CreatedAt": created, "NodeID": "n", **more}

    failed = {"State": "failed", "Err": "no such device"}
    running = {"State": "running", "ContainerStatus": {"ContainerID": "c9"}}
    attached = [{"Network": {"Spec": {"Name": "net"}}, "Addresses": ["10.0.0.3/24"]}]
    found = [
        task("b", "2026-01-01T00:00:02", Status=running, NetworksAttachments=attached),
        task("b", "2026-01-01T00:00:01", Status=failed),
        task("a", "2026-01-01T00:00:01", Status=failed),
    ]
    first, second = wire.newest_tasks(found, {"a": "one", "b": "two", "c": "three"})
    assert (first.service, first.state, first.message) == ("one", "failed", "no such device")
    assert (second.service, second.container_id) == ("two", "c9")
    assert second.addresses == {"net": "10.0.0.3"}


def test_the_tasks_that_run_or_are_to_run() -> None:
    def task(key: str, state: str, wanted: str, slot: int) -> dict[str, Any]:
        return {
            "ID": key,
            "ServiceID": "s1",
            "DesiredState": wanted,
            "Slot": slot,
            "Status": {"State": state},
        }

    found = [
        task("a", "running", "running", 1),
        task("b", "preparing", "running", 2),
        task("c", "running", "shutdown", 2),
        task("d", "failed", "running", 3),
        task("e", "running", "running", 4) | {"ServiceID": "other"},
    ]
    tasks = wire.live_tasks(found, {"s1": "web"})
    assert [(one.task_id, one.container_name) for one in tasks] == [
        ("a", "web.1.a"),
        ("b", "web.2.b"),
    ]


def test_a_service_of_several_tasks_anywhere_on_two_networks() -> None:
    body = wire.service(ServiceSpec("s", "i", ("x",), "one", "", LABELS, replicas=3, also=("two",)))
    assert body["Mode"] == {"Replicated": {"Replicas": 3}}
    assert body["TaskTemplate"]["Placement"] == {"Constraints": []}
    assert body["TaskTemplate"]["Networks"] == [{"Target": "one"}, {"Target": "two"}]


def test_an_internal_network() -> None:
    body = wire.network("n", NetworkSpec("overlay", "swarm", internal=True), LABELS, "")
    assert body["Internal"] is True
    assert "Internal" not in wire.network("n", NetworkSpec("overlay", "swarm"), LABELS, "")


def test_a_containers_addresses_leave_out_the_swarms_own_gateway() -> None:
    networks = {
        "net": {"IPAddress": "172.19.0.2"},
        "docker_gwbridge": {"IPAddress": "172.18.0.3"},
        "ingress": {"IPAddress": "10.0.0.9"},
        "host": {"IPAddress": ""},
    }
    found = wire.addresses({"NetworkSettings": {"Networks": networks}})
    assert found == {"net": "172.19.0.2", "ingress": "10.0.0.9"}


def test_ports_of_the_host_and_of_the_mesh_are_published_each_in_its_mode() -> None:
    spec = ServiceSpec(
        "s", "i", ("c",), "net", "n", {}, published={80: 15380}, mesh={80: 16280, 1: 16201}
    )
    body = wire.service(replace(spec, endpoint_mode="vip"))["EndpointSpec"]
    assert body["Mode"] == "vip"
    assert [
        (one["PublishMode"], one["TargetPort"], one["PublishedPort"]) for one in body["Ports"]
    ] == [
        ("host", 80, 15380),
        ("ingress", 80, 16280),
        ("ingress", 1, 16201),
    ]
    assert wire.service(spec)["EndpointSpec"]["Mode"] == "dnsrr"


def test_a_container_of_its_own_takes_what_a_service_would_give_it() -> None:
    spec = ContainerSpec(
        "c", "sha256:i", ("serve", "x"), "container:abc", {"l": "v"}, {"E": "1"}, (Mount("/s", 9),)
    )
    body = wire.container(spec)
    assert body["Image"] == "sha256:i"
    # The command takes the place of the image's entrypoint, as a service's does.
    assert (body["Entrypoint"], body["Cmd"]) == (["serve", "x"], [])
    assert body["Labels"] == {"l": "v"}
    assert body["Env"] == ["E=1"]
    assert body["HostConfig"]["NetworkMode"] == "container:abc"
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "unless-stopped"}
    assert body["HostConfig"]["Mounts"][0]["TmpfsOptions"] == {"SizeBytes": 9}


@pytest.mark.parametrize(
    ("container", "expected"),
    [({"State": {"Pid": 4711}}, 4711), ({"State": {"Pid": 0}}, 0), ({"State": None}, 0), ({}, 0)],
)
def test_a_containers_process(container: dict[str, Any], expected: int) -> None:
    assert wire.pid(container) == expected


def test_an_engine_outside_a_swarm() -> None:
    facts = wire.facts({"ServerVersion": "28.0.1", "Swarm": {"LocalNodeState": "inactive"}})
    assert facts.version == "28.0.1"
    assert not facts.swarm.active
    assert not facts.swarm.is_manager


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("198.18.0.1", "198.18.0.1:2377"),
        ("198.18.0.1:99", "198.18.0.1:99"),
        ("2001:db8::1", "[2001:db8::1]:2377"),
        ("[2001:db8::1]:99", "[2001:db8::1]:99"),
    ],
)
def test_endpoints(address: str, expected: str) -> None:
    assert wire.endpoint(address) == expected


# --- errors


def connection(*, alive: bool = True) -> Connection:
    lost = HostUnreachable("vm1", "the SSH connection was lost")
    return cast(
        "Connection",
        SimpleNamespace(
            host=Host("vm1", "a"), user="debian", alive=alive, lost=lambda fault=None: lost
        ),
    )


def raised(fault: Exception, *, alive: bool = True) -> HostError:
    with pytest.raises(HostError) as caught, told(connection(alive=alive), "network n"):
        raise fault
    assert caught.value.host == "vm1"
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("said", "code", "what", "hint"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///x",
            1,
            "debian has no permission on the Docker socket",
            "group docker, or set ansible_become: true",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            1,
            "the Docker engine is down",
            "systemctl start docker",
        ),
        ("bash: line 1: docker: command not found", 127, "docker command is missing", "install"),
        ("sudo: a password is required", 1, "debian cannot become root", "NOPASSWD"),
        ("docker: 'system dial-stdio' is not a docker command.", 1, "lacks", "20.10"),
        ("", -1, "closed the connection", "journalctl"),
    ],
)
def test_no_way_to_the_engine(said: str, code: int, what: str, hint: str) -> None:
    fault = raised(DialFailedError(said, code))
    assert isinstance(fault, EngineError)
    assert what in fault.what
    assert hint in fault.hint


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        ({"Warnings": None}, ""),
        ({"Warnings": ["Published ports are discarded when using host network mode"]}, ""),
        (
            {"Warnings": ["Your kernel does not support cpuset. Cpuset discarded."]},
            "vm1: holding container c1 to CPU 0-1: Your kernel does not support cpuset",
        ),
    ],
)
def test_an_engine_that_only_warns_has_not_held_the_container(
    answered: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DockerEngine(connection())
    stub = SimpleNamespace(update_container=lambda *_, **__: answered)
    monkeypatch.setattr(engine, "_client", lambda: stub)
    if not why:
        engine.set_cpus("c1", "0-1")
        return
    with pytest.raises(EngineError) as caught:
        engine.set_cpus("c1", "0-1")
    assert str(caught.value).startswith(why)


def answer(status: int, said: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("x", response=response, explanation=said)


def test_what_the_engine_says_is_what_is_told() -> None:
    fault = raised(answer(409, "network with name n already exists"))
    assert type(fault) is EngineError
    assert fault.what == "vm1: network n: network with name n already exists"


@pytest.mark.parametrize(
    "said",
    [
        "failed to create the macvlan port: operation not supported",
        "failed to create the ipvlan port: unknown device type.",
        'plugin "macvlan" not found',
    ],
)
def test_what_kernel_or_engine_cannot_do(said: str) -> None:
    assert isinstance(raised(answer(500, said)), EngineUnsupported)


def test_join_tokens_are_not_repeated() -> None:
    fault = raised(answer(500, "cannot join with SWMTKN-1-abc0123-def at 198.18.0.1"))
    assert "SWMTKN" not in str(fault)
    assert "198.18.0.1" in str(fault)


def test_timeouts_and_lost_connections() -> None:
    for fault in (TimeoutError(), requests.ReadTimeout("x")):
        assert isinstance(raised(fault), RemoteTimeout)
    for broken in (OSError("gone"), DialFailedError("", -1), requests.ConnectionError("x")):
        assert isinstance(raised(broken, alive=False), HostUnreachable)


def test_faults_of_our_own_are_not_dressed_up() -> None:
    with pytest.raises(KeyError), told(connection(), "x"):
        raise KeyError("bug")


# --- many hosts


@pytest.fixture
def found() -> Fleet:
    world = FakeWorld(lambda *_: Completed(0, b"", b""))
    machines = {name: world.host(name) for name in ("a", "b", "c")}
    return Fleet(machines)


def test_every_host_is_asked(found: Fleet) -> None:
    assert list(found) == ["a", "b", "c"]
    assert len(found) == 3
    versions = found.each(lambda machine: machine.engine.facts().version)
    assert list(versions) == ["a", "b", "c"]
    assert found.each(lambda machine: machine.host.name, ["c", "a"]) == {"c": "c", "a": "a"}
    assert found.each(lambda machine: machine.host.name, []) == {}


def fails(*names: str) -> Callable[[Any], str]:
    def do(machine: Any) -> str:
        if machine.host.name in names:
            raise EngineError(machine.host.name, "is down", "start it")
        return str(machine.host.name)

    return do


def test_the_first_error_names_the_others(found: Fleet) -> None:
    with pytest.raises(EngineError) as caught:
        found.each(fails("b", "c"))
    assert str(caught.value) == "b: is down (and errors on c); start it"
    assert caught.value.host == "b"
    with pytest.raises(EngineError, match=r"^b: is down; start it$"):
        found.each(fails("b"))


def test_attempt_hands_back_answers_and_errors(found: Fleet) -> None:
    answers = found.attempt(fails("b"))
    assert (answers["a"], answers["c"]) == ("a", "c")
    assert isinstance(answers["b"], EngineError)


def test_other_peoples_errors_are_not_collected(found: Fleet) -> None:
    with pytest.raises(ZeroDivisionError):
        found.attempt(lambda machine: 1 // 0)


def test_unreachable_hosts_are_known_and_raise_when_asked(found: Fleet) -> None:
    lost = HostUnreachable("d", "refused")
    fleet = Fleet(found.machines, {"d": lost}, ["d", "a", "b", "c"])
    assert list(fleet) == ["d", "a", "b", "c"]
    assert fleet.attempt(lambda machine: machine.host.name)["d"] is lost
    with pytest.raises(HostUnreachable, match="d: refused"):
        fleet.each(lambda machine: machine.host.name)
    with pytest.raises(HostUnreachable):
        fleet["d"]


def test_closing_closes_all_and_never_raises(found: Fleet) -> None:
    class Stubborn:
        def close(self) -> None:
            raise RuntimeError

    machines = dict(found.machines)
    with Fleet({"x": cast("Any", Stubborn()), **machines}):
        pass
    assert all(cast("Any", machine).closed for machine in machines.values())


def test_connecting_gathers_what_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    hosts = [Host("b", "x", proxy_jump="gate:port"), Host("a", "y", proxy_jump="gate:port")]
    with connect(hosts, timeout=0.1) as fleet:
        assert list(fleet) == ["b", "a"]
        assert fleet.machines == {}
        assert all(isinstance(fault, NetbenchError) for fault in fleet.unreachable.values())
        assert "b: 'gate:port' is no jump host" in str(fleet.unreachable["b"])
