"""The machines themselves: kernels and engines of their own, no way out, removed whole."""

import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.lab import layout, processes, state
from tests.lab.conftest import NETBENCH, Ended
from tests.vm.conftest import SUITE, Machines

pytestmark = pytest.mark.vm

ENGINES = {"trixie": "26.1", "bookworm": "20.10"}


def test_each_machine_has_a_kernel_an_engine_and_an_identity_of_its_own(vms: Machines) -> None:
    seen = [
        vms.on(host, "uname -r; docker version -f '{{.Server.Version}}'; cat /etc/machine-id")
        for host in vms.hosts
    ]
    kernels, engines, identities = zip(*(text.split() for text in seen), strict=True)
    assert platform.release() not in kernels
    assert all(engine.startswith(ENGINES[SUITE]) for engine in engines)
    assert len(set(identities)) == len(vms.hosts)


def test_there_is_no_way_out(vms: Machines) -> None:
    first = vms.hosts[0]
    assert "default" not in vms.on(first, "ip route")
    away = vms.on(first, "ping -c1 -W2 192.0.2.1 2>&1", check=False)
    assert "unreachable" in away


def test_status_and_a_second_up_see_them(vms: Machines, netbench: Callable[..., Ended]) -> None:
    status = netbench("lab", "status", "--name", "vmtest")
    assert status.code == 0, status.out
    assert all(host in status.out for host in vms.hosts)
    again = netbench(
        *("lab", "up", "--backend", "vm", "--suite", SUITE, "--name", "vmtest"),
        *("--inventory", vms.inventory),
    )
    assert "2 hosts up already" in again.out
    other = netbench("lab", "up", "--backend", "vm", "--bare", "--name", "vmtest")
    assert other.code == 1
    assert "of another kind" in other.err


def test_what_is_cut_off_is_removed(tmp_path: Path, netbench: Callable[..., Ended]) -> None:
    inventory = tmp_path / "vmcut.yaml"
    words = ("lab", "up", "--backend", "vm", "--suite", SUITE, "--name", "vmcut", "--hosts", "1")
    with subprocess.Popen(
        [NETBENCH, *words, "--inventory", str(inventory)], stderr=subprocess.PIPE
    ) as up:
        # Killed as soon as a machine runs: nothing of its own can clean up.
        deadline = time.monotonic() + 1200
        while "vmcut1" not in processes.firsts("vmcut"):
            assert up.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        up.kill()
    status = netbench("lab", "status", "--name", "vmcut")
    assert status.code == 1
    assert "not complete" in status.err
    down = netbench("lab", "down", "--name", "vmcut", "--inventory", inventory)
    assert down.code == 0, down.err
    assert state.load("vmcut") is None
    assert not processes.found("vmcut")
    assert not layout.data_folder("vmcut").exists()
    second = netbench("lab", "down", "--name", "vmcut", "--inventory", inventory)
    assert second.code == 0
    assert "there is none" in second.out
