"""A whole machine fails in mid-run: what was measured is kept, and the loss is named."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.lab.vm import machines
from bench.store import load
from tests.lab.conftest import NETBENCH, Ended
from tests.vm.conftest import Machines, bring_up, take_down

pytestmark = pytest.mark.vm

START, END = 900.0, 900.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines of these tests' own, of which the second is the one that fails."""
    found = bring_up(tmp_path_factory.mktemp("faults"), "vmfault", "--hosts", "2")
    yield found
    take_down(found)


def run_and_break(vms: Machines, out: Path, fault: Callable[[], object]) -> tuple[int, str]:
    """Break something when a trial is stored; returns how the run then ended, and what it said."""
    trials = out / "r" / "trials.jsonl"
    with subprocess.Popen(
        [
            *(NETBENCH, "run", "-i", vms.inventory, "--out", out, "--name", "r"),
            *("--drivers", "host", "--workloads", "iperf3-tcp", "--placements", "cross-host"),
            *("--blocks", "500", "--duration", "1", "--warmup", "0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        deadline = time.monotonic() + START
        while not (trials.exists() and trials.read_bytes().count(b"\n")):
            assert run.poll() is None, run.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        fault()
        try:
            said = "".join(run.communicate(timeout=END))
        finally:
            run.kill()
    return run.returncode, said


def must_tell(vms: Machines, out: Path, ended: tuple[int, str]) -> None:
    """The run ended with 1, kept its trials, and names the second machine."""
    code, said = ended
    assert code == 1, said
    assert "Traceback" not in said
    stored = load(out / "r")
    assert stored.trials
    assert stored.end is not None
    assert vms.hosts[1] in said.splitlines()[-1], said


def clean(vms: Machines, netbench: Callable[..., Ended]) -> None:
    """What the lost machine could not remove is removed when it is back."""
    vms.await_answer(vms.hosts[1])
    done = netbench("clean", "-i", vms.inventory, timeout=600)
    assert done.code == 0, done.err
    for host in vms.hosts:
        assert vms.on(host, "docker ps -aq") == ""


def test_a_link_that_is_cut(pair: Machines, tmp_path: Path, netbench: Callable[..., Ended]) -> None:
    lost = pair.hosts[1]
    ended = run_and_break(
        pair, tmp_path, lambda: pair.monitor(lost, "set_link", name="nic", up=False)
    )
    pair.monitor(lost, "set_link", name="nic", up=True)
    must_tell(pair, tmp_path, ended)
    clean(pair, netbench)


def test_a_machine_that_is_paused(
    pair: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    lost = pair.hosts[1]
    ended = run_and_break(pair, tmp_path, lambda: pair.monitor(lost, "stop"))
    pair.monitor(lost, "cont")
    must_tell(pair, tmp_path, ended)
    clean(pair, netbench)


def test_a_machine_that_reboots(
    pair: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    ended = run_and_break(pair, tmp_path, lambda: pair.monitor(pair.hosts[1], "system_reset"))
    must_tell(pair, tmp_path, ended)
    clean(pair, netbench)


def test_a_machine_without_power(
    pair: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    lost = pair.hosts[1]
    must_tell(pair, tmp_path, run_and_break(pair, tmp_path, lambda: pair.monitor(lost, "quit")))
    health = {host.name: host.problem for host in machines.look(pair.lab)}
    assert health == {pair.hosts[0]: "", lost: "is not running"}
    status = netbench("lab", "status", "--name", pair.lab.name)
    assert status.code == 1
    assert "is not running" in status.out
