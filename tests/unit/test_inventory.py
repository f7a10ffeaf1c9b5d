"""The inventory: Ansible's precedence, ranges, SSH arguments; every complaint names its place."""

import io
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bench.errors import InventoryError
from bench.inventory import load_inventory

Writer = Callable[..., Path]
EXAMPLE = Path(__file__).parents[2] / "hosts" / "example-cloud.yaml"


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def write(text: str, name: str = "hosts.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def complaint(path: Path) -> str:
    with pytest.raises(InventoryError) as caught:
        load_inventory(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint or "twice" in str(caught.value)
    return str(caught.value)


def test_the_example_loads() -> None:
    inventory = load_inventory(EXAMPLE)
    assert len(inventory.hosts) >= 2
    assert all(host.data_address for host in inventory.hosts)
    assert not inventory.shared_kernel


def test_everything_that_is_said_of_a_host(write: Writer) -> None:
    path = write("""
all:
  vars: {netbench_port_base: 16000, netbench_macvlan_subnet: 10.9.0.0/16,
         netbench_shared_kernel: yes}
  hosts:
    a:
      ansible_host: 192.0.2.7
      ansible_user: admin
      ansible_port: "2222"
      ansible_ssh_private_key_file: ~/keys/id
      ansible_become: yes
      ansible_ssh_common_args: -o UserKnownHostsFile=/k -o StrictHostKeyChecking=no -J j@b:22,c
      ansible_python_interpreter: /usr/bin/python3
      other: {anything: [1, "{{ goes }}"]}
      netbench_data_address: 10.0.0.1
      netbench_data_interface: ens4
      netbench_macvlan_parent: ens5
""")
    inventory = load_inventory(path)
    assert (inventory.port_base, inventory.macvlan_subnet) == (16000, "10.9.0.0/16")
    assert inventory.shared_kernel
    (host,) = inventory.hosts
    assert (host.name, host.address, host.user, host.port) == ("a", "192.0.2.7", "admin", 2222)
    assert host.key_file == Path.home() / "keys" / "id"
    assert host.known_hosts_file == Path("/k")
    assert host.proxy_jump == "j@b:22,c"
    assert host.become
    assert host.data_address == "10.0.0.1"
    assert (host.data_interface, host.macvlan_parent) == ("ens4", "ens5")


def test_what_is_not_said_is_left_open(write: Writer) -> None:
    (host,) = load_inventory(write("all: {hosts: {vm.example.org: }}")).hosts
    assert host.address == "vm.example.org"
    assert (host.user, host.port, host.key_file, host.known_hosts_file) == (None,) * 4
    assert not host.become


def test_precedence_is_ansibles(write: Writer) -> None:
    path = write("""
all:
  vars: {ansible_user: from-all, ansible_port: 1}
  children:
    parent:
      vars: {ansible_user: from-parent, ansible_port: 2}
      children:
        child:
          vars: {ansible_port: 3}
          hosts: {a: , b: {ansible_port: 4}, c: }
    aaa: {vars: {ansible_user: from-aaa}, hosts: {c: }}
    zzz: {vars: {ansible_user: from-zzz}, hosts: {c: }}
""")
    found = {host.name: (host.user, host.port) for host in load_inventory(path).hosts}
    assert found == {
        "a": ("from-parent", 3),
        "b": ("from-parent", 4),
        "c": ("from-zzz", 3),
    }
    write("ansible_user: file-all\nansible_port: 10\n", "group_vars/all.yml")
    write("ansible_port: 11\n", "group_vars/child/main.yaml")
    write("ansible_port: 12\n", "host_vars/b.yml")
    found = {host.name: (host.user, host.port) for host in load_inventory(path).hosts}
    assert found == {"a": ("file-all", 11), "b": ("file-all", 12), "c": ("file-all", 11)}


def test_group_priority_beats_the_alphabet(write: Writer) -> None:
    path = write("""
all:
  children:
    aaa: {vars: {ansible_user: first, ansible_group_priority: 10}, hosts: {c: }}
    zzz: {vars: {ansible_user: last}, hosts: {c: }}
""")
    assert load_inventory(path).hosts[0].user == "first"


def test_a_host_named_twice_is_one_host(write: Writer) -> None:
    path = write("""
web: {hosts: {a: {ansible_user: u}}}
db: {hosts: {a: {ansible_port: 7}, b: }}
""")
    first, second = load_inventory(path).hosts
    assert (first.name, first.user, first.port, second.name) == ("a", "u", 7, "b")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("web[01:03]", ["web01", "web02", "web03"]),
        ("web[9:11].x", ["web9.x", "web10.x", "web11.x"]),
        ("[a:c]", ["a", "b", "c"]),
        ("n[1:7:3]", ["n1", "n4", "n7"]),
        ("r[1:2]-[a:b]", ["r1-a", "r1-b", "r2-a", "r2-b"]),
    ],
)
def test_ranges(write: Writer, pattern: str, names: list[str]) -> None:
    inventory = load_inventory(write(f"all: {{hosts: {{'{pattern}': {{ansible_user: u}}}}}}"))
    assert [host.name for host in inventory.hosts] == names
    assert {host.user for host in inventory.hosts} == {"u"}


