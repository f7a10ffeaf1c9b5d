"""`netbench check`, `run` and `clean` on machines with kernels of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.store import load
from tests.lab.conftest import Ended
from tests.vm.conftest import Machines

pytestmark = pytest.mark.vm

# Emulated processors are slow, not idle: a trial must be long enough for some requests.
QUICK = (
    "--workloads",
    "iperf3-tcp,http-echo",
    "--blocks",
    "1",
    "--duration",
    "2",
    "--warmup",
    "1",
    "--seed",
    "5",
)
LONG = 1800.0


def test_check_finds_nothing_to_complain_of(vms: Machines, netbench: Callable[..., Ended]) -> None:
    done = netbench("check", "-i", vms.inventory, timeout=LONG)
    assert done.code == 0, done.out + done.err


def test_every_driver_there_is_can_be_measured(
    vms: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    done = netbench(
        "run", "-i", vms.inventory, "--out", tmp_path, "--name", "r", *QUICK, timeout=LONG
    )
    assert done.code == 0, done.out + done.err
    run = load(tmp_path / "r")
    assert {str(t.status) + t.reason for t in run.trials} == {"completed"}
    assert {t.cell.driver for t in run.trials} == {"host", "bridge", "overlay", "macvlan"}
    assert not run.info.shared_kernel
    assert run.end is not None
    assert not run.end.outstanding
    for host in vms.hosts:
        assert vms.on(host, "docker ps -aq; docker network ls -q -f label=netbench.run") == ""
        state = vms.on(host, "docker info -f '{{.Swarm.LocalNodeState}}'").strip()
        assert state == "inactive"
    clean = netbench("clean", "-i", vms.inventory, timeout=LONG)
    assert (clean.code, clean.err) == (0, "")
