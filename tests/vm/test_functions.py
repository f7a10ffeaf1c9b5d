"""What this machine's kernel may lack works in the machines, tried with Docker's own commands."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bench.lab import processes
from tests.vm.conftest import Machines

pytestmark = pytest.mark.vm

PORT = 8080
# Prints how many frames of ESP and how many of plain VXLAN pass a port of the switch in 8 s.
LISTENER = """
import socket, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
wire.bind(("port1", 0))
wire.settimeout(0.5)
esp = plain = 0
print("ready", flush=True)
end = time.monotonic() + 8
while time.monotonic() < end:
    try:
        frame = wire.recv(2048)
    except TimeoutError:
        continue
    if frame[12:14] == b"\\x08\\x00":
        esp += frame[23] == 50
        plain += frame[23] == 17 and frame[36:38] == b"\\x12\\xb5"
print(esp, plain)
"""


@pytest.fixture(scope="module")
def swarm(vms: Machines, image: str) -> Iterator[str]:
    """A swarm of the machines; yields the toolbox image's name."""
    manager, *others = vms.hosts
    vms.on(manager, f"docker swarm init --advertise-addr {vms.address(manager)}")
    token = vms.on(manager, "docker swarm join-token -q worker").strip()
    for host in others:
        vms.on(host, f"docker swarm join --token {token} {vms.address(manager)}:2377")
    yield image
    for host in vms.hosts:
        vms.on(host, "docker rm -f $(docker ps -aq)", check=False)
        vms.on(host, "docker swarm leave --force")


@pytest.fixture(scope="module")
def web(vms: Machines, swarm: str) -> Iterator[None]:
    """An echo service of three tasks behind a virtual address and on the routing mesh."""
    manager = vms.hosts[0]
    vms.on(manager, "docker network create -d overlay --attachable web")
    vms.on(
        manager,
        "docker service create -q --no-resolve-image --name web --network web --replicas 3"
        f" -p {PORT}:{PORT} {swarm} netbench-echo {PORT}",
        timeout=400,
    )
    yield
    vms.on(manager, "docker service rm web; sleep 10; docker network rm web", check=False)


def answers(vms: Machines, host: str, image: str, options: str, address: str) -> set[str]:
    """Who answers probes sent from a container on a host. A probe makes two connections and tells
    who answered the second: taking turns, three tasks are all met."""
    return {
        vms.on(
            host, f"docker run --rm {options} {image} netbench-probe {address} {PORT} 30"
        ).strip()
        for _ in range(4)
    }


@pytest.mark.usefixtures("web")
def test_a_virtual_address_spreads_requests_by_ipvs(vms: Machines, swarm: str) -> None:
    assert len(answers(vms, vms.hosts[1], swarm, "--network web", "web")) == 3
    seen = vms.on(
        vms.hosts[1],
        "for each in /run/docker/netns/lb_*; do nsenter --net=$each cat /proc/net/ip_vs; done",
    )
    assert len(re.findall(r"^\s+-> [0-9A-F]{8}:", seen, re.MULTILINE)) >= 3, seen


@pytest.mark.usefixtures("web")
def test_the_routing_mesh_answers_on_every_host(vms: Machines, swarm: str) -> None:
    other = dict(zip(vms.hosts, reversed(vms.hosts), strict=True))
    for host in vms.hosts:
        found = answers(vms, other[host], swarm, "--network host", vms.address(host))
        assert len(found) == 3, f"{host}: {found}"


def test_ipvlan_joins_containers_of_two_hosts(vms: Machines, swarm: str) -> None:
    for number, host in enumerate(vms.hosts, start=1):
        vms.on(
            host,
            "docker network create -d ipvlan -o parent=eth0 --subnet 198.19.9.0/24"
            f" --ip-range 198.19.9.{number * 16}/28 l2",
        )
        vms.on(
            host,
            f"docker run -d --name l2 --network l2 --ip 198.19.9.{number * 16 + 5}"
            f" {swarm} sleep 600",
        )
    try:
        said = vms.on(vms.hosts[0], "docker exec l2 ping -c3 -W5 198.19.9.37")
        assert " 0% packet loss" in said
        kind = vms.on(vms.hosts[0], "docker network inspect -f '{{.Driver}}' l2")
        assert kind.strip() == "ipvlan"
    finally:
        for host in vms.hosts:
            vms.on(host, "docker rm -f l2; docker network rm l2", check=False)


def test_an_encrypted_overlay_sends_esp_and_nothing_else(vms: Machines, swarm: str) -> None:
    first, second = vms.hosts[:2]
    vms.on(first, "docker network create -d overlay --attachable --opt encrypted sealed")
    for host in (second, first):
        vms.on(host, f"docker run -d --name {host} --network sealed {swarm} sleep 600")
    try:
        switch = processes.firsts(vms.lab.name)["switch"]
        address = vms.on(
            second,
            "docker inspect -f '{{.NetworkSettings.Networks.sealed.IPAddress}}' " + second,
        ).strip()
        vms.on(first, f"docker exec {first} ping -c1 -W20 {address}")
        with subprocess.Popen(
            ["nsenter", f"--net=/proc/{switch}/ns/net", sys.executable, "-c", LISTENER],
            stdout=subprocess.PIPE,
            text=True,
        ) as listener:
            assert listener.stdout is not None
            assert listener.stdout.readline() == "ready\n"
            vms.on(first, f"docker exec {first} ping -q -c50 -i0.05 -W5 {address}")
            esp, plain = map(int, listener.communicate(timeout=60)[0].split())
        assert esp >= 50
        assert plain == 0
    finally:
        for host in (first, second):
            vms.on(host, f"docker rm -f {host}", check=False)
        time.sleep(5)
        vms.on(first, "docker network rm sealed", check=False)


def test_netem_delays(vms: Machines) -> None:
    first, second = vms.hosts[:2]
    vms.on(first, "tc qdisc add dev eth0 root netem delay 300ms")
    try:
        said = vms.on(first, f"ping -q -c3 {vms.address(second)}")
    finally:
        vms.on(first, "tc qdisc del dev eth0 root")
    fastest = float(said.rpartition("= ")[2].split("/")[0])
    assert fastest >= 300