def test_a_port_in_the_name(write: Writer) -> None:
    (host,) = load_inventory(write("all: {hosts: {'a.b:2200': }}")).hosts
    assert (host.name, host.port) == ("a.b", 2200)


@pytest.mark.parametrize(
    "arguments",
    [
        "-o UserKnownHostsFile=/k -J gate -p 2200 -l me -i /id",
        "-oUserKnownHostsFile=/k -oProxyJump=gate -oPort=2200 -oUser=me -oIdentityFile=/id",
        "-Cq -o 'UserKnownHostsFile /k' -o ControlPersist=60s -Jgate -p2200 -lme -i /id -p9 -J x",
    ],
)
def test_ssh_arguments(write: Writer, arguments: str) -> None:
    (host,) = load_inventory(
        write(f'all: {{hosts: {{a: {{ansible_ssh_common_args: "{arguments}"}}}}}}')
    ).hosts
    assert host.known_hosts_file == Path("/k")
    assert (host.proxy_jump, host.port, host.user) == ("gate", 2200, "me")
    assert host.key_file == Path("/id")


def test_nothing_switches_off_the_host_key_check(write: Writer) -> None:
    arguments = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    (host,) = load_inventory(
        write(f"all: {{hosts: {{a: {{ansible_ssh_common_args: {arguments}}}}}}}")
    ).hosts
    assert host.known_hosts_file is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("all: {hosts: }", "names no host"),
        ("- a\n- b\n", "holds a list"),
        ("all: {hosts: {a: }\n", "not valid YAML"),
        ("all:\n  hosts:\n\ta:\n", ":3: not valid YAML"),
        ("all:\n  hosts:\n    a: {x: 1}\n    a: {x: 2}\n", ":4: a is there twice"),
        ("[web]\na ansible_host=192.0.2.1\n", "looks like INI"),
        ("a ansible_host=192.0.2.1\n", "ansible-inventory -i"),
        ("#!/bin/sh\necho {}\n", "is a script"),
        ("plugin: aws_ec2\nregions: [x]\n", ":1: configures a dynamic inventory"),
        ("all:\n  host:\n    a:\n", ":2: host is no part of group all"),
        ("all:\n  hosts: [a, b]\n", ":2: hosts of group all is a list"),
        ("all:\n  hosts:\n    a: yes please\n", ":3: variables are a string"),
        ("all: {hosts: {'a[1:': }}", "bracket without a range"),
        ("all: {hosts: {'a[3:1]': }}", "range [3:1]"),
        ("all: {hosts: {'a[1:100000]': }}", "too many hosts"),
        ("all: {hosts: {7: }}", "7 is not a string"),
        ("all: {hosts: {'a b': }}", "cannot be a host's name"),
        ("g: {children: {h: {children: {g: }}}}", "group g is its own ancestor"),
    ],
)
def test_malformed_files(write: Writer, text: str, says: str) -> None:
    path = write(text)
    told = complaint(path)
    assert says in told
    assert str(path) in told


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("ansible_port: none", "ansible_port is 'none'"),
        ("ansible_port: 70000", "1 to 65535"),
        ("ansible_port: 22.5", "22.5"),
        ("ansible_port: true", "whole number"),
        ("ansible_host: ['1.2.3.4']", "ansible_host is ['1.2.3.4'], a list"),
        ("ansible_host: root@b", "the user goes into ansible_user"),
        ("ansible_user: 12", "a number"),
        ("ansible_become: maybe", "true or false"),
        ("ansible_become_method: su", "only does sudo"),
        ("ansible_become_user: deploy", "only does root"),
        ("ansible_connection: local", "only does ssh"),
        ("ansible_host: '{{ ip }}'", "is a template"),
        ("ansible_user: !vault |\n        $ANSIBLE_VAULT;1.1;AES256", "!vault value"),
        ("ansible_ssh_common_args: -o ProxyCommand=nc", "ProxyJump"),
        ("ansible_ssh_common_args: -F other", "cannot follow SSH option -F"),
        ('ansible_ssh_common_args: -o "Port=x', "close the quote"),
        ("ansible_ssh_extra_args: -p abc", "port 'abc'"),
        ("ansible_ssh_extra_args: elsewhere", "only options"),
        ("ansible_ssh_extra_args: -J", "has no value"),
        ("netbench_data_address: 10.0.0.1/24", "without a prefix"),
        ("netbench_data_interface: 'a b'", "interface's name"),
        ("netbench_macvlan_subnet: 10.0.0.1/16", "host bits"),
        ("netbench_macvlan_subnet: 10.0.0.0/24", "room for 0 hosts"),
        ("netbench_port_base: 80", "1024 to"),
        ("netbench_data_adress: 10.0.0.1", "did you mean netbench_data_address?"),
        ("netbench_qq: blue", "there are netbench_data_address"),
    ],
)
def test_wrong_values_name_file_line_host_and_key(write: Writer, setting: str, says: str) -> None:
    path = write(f"all:\n  hosts:\n    a:\n      {setting}\n")
    told = complaint(path)
    assert says in told
    assert str(path) in told
    if "room for" not in says and "port 'abc'" not in says:
        assert told.startswith(f"{path}:4: a: {setting.partition(':')[0]}") or "unknown" in told


