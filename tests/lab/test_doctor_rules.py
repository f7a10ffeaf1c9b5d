"""The doctor between three network namespaces on one bridge: each thing broken in a real kernel.

There is no engine and no SSH here, as `test_doctor.py` has them: what the probes see is real, and
what is asked of engines is made up.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from bench.doctor import Finding, diagnose, examine, look
from bench.lab import shaping
from bench.lab.layout import Link
from bench.model import Host, Inventory
from bench.remote.api import Completed, EngineFacts, SwarmState
from bench.remote.fleet import Fleet

pytestmark = pytest.mark.lab

NAMES = ("h1", "h2", "h3")
ADDRESSES = {name: f"198.18.250.{place}" for place, name in enumerate(NAMES, start=1)}
# Segments whose checksum is wrong, until it is ended.
FORGED = r"""
import socket, struct, sys, time
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
while True:
    raw.sendto(struct.pack("!HHIIBBHHH", 9, 9, 1, 0, 80, 2, 999, 0xBEEF, 0), (sys.argv[1], 0))
    time.sleep(0.05)
"""
# With name servers of its own, as a host has them.
WITH_NAMES = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"')


def run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stderr)


@dataclass
class Space:
    """One host: a network namespace, and an engine that says what it is told to."""

    host: Host
    names: Path
    swarm_address: str = ""

    @property
    def shell(self) -> "Space":
        return self

    @property
    def engine(self) -> "Space":
        return self

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        inside = ("nsenter", f"--net=/run/netns/nbdoc-{self.host.name}")
        done = subprocess.run(
            (*inside, *WITH_NAMES, str(self.names), *argv),
            input=stdin,
            capture_output=True,
            timeout=4 * timeout,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def facts(self) -> EngineFacts:
        swarm = SwarmState("inactive")
        if self.swarm_address:
            swarm = SwarmState("active", "n1", self.swarm_address, True, "c", ("n1",))
        return EngineFacts("26.1.5", "6.1", "Debian", "x86_64", 2, 1 << 32, "overlay2", "/", swarm)

    def swarm_labels(self) -> dict[str, str]:
        return {}

    def close(self) -> None: ...


@dataclass
class Ward:
    """Three hosts on a switch."""

    spaces: dict[str, Space]

    def tell(self, host: str, command: str) -> None:
        run("ip", "netns", "exec", f"nbdoc-{host}", "sh", "-c", command)

    @contextmanager
    def broken(self, host: str, breaks: str, mends: str) -> Iterator[None]:
        self.tell(host, breaks)
        try:
            yield
        finally:
            self.tell(host, mends)

    def findings(self) -> list[Finding]:
        """What is found, but of the processors: they are this machine's, and may well be full."""
        hosts = tuple(space.host for space in self.spaces.values())
        inventory = Inventory(Path("hosts.yaml"), hosts, shared_kernel=True)

        def reach(wanted: Any) -> Fleet:
            return Fleet({host.name: self.spaces[host.name] for host in wanted})  # type: ignore[misc]

        return [one for one in diagnose(examine(inventory, reach)) if one.rule != "cpu"]


