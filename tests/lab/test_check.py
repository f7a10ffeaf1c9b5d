"""`netbench check` on real hosts: a healthy lab, and one fault at a time."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.lab

Run = Callable[..., Any]


@pytest.fixture
def check(netbench: Run, lab_inventory: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run the check; its exit code and everything it found."""

    def run(inventory: Path = lab_inventory) -> tuple[int, dict[str, Any]]:
        done = netbench("check", "-i", inventory, "--json")
        assert done.err == ""
        return done.code, json.loads(done.out)

    return run


@pytest.fixture
def interface(check: Run) -> str:
    _, found = check()
    return str(found["hosts"][0]["data_interface"])


def problems(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What was found besides what this machine's kernel, which is the same for all, lacks."""
    return [
        (one["where"], one["what"])
        for one in found["problems"]
        if not one["what"].startswith("the kernel has no ")
    ]


def test_a_healthy_lab_has_no_problem(check: Run, hosts: list[str], on_host: Run) -> None:
    code, found = check()
    assert (code, found["ok"], problems(found)) == (0, True, [])
    assert [one["name"] for one in found["hosts"]] == hosts
    pairs = {(source, target) for source in hosts for target in hosts if source != target}
    for one in found["hosts"]:
        assert one["reachable"]
        assert one["privileges"] == "root"
        assert (one["swarm"], one["ports"]) == ("none", "ok")
        assert one["disk_free"] > 0
        assert abs(one["clock_skew"]) < 1.0
        assert f"{one['data_address']}/" in on_host(
            one["name"], "ip", "-br", "-4", "addr", "show", one["data_interface"]
        )
        mtu = on_host(one["name"], "cat", f"/sys/class/net/{one['data_interface']}/mtu")
        assert one["data_mtu"] == int(mtu)
        assert one["kernel"] == on_host(one["name"], "uname", "-r").strip()
    for protocol, port in (("tcp", 2377), ("tcp", 7946), ("udp", 7946), ("udp", 4789)):
        opened = {
            (one["source"], one["target"])
            for one in found["ports"]
            if (one["protocol"], one["port"], one["outcome"]) == (protocol, port, "open")
        }
        assert opened == pairs, (protocol, port)
    assert {(one["source"], one["target"]) for one in found["paths"]} == pairs
    for host in hosts:
        assert on_host(host, "ss", "-Hltn", "'sport = :2377 or sport = :7946'") == ""


def test_the_table_has_a_row_a_host(netbench: Run, lab_inventory: Path, hosts: list[str]) -> None:
    done = netbench("check", "-i", lab_inventory)
    assert done.code == 0, done.out
    lines = done.out.splitlines()
    for host in hosts:
        (row,) = [line for line in lines if line.startswith(host)]
        assert row.split()[1] == "yes"
    assert lines[-1].startswith("no problem; ")
    assert max(len(line) for line in lines if not line.startswith("warning ")) <= 120


@contextlib.contextmanager
def dropped(on_host: Run, host: str, *rule: str) -> Iterator[None]:
    on_host(host, "iptables", "-I", "INPUT", *rule)
    try:
        yield
    finally:
        on_host(host, "iptables", "-D", "INPUT", *rule)


def test_one_port_blocked_in_one_direction(check: Run, hosts: list[str], on_host: Run) -> None:
    _, source, target = hosts
    address = next(one["data_address"] for one in check()[1]["hosts"] if one["name"] == source)
    with dropped(on_host, target, "-p", "udp", "--dport", "4789", "-s", address, "-j", "DROP"):
        code, found = check()
    assert code == 1
    assert problems(found) == [(f"{source} -> {target}", "UDP 4789 blocked")]
    assert target in found["problems"][0]["hint"]
    assert [one["ports"] for one in found["hosts"]] == ["ok", "ok", "UDP 4789 blocked"]
    assert check()[0] == 0


def test_a_rejected_port_is_called_refused(check: Run, hosts: list[str], on_host: Run) -> None:
    rule = ("-p", "tcp", "--dport", "7946", "-j", "REJECT", "--reject-with", "tcp-reset")
    with dropped(on_host, hosts[0], *rule):
        code, found = check()
    assert code == 1
    assert problems(found) == [(f"{hosts[1]}, {hosts[2]} -> {hosts[0]}", "TCP 7946 refused")]


def test_a_path_that_swallows_large_packets(
    check: Run, hosts: list[str], on_host: Run, interface: str
) -> None:
    before = on_host(hosts[2], "cat", f"/sys/class/net/{interface}/mtu").strip()
    on_host(hosts[2], "ip", "link", "set", interface, "mtu", "1400")
    try:
        code, found = check()
    finally:
        on_host(hosts[2], "ip", "link", "set", interface, "mtu", before)
    assert code == 1
    ((where, what),) = problems(found)
    assert where == f"{hosts[0]}, {hosts[1]} -> {hosts[2]}"
    assert what == f"black hole: packets of {before} bytes vanish, 1400 bytes arrive"
    assert f"{interface} of {hosts[2]} has MTU 1400" in found["problems"][0]["hint"]
    shut = [one for one in found["paths"] if one["outcome"] == "black-hole"]
    assert {one["target"] for one in shut} == {hosts[2]}


def test_an_unreachable_host_is_a_row_and_the_others_are_checked(
    netbench: Run, lab_inventory: Path, hosts: list[str], tmp_path: Path
) -> None:
    yaml = YAML()
    inventory = yaml.load(lab_inventory)
    dead = inventory["all"]["hosts"][hosts[1]]
    dead["ansible_host"] = dead["ansible_host"].rsplit(".", 1)[0] + ".250"
    moved = tmp_path / "hosts.yaml"
    yaml.dump(inventory, moved)
    done = netbench("check", "-i", moved)
    assert (done.code, done.err) == (1, "")
    rows = {host: line for line in done.out.splitlines() for host in hosts if line.startswith(host)}
    assert [rows[host].split()[1] for host in hosts] == ["yes", "no", "yes"]
    (problem,) = [line for line in done.out.splitlines() if line.startswith("problem")]
    assert problem.startswith(f"problem {hosts[1]}: ")
    assert " ports and 2 paths tried" in done.out


def test_a_swarm_in_use_is_tried_and_left_in_peace(
    check: Run, hosts: list[str], on_host: Run, interface: str
) -> None:
    """The gossip owns 7946 and the kernel 4789: what the firewall lets in is seen all the same."""
    first, second, third = hosts
    address = {one["name"]: one["data_address"] for one in check()[1]["hosts"]}
    vxlan = ("ip", "link", "add", "nbvx", "type", "vxlan", "id", "4242", "dstport", "4789")
    try:
        on_host(first, "docker", "swarm", "init", "--advertise-addr", address[first])
        code, found = check()
        assert code == 1
        assert [one["swarm"] for one in found["hosts"]] == [
            "manager of another swarm",
            "none",
            "none",
        ]
        assert problems(found) == [(first, "is in a swarm that not all of the hosts are in")]

        token = on_host(first, "docker", "swarm", "join-token", "-q", "worker").strip()
        for host in (second, third):
            on_host(host, "docker", "swarm", "join", "--token", token, f"{address[first]}:2377")
        on_host(third, *vxlan, "dev", interface)
        on_host(third, "ip", "link", "set", "nbvx", "up")
        code, found = check()
        assert (code, problems(found)) == (0, [])
        assert [one["swarm"] for one in found["hosts"]] == [
            "one swarm together (manager)",
            "one swarm together (worker)",
            "one swarm together (worker)",
        ]
        rule = ("-p", "udp", "-m", "multiport", "--dports", "4789,7946", "-j", "DROP")
        with dropped(on_host, third, "-s", address[second], *rule):
            assert problems(check()[1]) == [(f"{second} -> {third}", "UDP 7946, 4789 blocked")]
        assert (
            on_host(first, "docker", "node", "ls", "--format", "'{{.Status}}'").split()
            == ["Ready"] * 3
        )
    finally:
        on_host(third, "ip", "link", "del", "nbvx", check=False)
        for host in reversed(hosts):
            on_host(host, "docker", "swarm", "leave", "--force", check=False)
            on_host(host, "docker", "network", "rm", "docker_gwbridge", check=False)


def test_a_port_that_a_program_has_open_is_named(
    check: Run, hosts: list[str], on_host: Run
) -> None:
    owner = ("ss", "-Hltnp", "'sport = :15201'")
    on_host(hosts[1], "setsid -f timeout 60 python3 -m http.server 15201 </dev/null &>/dev/null")
    try:
        for _ in range(100):
            if on_host(hosts[1], *owner):
                break
        code, found = check()
    finally:
        for process in re.findall(r"pid=(\d+)", on_host(hosts[1], *owner)):
            on_host(hosts[1], "kill", process)
    assert code == 1
    assert problems(found) == [(hosts[1], "TCP 15201 is in use")]
    assert "netbench_port_base" in found["problems"][0]["hint"]
