"""A lab of virtual machines for all tests that need it, brought up and taken down by the CLI.

``NETBENCH_VM_SUITE`` chooses the machines' Debian (trixie unless told); ``NETBENCH_VM_LAB`` names a
lab of two machines that is up already, to be used and left up. Without KVM all of it takes hours on
a busy machine; so it is not part of the default suite.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.lab import layout, processes, state
from bench.lab.layout import Lab
from bench.lab.vm import machines
from bench.toolbox import build
from tests.lab.conftest import Ended, run_netbench

SUITE = os.environ.get("NETBENCH_VM_SUITE", "trixie")
UP = 1800.0
DOWN = 120.0


@dataclass(frozen=True)
class Machines:
    """A lab of machines that is up."""

    lab: Lab
    inventory: Path

    @property
    def hosts(self) -> list[str]:
        return list(self.lab.hosts)

    def address(self, host: str) -> str:
        return str(self.lab.hosts[host])

    def on(self, host: str, command: str, *, check: bool = True, timeout: float = 240.0) -> str:
        """What a shell command says on a machine."""
        done = subprocess.run(
            [*self.ssh(host), command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ssh(self, host: str) -> list[str]:
        folder = self.inventory.parent / f".{self.lab.name}"
        return [
            *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60"),
            *("-o", f"UserKnownHostsFile={folder}/known_hosts", "-i", f"{folder}/id_ed25519"),
            f"root@{self.address(host)}",
        ]

    def monitor(self, host: str, command: str, **arguments: object) -> None:
        """Tell a machine's QEMU something, in its own protocol."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.lab.folder(host) / "qmp.sock"))
            talk = line.makefile("rw")
            talk.readline()
            for words in ({"execute": "qmp_capabilities"}, {"execute": command}):
                if words["execute"] == command and arguments:
                    words |= {"arguments": arguments}
                talk.write(json.dumps(words) + "\n")
                talk.flush()
                while "return" not in (answer := json.loads(talk.readline() or '{"error": 0}')):
                    assert "error" not in answer, answer
                    if command == "quit":
                        break

    def await_answer(self, host: str, timeout: float = 600.0) -> None:
        """Wait until a machine's engine answers (again)."""
        deadline = time.monotonic() + timeout
        while not machines.ask(self.lab, host, "docker info", 30.0):
            assert time.monotonic() < deadline, f"{host} does not come back"
            time.sleep(2)


def bring_up(folder: Path, name: str, *options: str) -> Machines:
    inventory = folder / f"{name}.yaml"
    up = run_netbench(
        *("lab", "up", "--backend", "vm", "--suite", SUITE, "--name", name),
        *("--inventory", inventory, *options),
        timeout=UP,
    )
    assert up.code == 0, up.err
    lab = state.load(name)
    assert lab is not None
    return Machines(lab, inventory)


def take_down(found: Machines) -> None:
    name = found.lab.name
    down = run_netbench("lab", "down", "--name", name, "--inventory", found.inventory, timeout=DOWN)
    assert down.code == 0, down.err
    assert not processes.found(name)
    assert not layout.state_folder(name).exists()
    assert not layout.data_folder(name).exists()
    assert not Path("/sys/class/net", found.lab.controller_interface).exists()
    assert not found.inventory.exists()


@pytest.fixture(scope="session", autouse=True)
def _able() -> None:
    if os.geteuid() != 0:
        pytest.skip("virtual machines need root")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86 is not installed")


@pytest.fixture(scope="session")
def vms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines with Docker."""
    ready = os.environ.get("NETBENCH_VM_LAB")
    if ready:
        lab = state.load(ready)
        assert lab is not None, f"there is no lab {ready}"
        yield Machines(lab, lab.handouts[0])
        return
    # As much as these tests were tried with: six drivers with all accesses at once used up the
    # 768 MiB that a machine has unless told.
    words = ("--hosts", "2", "--memory", "1536")
    found = bring_up(tmp_path_factory.mktemp("vm"), "vmtest", *words)
    yield found
    take_down(found)


@pytest.fixture(scope="session")
def image(vms: Machines) -> str:
    """The toolbox image, on all machines; by its name."""
    archive = build.ensure_archive()
    content = archive.path.read_bytes()
    for host in vms.hosts:
        subprocess.run(
            [*vms.ssh(host), "docker load --quiet"], input=content, check=True, timeout=300
        )
    return archive.reference


@pytest.fixture(scope="session")
def netbench() -> Callable[..., Ended]:
    return run_netbench
