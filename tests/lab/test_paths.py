"""Paths on three real engines: each trial's bytes are found on it, and a detour is noticed."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.model import Crossing, Placement, Status, Trial
from bench.plan import trials_of
from bench.store import StoredRun, load
from tests.lab.conftest import NETBENCH

pytestmark = pytest.mark.lab

# With this seed the second block has the overlay across hosts last, so that there is time for the
# detour between the blocks.
WORDS = ["--blocks", "2", "--duration", "1", "--warmup", "0", "--no-aa", "--seed", "0"]
WORDS += ["--workloads", "http-echo,iperf3-tcp"]
CELLS = 16
WHERE = {
    ("host", Placement.SAME_HOST): "loopback",
    ("host", Placement.CROSS_HOST): "data interface, data interface",
    ("bridge", Placement.SAME_HOST): "client container, bridge port of the client, "
    "bridge port of the server, server container",
    ("bridge", Placement.CROSS_HOST): "client container, bridge, data interface, "
    "data interface, bridge, server container",
    ("macvlan", Placement.SAME_HOST): "client container, server container, "
    "parent interface (to be avoided)",
    ("macvlan", Placement.CROSS_HOST): "client container, parent interface, parent interface, "
    "server container",
    ("overlay", Placement.SAME_HOST): "client container, server container, vxlan (to be avoided)",
    ("overlay", Placement.CROSS_HOST): "client container, vxlan, data interface, "
    "data interface, vxlan, server container",
}


@pytest.fixture(scope="module")
def stored(
    lab_inventory: Path,
    on_host: Callable[..., str],
    hosts: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> StoredRun:
    """A run of two blocks. Before the last trials of the second, what the overlay's client on the
    second host sends to the servers' ports begins to go to the third host's own servers."""
    out = tmp_path_factory.mktemp("results")
    words = [NETBENCH, "run", "-i", lab_inventory, "--out", out, "--name", "detour", *WORDS]
    run = subprocess.Popen(
        list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        make_detour(out / "detour", run, on_host, hosts)
        _, said = run.communicate(timeout=300)
    finally:
        # Whatever went wrong above, the run cleans up after itself.
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=60)
    assert run.returncode == 0, said
    return load(out / "detour")


def make_detour(
    folder: Path, run: subprocess.Popen[str], on_host: Callable[..., str], hosts: list[str]
) -> None:
    trials = folder / "trials.jsonl"
    deadline = time.monotonic() + 300
    while not trials.exists() or len(trials.read_text().splitlines()) < CELLS:
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    facts = {host.name: host for host in load(folder).info.hosts}
    # The source was chosen for the overlay, so it has to be masked for answers to come back.
    detour = (
        "pid=$(docker inspect -f '{{.State.Pid}}' $(docker ps -qf name=overlay-client)); "
        "nat='iptables -t nat -A'; inside='nsenter -t '$pid' -n '$nat; "
        "$inside POSTROUTING -p tcp --dport 15200:15299 -j MASQUERADE && "
        "$inside OUTPUT -p tcp --dport 15200:15299 "
        f"-j DNAT --to-destination {facts[hosts[2]].data_address}"
    )
    on_host(hosts[1], detour)


def off_the_path(trial: Trial) -> bool:
    cell = trial.cell
    return trial.block == 1 and cell.driver == "overlay" and cell.placement is Placement.CROSS_HOST


def test_the_bytes_of_every_trial_are_found_on_its_path(stored: StoredRun) -> None:
    assert len(stored.trials) == 2 * CELLS
    done = [trial for trial in stored.trials if trial.status is Status.COMPLETED]
    # A tool may give up on a machine that is busy otherwise, but never for having left its path.
    assert {trial.cell for trial in done} == set(stored.info.plan.cells)
    for trial in stored.trials:
        assert off_the_path(trial) or not trial.reason.startswith("path not taken")
    for trial in done:
        assert trial.unattested == ""
        key = (trial.cell.driver, trial.cell.placement)
        assert ", ".join(passage.where for passage in trial.path) == WHERE[key]
        for passage in trial.path:
            little = passage.moved < max(passage.moved for passage in trial.path) / 3
            assert little == ("avoided" in passage.where), passage


def test_bytes_that_take_another_way_are_no_result(stored: StoredRun) -> None:
    last = [planned.cell for planned in trials_of(stored.info.plan, 1)][-2:]
    assert {(cell.driver, cell.placement) for cell in last} == {("overlay", Placement.CROSS_HOST)}
    found = [trial for trial in stored.trials if off_the_path(trial)]
    assert len(found) == 2
    assert {trial.status for trial in found} == {Status.FAILED}
    assert {trial.samples for trial in found} == {()}
    for trial in found:
        if trial.cell.workload == "http-echo" and not trial.path:
            # Its tool gave up by itself, as it does on a machine that is busy otherwise.
            continue
        assert trial.reason.startswith("path not taken: overlay direct cross-host, ")
        for where in ("client container", "vxlan", "server container"):
            assert f"({where}) counted" in trial.reason
        # The detour did go over the data network, through the client's other interface.
        moved = {passage.where: passage.moved for passage in trial.path}
        assert moved["data interface"] > 100_000
        assert moved["vxlan"] < moved["data interface"] / 10


def test_the_settings_along_every_path_are_stored(stored: StoredRun) -> None:
    facts = stored.info.paths
    seen = {(one.driver, one.where) for one in facts}
    for (driver, _), wheres in WHERE.items():
        for where in wheres.split(", "):
            assert ((driver, where) in seen) == ("avoided" not in where)
    for one in facts:
        mtu = {"loopback": 65536, "vxlan": 1450}.get(one.where, 1500)
        if one.driver == "overlay" and "container" in one.where:
            mtu = 1450
        assert one.mtu == mtu, one
        assert "generic-segmentation-offload" in one.offloads, one
        if one.where == "client container":
            assert " dev eth" in one.route
    published = [one.route for one in facts if one.where == "bridge"]
    assert published
    assert all("by DNAT to 172." in route for route in published)


def test_the_pictures_hold_every_interface_that_counted(stored: StoredRun) -> None:
    drawn = {
        (one.driver, one.access, one.placement, one.pair): {
            (hop.host, hop.interface) for hop in one.hops
        }
        for one in stored.info.pictures
    }
    for trial in stored.trials:
        cell = trial.cell
        hops = drawn[cell.driver, cell.access, cell.placement, trial.pair]
        for passage in trial.path:
            if "avoided" not in passage.where:
                assert (passage.host, passage.interface) in hops, (passage, hops)


def test_the_pictures_say_what_overlay_and_bridge_are_made_of(stored: StoredRun) -> None:
    for one in stored.info.pictures:
        assert not one.broken
        crossed = {hop.crossing for hop in one.hops}
        across = one.placement is Placement.CROSS_HOST
        assert (Crossing.VXLAN in crossed) == (one.driver == "overlay" and across)
        assert (Crossing.NAT in crossed) == (one.driver == "bridge" and across)
        assert (Crossing.BRIDGE in crossed) == (one.driver in ("overlay", "bridge"))
        assert not any("not seen" in hop.detail for hop in one.hops), one