@pytest.fixture(scope="module")
def wards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = tmp_path_factory.mktemp("names")
    spaces = {}
    try:
        run("ip", "netns", "add", "nbdoc-switch")
        run("ip", "-n", "nbdoc-switch", "link", "add", "br0", "type", "bridge")
        run("ip", "-n", "nbdoc-switch", "link", "set", "br0", "up")
        for place, (name, address) in enumerate(ADDRESSES.items(), start=1):
            own, port = f"nbdoc-{name}", f"port{place}"
            run("ip", "netns", "add", own)
            cable = ("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own)
            run("ip", "-n", "nbdoc-switch", *cable)
            run("ip", "-n", "nbdoc-switch", "link", "set", port, "master", "br0", "up")
            for interface in ("lo", "eth0"):
                run("ip", "-n", own, "link", "set", interface, "up")
            run("ip", "-n", own, "addr", "add", f"{address}/24", "dev", "eth0")
            names = folder / name
            names.write_text(f"nameserver {address}\n")
            spaces[name] = Space(Host(name, address), names)
        yield Ward(spaces)
    finally:
        for name in (*NAMES, "switch"):
            subprocess.run(("ip", "netns", "del", f"nbdoc-{name}"), check=False)


@pytest.fixture
def ward(wards: Ward, monkeypatch: pytest.MonkeyPatch) -> Ward:
    # Bulk data takes processors, which others may want: where it matters it is sent.
    monkeypatch.setattr(look, "MOST_FLOWS", 0)
    return wards


def only(findings: list[Finding], rule: str) -> list[Finding]:
    assert {one.rule for one in findings} == {rule}, findings
    return findings


def test_nothing_is_found_of_healthy_hosts(ward: Ward) -> None:
    assert ward.findings() == []


def test_a_port_that_is_shut_in_one_direction(ward: Ward) -> None:
    rule = f"INPUT -s {ADDRESSES['h1']} -p udp --dport 4789 -j DROP"
    with ward.broken("h2", f"iptables -I {rule}", f"iptables -D {rule}"):
        (one,) = only(ward.findings(), "ports")
    assert one.where == "h1 -> h2"
    assert one.what.startswith("UDP 4789 is blocked (VXLAN")
    assert "h2 to h1, is open" in one.evidence


def test_a_name_server_that_does_not_answer(ward: Ward) -> None:
    names = ward.spaces["h1"].names
    kept = names.read_text()
    names.write_text(f"nameserver {ADDRESSES['h3']}\n")
    rule = f"INPUT -s {ADDRESSES['h1']} -p udp --dport 53 -j DROP"
    try:
        with ward.broken("h3", f"iptables -I {rule}", f"iptables -D {rule}"):
            (one,) = only(ward.findings(), "dns")
    finally:
        names.write_text(kept)
    assert one.where == "h1"
    assert f"name server {ADDRESSES['h3']} does not answer" in one.what


def test_a_path_through_a_third_host_in_one_direction(ward: Ward) -> None:
    detour = f"{ADDRESSES['h2']}/32 via {ADDRESSES['h3']}"
    ward.tell("h1", "sysctl -wq net.ipv4.conf.eth0.accept_redirects=0")
    ward.tell("h3", "sysctl -wq net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0")
    ward.tell("h3", "sysctl -wq net.ipv4.conf.eth0.send_redirects=0")
    with ward.broken("h1", f"ip route add {detour}", f"ip route del {detour}"):
        (one,) = only(ward.findings(), "symmetry")
    assert one.where == "h1 <-> h2"
    assert one.evidence.startswith("1 routers from h1 to h2, 0 from h2 to h1")


def test_an_mtu_that_is_lower_on_one_side(ward: Ward) -> None:
    with ward.broken("h2", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"):
        found = only(ward.findings(), "mtu")
    assert [one.where for one in found] == ["h1 -> h2", "h3 -> h2"]
    for one in found:
        assert one.what.startswith("black hole")
        assert "1500 bytes do not arrive, those of 1400 do" in one.evidence


def test_a_switch_that_lets_one_address_pass(ward: Ward) -> None:
    told = subprocess.run(
        ("ip", "-n", "nbdoc-h3", "-br", "link", "show", "eth0"),
        capture_output=True,
        text=True,
        check=True,
    )
    mac = next(word for word in told.stdout.split() if word.count(":") == 5)
    with ward.broken(
        "switch",
        f"bridge fdb replace {mac} dev port3 master static; "
        "bridge link set dev port3 learning off flood off",
        f"bridge link set dev port3 learning on flood on; bridge fdb del {mac} dev port3 master",
    ):
        (one,) = only(ward.findings(), "macs")
    assert one.where == "h3"
    assert one.evidence.startswith("h1, h2 answered")


def test_a_swarm_on_another_address(ward: Ward) -> None:
    ward.spaces["h1"].swarm_address = "198.19.78.1"
    try:
        found = ward.findings()
    finally:
        ward.spaces["h1"].swarm_address = ""
    # That it is a swarm of one host's is found as well.
    assert {one.rule for one in found} == {"addresses", "hosts"}
    (one,) = (one for one in found if one.rule == "addresses")
    assert one.where == "h1"
    assert "198.19.78.1" in one.evidence


def test_a_link_that_is_held_to_a_rate(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "MOST_FLOWS", 3)
    nobody = IPv4Network("198.18.250.252/30")
    for place in range(1, 4):
        for words in shaping.towards(f"port{place}", Link(1e8), nobody):
            run("ip", "netns", "exec", "nbdoc-switch", "tc", *words)
    try:
        (one,) = only(ward.findings(), "link")
    finally:
        for place in range(1, 4):
            ward.tell("switch", f"tc qdisc del dev port{place} root")
    assert " -> " in one.where
    assert any(f"about {rate}" in one.what for rate in range(85, 98)), one.what


# Last: what arrived wrong stays counted.
def test_checksums_that_are_wrong(ward: Ward) -> None:
    inside = ("ip", "netns", "exec", "nbdoc-h1")
    forger = subprocess.Popen((*inside, sys.executable, "-c", FORGED, ADDRESSES["h2"]))
    try:
        found = only(ward.findings(), "offloads")
    finally:
        forger.terminate()
        forger.wait(10)
    at_h2 = [one for one in found if one.where == "h2" and one.evidence.startswith("host, TCP")]
    assert at_h2, found
    assert "packets arrive with wrong checksums" in at_h2[0].what
