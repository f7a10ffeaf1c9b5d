"""`netbench doctor` on three whole hosts, over SSH and with their engines: nothing found of healthy
ones, and each thing broken named. What needs neither is in test_doctor_rules.py."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.conftest import LAB, START, STOP, Ended

pytestmark = pytest.mark.lab

Netbench = Callable[..., Ended]
OnHost = Callable[..., str]
# What keeps every core of a host busy for as long as the doctor may look, and what ends it.
BURN = (
    "for core in $(seq $(nproc)); do timeout 100 sh -c 'while :; do :; done' "
    ">/dev/null 2>&1 & echo $!; done >/tmp/burners"
)
COOL = "kill $(cat /tmp/burners)"


@dataclass(frozen=True)
class Broken:
    """What is broken on one host on purpose, by which shell, and what takes it back."""

    host: str
    breaks: str
    mends: str


@pytest.fixture(scope="module")
def addresses(lab_inventory: Path) -> list[str]:
    from ruamel.yaml import YAML

    found = YAML(typ="safe").load(lab_inventory)["all"]["hosts"]
    return [host["ansible_host"] for host in found.values()]


@contextmanager
def broken(on_host: OnHost, *cases: Broken) -> Iterator[None]:
    """All of it broken; taken back however it ends."""
    try:
        for case in cases:
            on_host(case.host, case.breaks)
        yield
    finally:
        for case in cases:
            on_host(case.host, case.mends, check=False)


def diagnosed(netbench: Netbench, inventory: Path) -> list[dict[str, str]]:
    done = netbench("doctor", "-i", inventory, "--json")
    assert done.code in (0, 1), done.err
    findings: list[dict[str, str]] = json.loads(done.out)["findings"]
    assert done.code == (1 if findings else 0)
    return findings


def rules(findings: list[dict[str, str]]) -> set[str]:
    """The rules that found something, but for the processors': they are this machine's, and what
    else runs on it may well fill them."""
    return {one["rule"] for one in findings} - {"cpu"}


def only(findings: list[dict[str, str]], rule: str) -> dict[str, str]:
    (one,) = (one for one in findings if one["rule"] == rule)
    return one


def test_healthy_hosts_have_no_findings_and_are_left_as_they_were(
    netbench: Netbench, lab_inventory: Path, footprint: Callable[[], str]
) -> None:
    before = footprint()
    findings = diagnosed(netbench, lab_inventory)
    assert rules(findings) == set(), findings
    assert footprint() == before


def test_several_broken_things_are_each_named_and_nothing_else(
    netbench: Netbench,
    lab_inventory: Path,
    on_host: OnHost,
    hosts: list[str],
    addresses: list[str],
) -> None:
    first, second, third = hosts
    shut = f"INPUT -s {addresses[0]} -p udp --dport 4789 -j DROP"
    taken = "198.19.77.0/24"
    subnet = Broken(
        first,
        f"ip route add {taken} via {addresses[1]} && "
        "docker network create --subnet 198.19.77.128/25 clash",
        f"docker network rm clash; ip route del {taken}",
    )
    files = Broken(
        second,
        "pid=$(cat /run/docker.pid); used=$(ls /proc/$pid/fd | wc -l); "
        "prlimit --pid $pid --nofile --raw --noheadings -o SOFT >/tmp/files; "
        "prlimit --pid $pid --nofile=$((used + used / 5 + 1)):",
        "prlimit --pid $(cat /run/docker.pid) --nofile=$(cat /tmp/files):",
    )
    with broken(
        on_host,
        Broken(second, f"iptables -I {shut}", f"iptables -D {shut}"),
        subnet,
        files,
        Broken(third, BURN, COOL),
    ):
        findings = diagnosed(netbench, lab_inventory)
    assert rules(findings) == {"ports", "subnets", "limits"}, findings
    one = only(findings, "ports")
    assert (one["where"], one["sure"]) == (f"{first} -> {second}", "certain")
    assert one["what"].startswith("UDP 4789 is blocked (VXLAN")
    assert f"{second} to {first}, is open" in one["evidence"]
    one = only(findings, "subnets")
    assert one["where"] == first
    assert f"clash (198.19.77.128/25) overlaps the route to {taken}" in one["what"]
    one = only(findings, "limits")
    assert one["where"] == second
    assert one["what"].startswith("dockerd may soon open no more files")
    busy = [one for one in findings if one["rule"] == "cpu"]
    assert any(third in one["where"] and "cores were busy" in one["evidence"] for one in busy), busy


def test_an_engine_that_is_stopped_and_a_host_out_of_reach_are_named(
    netbench: Netbench, lab_inventory: Path, on_host: OnHost, hosts: list[str], tmp_path: Path
) -> None:
    gone = tmp_path / "gone.yaml"
    text = lab_inventory.read_text()
    # An SSH port at which nobody listens.
    (line,) = re.findall(rf"^( +){hosts[2]}:", text, re.MULTILINE)
    gone.write_text(text.replace(f"{hosts[2]}:\n", f"{hosts[2]}:\n{line}  ansible_port: 2\n", 1))
    with broken(on_host, Broken(hosts[1], STOP, START)):
        findings = diagnosed(netbench, gone)
    assert rules(findings) == {"hosts"}, findings
    told = {one["where"]: one["what"] for one in findings if one["rule"] == "hosts"}
    assert "engine" in told[hosts[1]], told
    assert told[hosts[2]].endswith("port 2 refused the connection"), told


def test_a_link_that_was_shaped_is_found_as_the_inventory_tells_it(
    netbench: Netbench, lab_inventory: Path, hosts: list[str]
) -> None:
    shaped = netbench("lab", "link", "--name", LAB, "--rate", "20mbit")
    assert shaped.code == 0, shaped.err
    try:
        findings = diagnosed(netbench, lab_inventory)
    finally:
        off = netbench("lab", "link", "--name", LAB, "--off")
    assert off.code == 0, off.err
    assert rules(findings) == {"link"}, findings
    one = only(findings, "link")
    assert one["sure"] == "certain"
    # Where no core is to be had a transfer may get less than the link has.
    busy = any(one["rule"] == "cpu" for one in findings)
    assert busy or re.search(r"held to about 1[6-9]\.\d Mbit/s", one["what"]), one
    assert one["where"].count("->") == len(hosts)
    assert "the inventory says of the link: rate 20 Mbit/s" in one["evidence"]