def test_wrong_values_in_vars_files_name_that_file(write: Writer) -> None:
    path = write("all: {hosts: {a: }}")
    other = write("x: 1\nansible_port: zero\n", "group_vars/all.yaml")
    assert complaint(path).startswith(f"{other}:2: a: ansible_port is 'zero'")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "none.yaml")
    assert "is a directory" in complaint(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00all")
    assert "not UTF-8" in complaint(tmp_path / "binary")


def test_one_machine_under_two_names(write: Writer) -> None:
    path = write(
        "all:\n  hosts:\n    a: {ansible_host: 192.0.2.1}\n    b: {ansible_host: 192.0.2.1}\n"
    )
    told = complaint(path)
    assert told.startswith(f"{path}:4: b and a are both 192.0.2.1 port 22")
    path = write("all: {hosts: {a: {ansible_host: h, ansible_port: 1}, b: {ansible_host: h}}}")
    assert len(load_inventory(path).hosts) == 2
    same = "netbench_data_address: 10.0.0.1"
    path = write(f"all: {{hosts: {{a: {{{same}}}, b: {{{same}}}}}}}")
    assert "both have netbench_data_address 10.0.0.1" in complaint(path)


def test_what_holds_for_all_must_agree(write: Writer) -> None:
    path = write(
        "all:\n  hosts:\n    a: {netbench_port_base: 15000}\n    b: {netbench_port_base: 16000}\n"
    )
    told = complaint(path)
    assert told.startswith(f"{path}:4: netbench_port_base is 16000 for b and 15000 for a")
    path = write("all: {hosts: {a: {netbench_shared_kernel: true}, b: }}")
    assert "netbench_shared_kernel is None for b" in complaint(path)


@given(st.text(alphabet=string.printable, max_size=200))
def test_any_text_is_an_inventory_or_a_complaint(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "hosts.yaml"
    path.write_text(text)
    try:
        inventory = load_inventory(path)
    except InventoryError as fault:
        assert str(path) in str(fault)  # noqa: PT017 - either outcome is right
    else:
        assert inventory.hosts


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(), scalars, max_size=3)
KEYS = (
    *("ansible_host", "ansible_user", "ansible_port", "ansible_become", "ansible_connection"),
    *("ansible_ssh_private_key_file", "ansible_ssh_common_args", "netbench_data_address"),
    *("netbench_data_interface", "netbench_port_base", "netbench_macvlan_subnet"),
)


@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_any_value_is_taken_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, Any]
) -> None:
    buffer = io.StringIO()
    YAML(typ="safe", pure=True).dump({"all": {"hosts": {"a": variables}}}, buffer)
    path = tmp_path_factory.mktemp("any") / "hosts.yaml"
    path.write_text(buffer.getvalue())
    try:
        (host,) = load_inventory(path).hosts
    except InventoryError as fault:
        assert str(path) in str(fault)  # noqa: PT017 - either outcome is right
    else:
        assert host.address
        assert host.port is None or 0 < host.port < 65536
