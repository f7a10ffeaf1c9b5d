"""Checks and scenarios on real engines: isolation, a leak that is found, names, what comes back."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.checked import Outcome, Verification, failures
from bench.store.verification import load_verification
from tests.lab.conftest import LAB, STALE, Ended, once_more_if_stale

pytestmark = pytest.mark.lab


@pytest.fixture
def verify(
    lab_inventory: Path, netbench: Callable[..., Ended], tmp_path: Path
) -> Callable[..., tuple[Ended, Verification]]:
    def run(*words: str) -> tuple[Ended, Verification]:
        common = ("-i", lab_inventory, "--out", tmp_path, "--name", "v")
        done = netbench("verify", *words, *common)
        return done, load_verification(tmp_path / "v")

    return run


@once_more_if_stale
def test_networks_are_isolated_and_names_are_right_and_nothing_is_left(
    verify: Callable[..., tuple[Ended, Verification]], footprint: Callable[[], str]
) -> None:
    before = footprint()
    done, found = verify("isolation", "dns")
    assert failures(found.checks) == []
    # A busy engine may keep the port of its gossip, which is said and is not looked at here.
    assert done.code == 0 or STALE in done.err, done.err
    assert [one.outcome for one in found.checks] == [Outcome.PASSED] * 2
    report = found.checks[0].report
    tried = {one.group for one in report.findings}
    assert {"tenant-a -> docker_gwbridge", "host -> docker_gwbridge"} <= tried
    if "macvlan" not in {one.what for one in report.skipped}:
        # The lab's switch lets any MAC address through.
        (wire,) = (note for note in report.notes if note.startswith("macvlan between hosts: "))
        assert re.search(r"reached in (\d+) of \1 tries", wire), wire
    assert footprint() == before


@pytest.mark.long
@once_more_if_stale
def test_requests_spread_and_services_start_and_nothing_is_left(
    verify: Callable[..., tuple[Ended, Verification]], footprint: Callable[[], str]
) -> None:
    before = footprint()
    done, found = verify("balance", "attach")
    assert failures(found.checks) == []
    assert done.code == 0 or STALE in done.err, done.err
    assert [one.outcome for one in found.checks] == [Outcome.PASSED] * 2
    assert footprint() == before


@once_more_if_stale
def test_a_planted_leak_is_found(verify: Callable[..., tuple[Ended, Verification]]) -> None:
    done, found = verify("isolation", "--plant-leak")
    assert done.code == 1
    told = failures(found.checks)
    assert told
    for one in told:
        assert one.startswith("isolation: LEAK: ")
        assert "both-tenants on" in one
    ways = {
        word for one in told for word in ("tcp", "udp", "icmp", "name") if f" by {word} " in one
    }
    assert ways == {"tcp", "udp", "icmp", "name"}


@pytest.mark.long
@once_more_if_stale
def test_a_task_whose_host_or_engine_goes_comes_back(
    verify: Callable[..., tuple[Ended, Verification]],
) -> None:
    done, found = verify("failover", "--lab", LAB)
    assert failures(found.checks) == []
    assert done.code == 0 or STALE in done.err, done.err
    lost = {one.of: one.value for one in found.checks[0].report.figures if one.unit == "requests"}
    assert set(lost) == {
        "the task is killed, by dns",
        "its node is drained, by dns",
        "its host is cut off, by dns",
        "its engine is stopped, by dns",
    }
    # A node that is gone takes the longest to be missed, whether it went with a word or without.
    assert lost["its host is cut off, by dns"] > 20
    assert lost["its engine is stopped, by dns"] > 20


@once_more_if_stale
@pytest.mark.parametrize(
    "name",
    [
        "direct",
        pytest.param("publish", marks=pytest.mark.long),
        pytest.param("overlay", marks=pytest.mark.long),
    ],
)
def test_a_scenario_comes_back_as_it_should(
    name: str,
    lab_inventory: Path,
    netbench: Callable[..., Ended],
    tmp_path: Path,
    footprint: Callable[[], str],
) -> None:
    before = footprint()
    quick = ("--blocks", "1", "--duration", "1", "--out", tmp_path, "--name", "s")
    done = netbench("scenario", name, "-i", lab_inventory, *quick)
    assert done.code == 0 or STALE in done.err, done.err
    told = (tmp_path / "s" / "scenario.txt").read_text()
    assert "FAIL" not in told
    assert "taken down: all" in told
    assert (tmp_path / "s" / "report.html").is_file()
    assert footprint() == before
