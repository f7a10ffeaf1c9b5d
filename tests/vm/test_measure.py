"""`netbench check`, `run` and `clean` on machines with kernels of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.model import Status
from bench.store import load
from tests.lab.conftest import Ended
from tests.vm.conftest import Machines, bring_up, take_down

pytestmark = pytest.mark.vm

# Emulated processors are slow, not idle: a trial must be long enough for some requests.
QUICK = ("--blocks", "1", "--duration", "2", "--warmup", "1", "--seed", "5")
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


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines whose network lets only their own MAC addresses pass."""
    folder = tmp_path_factory.mktemp("filtered")
    found = bring_up(folder, "vmfilter", "--hosts", "2", "--filter-macs")
    yield found
    take_down(found)


def test_macvlan_is_skipped_where_mac_addresses_are_filtered(
    filtered: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    words = ("--drivers", "host,macvlan", "--workloads", "iperf3-tcp")
    done = netbench(
        *("run", "-i", filtered.inventory, "--out", tmp_path, "--name", "r", *QUICK, *words),
        timeout=LONG,
    )
    assert done.code == 0, done.out + done.err
    told = {
        (t.cell.driver, str(t.cell.placement)): (t.status, t.reason)
        for t in load(tmp_path / "r").trials
    }
    assert told["host", "cross-host"] == (Status.COMPLETED, "")
    assert told["macvlan", "same-host"] == (Status.COMPLETED, "")
    status, reason = told["macvlan", "cross-host"]
    assert status is Status.SKIPPED
    assert "more than one MAC address" in reason
