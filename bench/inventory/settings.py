"""From the variables that hold for a host to a Host: types, bounds, spelling."""

from __future__ import annotations

import difflib
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import TaggedScalar

from bench.errors import InventoryError
from bench.inventory import sshargs
from bench.inventory.yamlfile import Var, Where, kind
from bench.model import Host
from bench.units import bit_rate

OF_HOST = (
    "netbench_data_address",
    "netbench_data_interface",
    "netbench_macvlan_parent",
    "netbench_line_rate",
    "netbench_emulated_link",
)
OF_ALL = ("netbench_port_base", "netbench_macvlan_subnet", "netbench_shared_kernel")
# Each workload's port is a small offset from the base, so the base itself stays below the end.
PORTS = range(1, 65536)
PORT_BASES = range(1024, 65001)

_NAME = re.compile(r"^[\w](?:[\w.\-]*[\w])?$")
_INTERFACE = re.compile(r"^[^\s/:]{1,15}$")
_TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "f", "0"})


@dataclass(frozen=True, slots=True)
class Vars:
    """The variables of one host, read with checks."""

    host: str
    found: dict[str, Var]
    place: Where

    def check_names(self) -> None:
        """Raises InventoryError for a ``netbench_`` variable that netbench does not have."""
        known = (*OF_HOST, *OF_ALL)
        for name, var in self.found.items():
            if name.startswith("netbench_") and name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
                raise InventoryError(f"{var.where}: {self.host}: unknown variable {name}", hint)

    def get(self, *names: str) -> tuple[str, Var] | None:
        """The first of several spellings that is set, with its name; null counts as not set."""
        for name in names:
            var = self.found.get(name)
            if var is None or var.value is None:
                continue
            if isinstance(var.value, TaggedScalar):
                raise self.wrong(name, var, f"is a {kind(var.value)}", "write the value itself")
            if isinstance(var.value, str) and ("{{" in var.value or "{%" in var.value):
                raise self.wrong(
                    name,
                    var,
                    "is a template, which only Ansible fills in",
                    "write the value itself",
                )
            return name, var
        return None

    def wrong(self, name: str, var: Var, what: str, hint: str) -> InventoryError:
        return InventoryError(f"{var.where}: {self.host}: {name} {what}", hint)

    def text(self, *names: str) -> str | None:
        found = self.get(*names)
        if found is None:
            return None
        name, var = found
        if not isinstance(var.value, str) or not var.value.strip():
            what = f"is {var.value!r}, a {kind(var.value)}"
            raise self.wrong(name, var, what, "write a string (in quotes, if need be)")
        return str(var.value).strip()

    def number(self, allowed: range, *names: str) -> int | None:
        found = self.get(*names)
        if found is None:
            return None
        name, var = found
        text = str(var.value).strip()
        digits = not isinstance(var.value, bool | float) and text.isascii() and text.isdigit()
        if not digits or int(text) not in allowed:
            bounds = f"a whole number from {allowed[0]} to {allowed[-1]}"
            raise self.wrong(name, var, f"is {text!r}", f"write {bounds}")
        return int(text)

    def truth(self, *names: str) -> bool | None:
        found = self.get(*names)
        if found is None:
            return None
        name, var = found
        word = str(var.value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise self.wrong(name, var, f"is {word!r}", "write true or false")
        return word in _TRUE

    def address(self, name: str) -> str | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            raise self.wrong(
                name, self.found[name], f"is {text!r}", "write an IP address, without a prefix"
            ) from None

    def interface(self, name: str) -> str | None:
        text = self.text(name)
        if text is not None and not _INTERFACE.match(text):
            raise self.wrong(
                name, self.found[name], f"is {text!r}", "write an interface's name, like eth0"
            )
        return text

    def rate(self, name: str) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return bit_rate(text)
        except ValueError as fault:
            raise self.wrong(name, self.found[name], f"is {text!r}", str(fault)) from None

    def subnet(self, name: str) -> str | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return str(ipaddress.IPv4Network(text))
        except ValueError as fault:
            raise self.wrong(
                name, self.found[name], f"is {text!r} ({fault})", "write one like 198.19.0.0/16"
            ) from None


def host(read: Vars) -> Host:
    """The host that these variables describe. Raises InventoryError, naming file, line and key."""
    read.check_names()
    if not _NAME.match(read.host):
        raise InventoryError(
            f"{read.place}: {read.host!r} cannot be a host's name",
            "use letters, digits, dots, hyphens and underscores",
        )
    _refuse(read)
    args = _ssh_args(read)
    key_file = read.text("ansible_ssh_private_key_file", "ansible_private_key_file")
    port = read.number(PORTS, "ansible_port", "ansible_ssh_port")
    key_file = key_file or args.key_file
    return Host(
        name=read.host,
        address=_target(read),
        user=read.text("ansible_user", "ansible_ssh_user") or args.user,
        port=port if port is not None else _args_port(read, args),
        key_file=Path(key_file).expanduser() if key_file else None,
        known_hosts_file=args.known_hosts_file,
        proxy_jump=args.proxy_jump,
        become=bool(read.truth("ansible_become", "ansible_sudo")),
        data_address=read.address("netbench_data_address"),
        data_interface=read.interface("netbench_data_interface"),
        macvlan_parent=read.interface("netbench_macvlan_parent"),
        line_rate=read.rate("netbench_line_rate"),
        emulated_link=read.text("netbench_emulated_link") or "",
    )


def _target(read: Vars) -> str:
    address = read.text("ansible_host", "ansible_ssh_host") or read.host
    if re.search(r"[\s@/]", address):
        name, var = read.get("ansible_host", "ansible_ssh_host") or ("", Var("", read.place))
        hint = "write an address or a host name; the user goes into ansible_user"
        raise read.wrong(name, var, f"is {address!r}", hint)
    return address


def _refuse(read: Vars) -> None:
    """Raises InventoryError for ways to connect or to become root that netbench does not have."""
    only: dict[str, tuple[Any, ...]] = {
        "ansible_connection": ("ssh", "smart", "paramiko", "ansible.builtin.ssh", "paramiko_ssh"),
        "ansible_become_method": ("sudo", "ansible.builtin.sudo"),
        "ansible_become_user": ("root",),
    }
    for name, allowed in only.items():
        value = read.text(name)
        if value is not None and value not in allowed:
            what = f"is {value!r}, and netbench only does {allowed[0]}"
            raise read.wrong(name, read.found[name], what, f"remove it or set {allowed[0]}")


def _ssh_args(read: Vars) -> sshargs.SshArgs:
    """The arguments of all three variables, the stronger first, as Ansible lines them up."""
    names = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
    merged: dict[str, Any] = {}
    for name in names:
        found = read.get(name)
        if found is None or not str(found[1].value).strip():
            continue
        args = sshargs.parse(read.text(name) or "", f"{found[1].where}: {read.host}: {name}")
        for key in sshargs.SshArgs.__slots__:
            merged[key] = merged.get(key) or getattr(args, key)
    return sshargs.SshArgs(**merged)


def _args_port(read: Vars, args: sshargs.SshArgs) -> int | None:
    if args.port is None:
        return None
    if not (args.port.isascii() and args.port.isdigit() and int(args.port) in PORTS):
        raise InventoryError(
            f"{read.place}: {read.host}: the SSH arguments ask for port {args.port!r}",
            f"write a whole number from {PORTS[0]} to {PORTS[-1]}",
        )
    return int(args.port)
