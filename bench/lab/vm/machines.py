"""The virtual machines of a lab: built, waited for, looked at."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import LabError
from bench.lab import blueprint, handout, health, keys, processes, wire
from bench.lab.health import HostHealth
from bench.lab.layout import SWITCH, Lab, Machines
from bench.lab.vm import image, qemu, seed
from bench.lab.vm.image import Image
from bench.lab.vm.recipe import Flavour

# A machine without hardware acceleration on a busy machine takes minutes to come up.
UP_TIMEOUT = 600.0
SSH_TIMEOUT = 30.0
PANIC = "Kernel panic"
QUESTION = (
    "command -v docker >/dev/null || { echo none 0; exit; }; "
    "docker info --format '{{.ServerVersion}} {{.Containers}}' 2>/dev/null"
)


@dataclass(frozen=True, slots=True)
class Start:
    """What machines start from: their kind, with the accelerator that works here, and the image."""

    machines: Machines
    image: Image


def prepare(machines: Machines, tell: Callable[[str], None]) -> Start:
    """See to the image, and find out which accelerator works."""
    found = image.ensure(Flavour(machines.suite, machines.bare), tell)
    accelerator = qemu.accelerator(found)
    if accelerator == "tcg":
        tell("no working KVM on this machine: the machines' processors are emulated, which is slow")
    return Start(replace(machines, accelerator=accelerator), found)


def begin(lab: Lab, start: Image) -> None:
    """Make the switch and start the machines."""
    keys.make(lab)
    _known_hosts(lab)
    with processes.Nursery(lab) as nursery:
        nursery.begin(SWITCH, blueprint.prepare_switch(lab, _services(lab, start)))
        nursery.wait_ready()
        first = processes.firsts(lab.name)[SWITCH]
        wire.connect_taps(lab, first)
        if lab.machines is not None and lab.machines.filter_macs:
            for number in range(1, lab.size + 1):
                wire.only_mac(first, wire.port(number), qemu.mac(lab, number))
        for host in lab.hosts:
            nursery.begin(host, _prepare(lab, host, start), network=first)
        nursery.wait_ready()
        nursery.go()


def wait(lab: Lab, tell: Callable[[str], None]) -> None:
    """Wait until all machines answer. Raises LabError with the end of that machine's console."""
    began = time.monotonic()
    for host in lab.hosts:
        _wait(lab, host, began + UP_TIMEOUT)
        tell(f"{host} answers after {time.monotonic() - began:.0f} s")


def look(lab: Lab, timeout: float = SSH_TIMEOUT) -> list[HostHealth]:
    """Every machine of the lab as it answers now, each given ``timeout`` seconds."""
    firsts = processes.firsts(lab.name)
    return [_look(lab, host, firsts.get(host), timeout) for host in lab.hosts]


def _prepare(lab: Lab, host: str, start: Image) -> Path:
    folder = lab.folder(host)
    folder.mkdir(mode=0o700, parents=True)
    for name in ("log", "written"):
        (folder / name).mkdir(mode=0o700)
    own = seed.files(
        lab, host, host_key=keys.private(lab, host), authorized=keys.public(lab, keys.USER)
    )
    seed.write(folder / "seed.tar", own)
    return blueprint.write(
        folder,
        host,
        furnished=None,
        files={},
        services={"qemu": qemu.command(lab, host, start)},
        # Where QEMU puts what the machine writes.
        environment={**blueprint.ENVIRONMENT, "TMPDIR": f"{folder}/written"},
    )


def _services(lab: Lab, start: Image) -> dict[str, list[str]]:
    """What the switch serves: packages, where machines are bare."""
    if start.packages is None:
        return {}
    server = [sys.executable, "-I", "-m", "http.server", "--bind", f"{lab.packages}"]
    return {"packages": [*server, "--directory", f"{start.packages}", "80"]}


def _wait(lab: Lab, host: str, deadline: float) -> None:
    """Wait until a machine's sshd and its Docker engine, if it is to have one, answer."""
    assert lab.machines is not None
    address = str(lab.hosts[host])
    while not health.greeting(address, 2):
        _must_run(lab, host)
        if time.monotonic() > deadline:
            raise _failure(lab, host, f"sshd does not answer after {UP_TIMEOUT:.0f} s")
        time.sleep(0.5)
    if lab.machines.bare:
        return
    while not _engine(lab, host, SSH_TIMEOUT)[0]:
        _must_run(lab, host)
        if time.monotonic() > deadline:
            raise _failure(lab, host, f"dockerd does not answer after {UP_TIMEOUT:.0f} s")
        time.sleep(2)


def _must_run(lab: Lab, host: str) -> None:
    ended = lab.log(host, "qemu").with_suffix(".ended")
    if ended.exists():
        words = " / ".join(health.tail(lab.log(host, "qemu"), 2))
        raise _failure(lab, host, f"QEMU ended with {ended.read_text()} ({words})")
    if any(PANIC in line for line in health.tail(lab.log(host, "console"), 60)):
        raise _failure(lab, host, "its kernel panicked")


def _failure(lab: Lab, host: str, what: str) -> LabError:
    """A LabError with the last lines of the machine's console, which is about to be removed."""
    lines = health.tail(lab.log(host, "console"))
    shown = "".join(f"\n    {line}" for line in lines) or " nothing"
    return LabError(f"{host}: {what}", f"its console ends with:{shown}")


def _look(lab: Lab, host: str, first: int | None, timeout: float) -> HostHealth:
    address = str(lab.hosts[host])
    if first is None or lab.log(host, "qemu").with_suffix(".ended").exists():
        return HostHealth(host, address, "", "", 0, 0)
    greeting = health.greeting(address, 3)
    version, containers = _engine(lab, host, timeout) if greeting else ("", 0)
    return HostHealth(host, address, greeting, version, containers, processes.members(first))


def _engine(lab: Lab, host: str, timeout: float) -> tuple[str, int]:
    """The version of a machine's engine and its number of containers; ``none`` where there is no
    Docker, an empty version where it does not answer within ``timeout`` seconds."""
    answer = ask(lab, host, QUESTION, timeout).split()
    return (answer[0], int(answer[1])) if len(answer) == 2 and answer[1].isdigit() else ("", 0)


def ask(lab: Lab, host: str, command: str, timeout: float) -> str:
    """What a shell command says on a machine; empty if it does not end in ``timeout`` seconds."""
    folder = keys.folder(lab)
    argv = [
        *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={folder / handout.KNOWN_HOSTS}"),
        *("-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"),
        *("-o", f"ConnectTimeout={timeout:.0f}", "-i", str(folder / keys.USER)),
        *(f"root@{lab.hosts[host]}", f"sh -c {shlex.quote(command)}"),
    ]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _known_hosts(lab: Lab) -> None:
    text = handout.known_hosts(lab, keys.for_user(lab))
    (keys.folder(lab) / handout.KNOWN_HOSTS).write_text(text)
