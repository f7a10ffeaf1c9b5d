"""Links made like the ones one will have: what gets through, what is recorded, what is left."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.inventory import load_inventory
from bench.lab import processes
from bench.lab.layout import SWITCH
from bench.lab.preflight import find
from bench.model import Status
from bench.store import load
from tests.lab.conftest import LAB, Ended

pytestmark = pytest.mark.lab

Netbench = Callable[..., Ended]
CELLS = ("--workloads", "iperf3-tcp", "--placements", "cross-host", "--drivers", "host,overlay")
QUICK = ("--blocks", "1", "--duration", "3", "--warmup", "1", "--seed", "5", "--no-aa")


@pytest.fixture
def link(lab_inventory: Path, netbench: Netbench) -> Iterator[Callable[..., Ended]]:
    """`netbench lab link` for the lab of these tests, whose links are as they were before after."""

    def run(*words: str) -> Ended:
        return netbench("lab", "link", "--name", LAB, *words)

    yield run
    off = run("--off")
    assert off.code == 0, off.err


def in_switch(*words: str) -> str:
    enter = ["nsenter", f"--net=/proc/{processes.firsts(LAB)[SWITCH]}/ns/net", "--"]
    return subprocess.run([*enter, *words], capture_output=True, text=True, check=True).stdout


def ports() -> dict[str, set[str]]:
    """Interface of the switch -> the kinds of queues on it."""
    found: dict[str, set[str]] = {}
    for one in json.loads(in_switch(find("ip"), "-j", "link", "show")):
        found[one["ifname"]] = set()
    for one in json.loads(in_switch(find("tc"), "-j", "qdisc", "show")):
        found[one["dev"]].add(one["kind"])
    return found


def test_a_run_is_held_to_the_rate_and_tells_of_it(
    link: Callable[..., Ended], netbench: Netbench, lab_inventory: Path, tmp_path: Path
) -> None:
    assert link("--rate", "50mbit").code == 0
    done = netbench("run", "-i", lab_inventory, "--out", tmp_path, "--name", "r", *QUICK, *CELLS)
    assert done.code == 0, done.err
    run = load(tmp_path / "r")
    assert {host.link_speed for host in run.info.hosts} == {50e6}
    assert {host.emulated_link for host in run.info.hosts} == {"rate 50 Mbit/s"}
    rates = [
        sample.value
        for trial in run.results
        if trial.status is Status.COMPLETED
        for sample in trial.samples
        if sample.metric == "throughput"
    ]
    assert len(rates) == 2
    # What a full line of that rate can carry of TCP's payload is 47.1 Mbit/s; what it holds back at
    # first comes on top. Far less would be another fault.
    assert all(10e6 < rate < 60e6 for rate in rates)
    page = (tmp_path / "r" / "report.md").read_text()
    assert "emulated: rate 50 Mbit/s" in page


def test_all_of_it_is_in_force_and_all_of_it_goes(
    link: Callable[..., Ended], netbench: Netbench, lab_inventory: Path
) -> None:
    plain, before = lab_inventory.read_text(), ports()
    done = link("--rate", "1gbit")
    assert done.code == 0, done.err
    first = ports()
    for number in (1, 2, 3):
        assert first[f"port{number}"] == {"htb", "bfifo", "ingress"}
        assert first[f"up{number}"] == {"htb", "bfifo"}
    again = link("--rate", "1gbit")
    assert (again.code, again.out) == (0, done.out)
    assert ports() == first
    assert link().out == done.out == "".join(f"{LAB}{n}: rate 1 Gbit/s\n" for n in (1, 2, 3))
    assert netbench("lab", "status", "--name", LAB).out.count("rate 1 Gbit/s") == 3
    assert link("--off").out == "".join(f"{LAB}{n}: as it is\n" for n in (1, 2, 3))
    assert ports() == before
    assert lab_inventory.read_text() == plain


def test_one_hosts_link_alone(link: Callable[..., Ended], lab_inventory: Path) -> None:
    done = link("--rate", "10mbit", "--host", f"{LAB}2")
    assert done.out == f"{LAB}1: as it is\n{LAB}2: rate 10 Mbit/s\n{LAB}3: as it is\n"
    assert [host.line_rate for host in load_inventory(lab_inventory).hosts] == [None, 10e6, None]
    assert "up1" not in ports()
    assert "htb" in ports()["port2"]
    unknown = link("--rate", "10mbit", "--host", f"{LAB}9")
    assert unknown.code == 2
    assert f"its hosts are {LAB}1, {LAB}2, {LAB}3" in unknown.err


def test_delay_and_loss_are_in_force_or_the_kernel_is_named(link: Callable[..., Ended]) -> None:
    assert link("--rate", "20mbit").code == 0
    before = ports()
    done = link("--delay", "10ms", "--loss", "0.1%")
    if done.code:
        assert "no netem (module sch_netem)" in done.err
        assert "--backend vm" in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert ports() == before
        assert link().out.count("rate 20 Mbit/s") == 3
    else:
        assert "netem" in ports()["port1"]
        assert link().out.count("delay 10 ms, loss 0.1 %") == 3


def test_a_lab_that_is_not_there(netbench: Netbench, lab_inventory: Path) -> None:
    for words in (("--rate", "1gbit"), ("--off",), ()):
        done = netbench("lab", "link", "--name", "nolab", *words)
        assert done.code == 1
        assert "there is no lab nolab; run `netbench lab up --name nolab`" in done.err
