"""The playbooks against what netbench itself says: the same inventory, and the same ports."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ruamel.yaml import YAML

from bench import drivers, workloads
from bench.facts.between import SWARM_TCP, SWARM_UDP
from bench.facts.pairs import Ports
from bench.facts.preflight import ports_of
from bench.inventory import load_inventory
from bench.matrix import parse_accesses
from bench.ports import CHECKS, MESH, MESH_STEP

ROOT = Path(__file__).parents[2]
FIREWALL = ROOT / "ansible/roles/firewall"
EXAMPLE = ROOT / "hosts/example-cloud.yaml"


def _yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def _render(name: str, **given: Any) -> list[str]:
    values = _yaml(FIREWALL / "defaults/main.yml")
    values |= {"firewall_port_base": 15200, "firewall_own": "10.0.0.1", "firewall_machines": "3"}
    values |= {"firewall_peers": ["10.0.0.2", "10.0.0.3"], **given}
    # As Ansible sets it.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FIREWALL / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - rules, not pages
    )
    text = environment.get_template(f"{name}.j2").render(values)
    return [line for line in text.splitlines() if not line.startswith("#")]


def _ports(*rules: str) -> list[int]:
    """The ports of rules that belong together, none of which takes more than iptables allows."""
    found: list[int] = []
    for rule in rules:
        words = rule.split()
        ports = words[words.index("--dports") + 1].split(",")
        assert len(ports) <= 15
        found += map(int, ports)
    return sorted(found)


def _known(base: int = 15200) -> Ports:
    """What the check tries for every driver and access, on the example's three hosts."""
    inventory = replace(load_inventory(EXAMPLE), port_base=base)
    every = drivers.chosen((drivers.ALL,))
    return ports_of(inventory, every, parse_accesses((drivers.ALL,), every))


def test_the_example_inventory_loads_as_it_is() -> None:
    inventory = load_inventory(EXAMPLE)
    assert [host.name for host in inventory.hosts] == ["vm1", "vm2", "vm3"]
    assert all(host.data_address != host.address for host in inventory.hosts)
    # What is not said in it is what netbench has by itself.
    assert inventory.port_base == 15200


def test_the_firewall_has_the_ports_that_netbench_knows() -> None:
    defaults = _yaml(FIREWALL / "defaults/main.yml")
    assert tuple(defaults["firewall_swarm_tcp"]) == SWARM_TCP
    assert tuple(defaults["firewall_swarm_udp"]) == SWARM_UDP
    published = {driver.published for driver in drivers.known().values()} - {0}
    assert set(defaults["firewall_published"]) == published, "add a new driver's there too"
    assert (defaults["firewall_mesh"], defaults["firewall_mesh_step"]) == (MESH, MESH_STEP)
    known = {port for one in workloads.known().values() for port in workloads.ports(one)} | {CHECKS}
    told = "add a new workload's port there too"
    assert defaults["firewall_offsets"] == sorted(known), told
    udp = {workloads.ports(one)[-1] for one in workloads.known().values() if one.udp} | {CHECKS}
    assert defaults["firewall_udp_offsets"] == sorted(udp), told
    base = load_inventory(EXAMPLE).port_base
    assert f"default({base}, true)" in defaults["firewall_port_base"]


@pytest.mark.parametrize("name", ["firewall.v4", "firewall.v6"])
def test_shut_to_strangers_are_the_ports_that_the_check_tries(name: str) -> None:
    ports = _known()
    assert set(ports_of(load_inventory(EXAMPLE)).tcp) < set(ports.tcp)
    guard = [line for line in _render(name) if line.startswith("-A NETBENCH-GUARD")]
    for protocol in ("tcp", "udp"):
        rules = [line for line in guard if f"-p {protocol} " in line]
        assert _ports(*rules) == sorted(getattr(ports, protocol))
    # Forwarded traffic, of containers among themselves say, is none of the firewall's business.
    assert all("--dst-type LOCAL" in line for line in guard)


def test_open_to_each_other_host_are_the_same_ports_and_esp() -> None:
    ports = _known()
    rules = [line for line in _render("firewall.v4") if line.startswith("-A NETBENCH-OPEN")]
    for peer in ("10.0.0.2", "10.0.0.3"):
        own = [line for line in rules if f"-s {peer}/32 -d 10.0.0.1/32" in line]
        assert _ports(*(line for line in own if "-p tcp" in line)) == sorted(ports.tcp)
        assert _ports(*(line for line in own if "-p udp" in line)) == sorted(ports.udp)
        assert own[-1].endswith("-p esp -j ACCEPT")
        rules = [line for line in rules if line not in own]
    # And to the host's own containers, which docker-proxy serves, what is published there.
    for bridge in ("docker+", "br-+"):
        for protocol in ("tcp", "udp"):
            published = [port for port in getattr(ports, protocol) if port > 15300]
            own = [line for line in rules if f"-i {bridge} -d 10.0.0.1/32 -p {protocol}" in line]
            assert _ports(*own) == published
            rules = [line for line in rules if line not in own]
    assert rules == []


def test_the_last_word_of_the_guard_is_drop_and_only_peers_and_the_host_pass_before() -> None:
    peers = [line for line in _render("firewall.v4") if line.startswith("-A NETBENCH-PEERS")]
    assert peers[:3] == [
        "-A NETBENCH-PEERS -i lo -j RETURN",
        "-A NETBENCH-PEERS -s 10.0.0.2/32 -d 10.0.0.1/32 -j RETURN",
        "-A NETBENCH-PEERS -s 10.0.0.3/32 -d 10.0.0.1/32 -j RETURN",
    ]
    assert peers[-1] == "-A NETBENCH-PEERS -j DROP"
    # The host's own containers pass by what is published, and by no port of the swarm's.
    for bridge in ("docker+", "br-+"):
        own = [line for line in peers[3:-1] if f"-i {bridge} -d 10.0.0.1/32 -p tcp" in line]
        assert _ports(*own) == [port for port in _known().tcp if port > 15300]


