"""What a host is made of, and the few of its properties that change from day to day."""

from __future__ import annotations

import json
import re
from typing import Any

from bench.errors import HostError, HostUnreachable, ParseError
from bench.facts.data_network import data_network
from bench.facts.fact import Fact, ask
from bench.model import HostFacts
from bench.remote.api import Machine


def parse_cpu_model(text: str) -> str:
    """The output of ``lscpu -J``: a list of fields, nested in newer versions."""
    try:
        document = json.loads(text)
        models = list(_models(document["lscpu"]))
    except (ValueError, KeyError, TypeError) as fault:
        raise ParseError(f"no JSON of lscpu's: {text.strip()!r:.60}") from fault
    return ", ".join(dict.fromkeys(models))


def _models(fields: list[dict[str, Any]]) -> list[str]:
    found = []
    for field in fields:
        # Machines of two kinds of cores have two models; "-" stands for one that is not known.
        if field["field"] == "Model name:" and field.get("data") not in (None, "", "-"):
            found.append(str(field["data"]).strip())
        found += _models(field.get("children") or [])
    return found


def parse_clock(text: str) -> float:
    """The output of ``date +%s.%N`` as Unix time in seconds. Some print no fraction."""
    match = re.match(r"(\d{9,11})(\.\d+)?", text.strip())
    if not match:
        raise ParseError(f"no time: {text.strip()!r:.60}")
    return float(match[0])


def parse_free(text: str) -> int:
    """The output of ``df -B1 --output=avail PATH`` in bytes: a head line and a number."""
    match = re.fullmatch(r"\s*Avail\s+(\d+)\s*", text)
    if not match:
        raise ParseError(f"no amount of free space: {text.strip()!r:.60}")
    return int(match[1])


def parse_user_id(text: str) -> int:
    """The output of ``id -u``."""
    if not re.fullmatch(r"\s*\d{1,10}\s*", text, re.ASCII):
        raise ParseError(f"no user id: {text.strip()!r:.60}")
    return int(text)


def parse_link_speed(text: str) -> float | None:
    """What /sys/class/net/IFACE/speed says, in bit/s: it is in Mbit/s, and -1 is for not known."""
    if not re.fullmatch(r"\s*-?\d{1,10}\s*", text, re.ASCII):
        raise ParseError(f"no speed: {text.strip()!r:.60}")
    speed = int(text)
    return None if speed <= 0 or speed in _NO_SPEED else speed * 1e6


def parse_tuning(text: str) -> tuple[str, ...]:
    """The playbooks' record of tuning: a line a setting, tab-separated; the third part is told."""
    words = set()
    for line in text.splitlines():
        match = re.fullmatch(r"[^\t]+\t[^\t]*\t([\w.-]+=[\w,.-]+)", line, re.ASCII)
        if not match:
            raise ParseError(f"no record of tuning: {line!r:.60}")
        words.add(match[1])
    return tuple(sorted(words))


CPU_MODEL = Fact(("env", "LC_ALL=C", "lscpu", "-J"), parse_cpu_model, "install util-linux")
CLOCK = Fact(("date", "+%s.%N"), parse_clock)
# Written by ansible/roles/tuning, and gone when the machine starts anew, like the tuning itself.
_TUNING = "/run/netbench/tuning"
TUNING = Fact(
    ("sh", "-c", f"test ! -e {_TUNING} || cat {_TUNING}"),
    parse_tuning,
    f"take the tuning back with ansible/teardown.yml, or remove {_TUNING}",
)
USER_ID = Fact(("id", "-u"), parse_user_id)


def free_space(path: str) -> Fact[int]:
    """The free bytes of the file system that ``path`` is on."""
    argv = ("env", "LC_ALL=C", "df", "-B1", "--output=avail", path)
    return Fact(argv, parse_free, "netbench asks df of GNU coreutils")


# What drivers say that do not know, and read as a number without a sign.
_NO_SPEED = (0xFFFF, 0xFFFFFFFF)
# Interfaces without a device of their own (veth, bridges, tunnels) make up a speed.
_SPEED_OF_DEVICE = 'test -e "/sys/class/net/$1/device" && exec cat "/sys/class/net/$1/speed"'


def link_speed(interface: str) -> Fact[float | None]:
    """The speed of an interface's link in bit/s, or None where its device does not know.

    The command fails where there is no device, or no link.
    """
    return Fact(("sh", "-c", _SPEED_OF_DEVICE, "sh", interface), parse_link_speed)


def gather(machine: Machine) -> HostFacts:
    """Everything of a host that is stored with a run.

    Raises HostError where its data network cannot be told and EngineError where its engine does not
    answer.
    """
    engine = machine.engine.facts()
    network = data_network(machine)
    return HostFacts(
        name=machine.host.name,
        os=engine.os,
        kernel=engine.kernel,
        engine=engine.version,
        architecture=engine.architecture,
        cpus=engine.cpus,
        memory=engine.memory,
        data_address=network.address,
        data_interface=network.interface,
        data_mtu=network.mtu,
        cpu_model=_cpu_model(machine),
        storage_driver=engine.storage_driver,
        # Of a virtual interface, or one whose provider allows less, only the inventory can tell.
        link_speed=machine.host.line_rate or _link_speed(machine, network.interface),
        emulated_link=machine.host.emulated_link,
        tuning=ask(machine, TUNING),
    )


def _link_speed(machine: Machine, interface: str) -> float | None:
    try:
        return ask(machine, link_speed(interface))
    except HostUnreachable:
        raise
    except HostError:
        return None


def _cpu_model(machine: Machine) -> str:
    # Worth knowing, but no reason to refuse a host that has no lscpu.
    try:
        return ask(machine, CPU_MODEL)
    except HostError:
        return ""
