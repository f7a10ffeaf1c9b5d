"""The workloads on real engines: through networks of their own, published ports and names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.model import Status
from bench.store import StoredRun, load
from tests.lab.conftest import Ended

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("sound_engines")]

NAMES = (
    *("tcp-rr:size=1024", "udp-rr", "tcp-crr", "tcp-rr:pairs=2"),
    *("iperf3-tcp:streams=4", "iperf3-tcp:direction=both", "iperf3-tcp:pairs=2"),
    *("http-echo:connection=new", "http-echo:body=65536"),
)


@pytest.fixture(scope="module")
def stored(
    lab_inventory: Path, netbench: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory
) -> StoredRun:
    out = tmp_path_factory.mktemp("workloads")
    words = ("--drivers", "bridge,overlay", "--placements", "cross-host", "--no-aa")
    done = netbench(
        *("run", "-i", lab_inventory, "--out", out, "--name", "r", *words),
        *("--workloads", ",".join(NAMES), "--blocks", "1", "--duration", "1", "--warmup", "1"),
    )
    assert done.code == 0, done.err
    return load(out / "r")


def test_every_workload_is_measured_on_every_path(stored: StoredRun) -> None:
    failed = {str(one.cell): one.reason for one in stored.trials if one.status is Status.FAILED}
    # A tool may give up on a machine that is busy otherwise, but never for having left its path.
    assert len(failed) <= 2, failed
    assert not [why for why in failed.values() if why.startswith("path not taken")]
    completed = {one.cell.workload for one in stored.trials if one.status is Status.COMPLETED}
    assert completed == {*NAMES}
    assert not [one for one in stored.trials if one.status is Status.SKIPPED]


def test_pairs_are_summed_and_cost_is_told_of_each(stored: StoredRun) -> None:
    for trial in stored.trials:
        found = {one.metric: one.value for one in trial.samples}
        if trial.status is not Status.COMPLETED:
            continue
        assert any(name.startswith("cpu_per_") for name in found), trial.cell
        if trial.cell.workload == "tcp-rr:pairs=2":
            both = found["slowest_pair"] + found["fastest_pair"]
            assert found["transactions"] == pytest.approx(both)


RATED = (
    "udp-stream:size=512",
    "udp-paced:size=512:load=30",
    "http-open:load=30/80",
    "latency-under-load",
)


@pytest.fixture(scope="module")
def rated(
    lab_inventory: Path, netbench: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory
) -> StoredRun:
    out = tmp_path_factory.mktemp("rated")
    # Across hosts a bridge is reached through a port that Docker publishes, for UDP as well.
    words = ("--drivers", "bridge,overlay", "--placements", "cross-host", "--no-aa")
    done = netbench(
        *("run", "-i", lab_inventory, "--out", out, "--name", "r", *words),
        *("--workloads", ",".join(RATED), "--blocks", "1", "--duration", "1", "--warmup", "1"),
    )
    assert done.code == 0, done.err
    return load(out / "r")


def test_what_searches_or_sets_a_rate_is_measured_on_every_path(rated: StoredRun) -> None:
    ended = {str(one.cell): one.reason for one in rated.trials if one.status is Status.SKIPPED}
    assert ended == {}
    searched = [one for one in rated.trials if one.cell.workload.startswith("udp-stream")]
    completed = [one for one in searched if one.status is Status.COMPLETED]
    assert completed
    assert all(len(one.steps) == 9 for one in completed)


def test_all_treatments_are_asked_at_the_rates_that_the_slowest_reached(rated: StoredRun) -> None:
    assert {one.cell.driver for one in rated.info.reached} == {"host", "bridge", "overlay"}
    slowest = rated.info.slowest_of_each()["http-echo"]
    for trial in rated.trials:
        found = {one.metric: one.value for one in trial.samples}
        for load_, share in (("load=30", 0.3), ("load=80", 0.8)):
            if trial.cell.workload == f"http-open:{load_}" and trial.status is Status.COMPLETED:
                assert found["open_rate"] == pytest.approx(share * slowest, rel=0.01)


def test_packets_of_all_treatments_are_sent_at_one_rate_and_their_cost_told(
    rated: StoredRun,
) -> None:
    slowest = rated.info.slowest_of_each()["udp-stream:size=512"]
    trials = [one for one in rated.trials if one.cell.workload.startswith("udp-paced")]
    # On a busy machine one may fall short of its rate: it says so, and is no result.
    short = [one.reason for one in trials if one.status is Status.FAILED]
    assert all("not keep up with the rate" in reason for reason in short)
    for trial in trials:
        if trial.status is Status.COMPLETED:
            found = {one.metric: one.value for one in trial.samples}
            assert found["paced_goodput"] == pytest.approx(0.3 * slowest, rel=0.2)
            assert found["cpu_per_paced_gb"] > 0