def test_nftables_opens_the_same() -> None:
    ports = _known()
    tcp, udp, esp, forward, forward_udp, *own = _render("firewall.nft")
    between = "input ip saddr { 10.0.0.2, 10.0.0.3 } ip daddr 10.0.0.1"
    assert tcp == f"{between} tcp dport {{ {', '.join(map(str, sorted(ports.tcp)))} }} accept"
    assert udp == f"{between} udp dport {{ {', '.join(map(str, sorted(ports.udp)))} }} accept"
    assert esp == f"{between} ip protocol esp accept"
    published = ", ".join(str(port) for port in ports.tcp if port > 15300)
    published_udp = ", ".join(str(port) for port in ports.udp if port > 15300)
    assert forward.endswith(f"tcp ct original proto-dst {{ {published} }} accept")
    assert forward_udp.endswith(f"udp ct original proto-dst {{ {published_udp} }} accept")
    assert [line.split()[:3] for line in own] == [
        [hook, "iifname", f'"{bridge}"']
        for bridge in ("docker*", "br-*")
        for hook in ("input", "input", "forward", "forward")
    ]
    assert all(line.endswith(f"{{ {published} }} accept") for line in own[::2])
    assert all(line.endswith(f"{{ {published_udp} }} accept") for line in own[1::2])


def test_a_host_alone_opens_nothing() -> None:
    assert not _render("firewall.nft", firewall_peers=[])
    text = "\n".join(_render("firewall.v4", firewall_peers=[]))
    assert "ACCEPT" not in text
    assert "-j DROP" in text


@pytest.mark.parametrize("name", ["firewall.v4", "firewall.v6", "firewall.nft"])
def test_no_rule_names_ssh(name: str) -> None:
    assert not any(re.search(r"\b(22|ssh)\b", line) for line in _render(name))


def test_other_port_bases_are_followed() -> None:
    for base in (20000, 64300):
        lines = _render("firewall.v4", firewall_port_base=str(base))
        guard = [line for line in lines if line.startswith("-A NETBENCH-GUARD -p tcp")]
        assert _ports(*guard) == sorted(_known(base).tcp)


@pytest.mark.parametrize("play", ["site.yml", "teardown.yml"])
def test_every_role_that_the_playbooks_name_is_there_and_can_be_undone(play: str) -> None:
    (one,) = _yaml(ROOT / "ansible" / play)
    names = [entry["role"] for entry in one.get("roles", ())]
    if play == "teardown.yml":
        names += _loop(one, "teardown")
        for name in _loop(one, "can_go"):
            assert (ROOT / "ansible/roles" / name / "tasks/can_go.yml").exists()
    assert names
    for name in names:
        tasks = ROOT / "ansible/roles" / name / "tasks"
        assert (tasks / "main.yml").exists()
        # The clock is only looked at.
        assert (tasks / "teardown.yml").exists() or name == "clock"


def _loop(play: dict[str, Any], tasks: str) -> list[str]:
    """The roles of which a play includes these tasks, one after the other."""
    return list(_including(play, tasks)["loop"])


def _including(play: dict[str, Any], tasks: str) -> dict[str, Any]:
    include = "ansible.builtin.include_role"
    (found,) = [t for t in play["tasks"] if t.get(include, {}).get("tasks_from") == tasks]
    return dict(found)


def test_teardown_undoes_every_role_that_changes_something() -> None:
    (site,) = _yaml(ROOT / "ansible/site.yml")
    (teardown,) = _yaml(ROOT / "ansible/teardown.yml")
    done = {entry["role"] for entry in site["roles"]} - {"clock"}
    undone = _loop(teardown, "teardown")
    assert done <= set(undone)
    # Other parts' undoing needs programs out of the packages.
    assert undone[-1] == "packages"
    # What can refuse does so before anything is undone.
    assert list(teardown["tasks"]).index(_including(teardown, "can_go")) == 0


def test_nothing_is_taken_out_of_the_kernel() -> None:
    """Unloading bridge or veth deletes everybody's interfaces of that kind."""
    for path in sorted((ROOT / "ansible").rglob("*")):
        if path.is_file():
            words = [
                line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")
            ]
            assert not re.search(r"rmmod|modprobe +(-r|--remove)", "\n".join(words)), path


def test_tuning_is_never_on_by_default() -> None:
    (site,) = _yaml(ROOT / "ansible/site.yml")
    (tuning,) = [entry for entry in site["roles"] if entry["role"] == "tuning"]
    assert "never" in tuning["tags"]


@pytest.mark.parametrize("path", sorted((ROOT / "ansible/roles").glob("*/files/*")), ids=str)
def test_the_programs_are_valid_shell(path: Path) -> None:
    if path.suffix in {".service", ".py"}:
        return
    assert os.access(path, os.X_OK)
    done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(ROOT.glob("ansible/roles/*/tasks/*.yml")), ids=str)
def test_no_collection_is_needed(path: Path) -> None:
    """Modules are of ansible.builtin: what ansible-core alone has."""
    for task in _tasks(_yaml(path)):
        dotted = [key for key in task if "." in key]
        assert len(dotted) == 1 or "block" in task, task
        assert all(key.startswith("ansible.builtin.") for key in dotted), task


def _tasks(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [task for entry in entries for task in (entry, *_tasks(entry.get("block", [])))]
