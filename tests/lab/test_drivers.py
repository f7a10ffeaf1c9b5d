"""Every driver and access on three real engines: measured and attested, or skipped for a reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import capability, drivers
from bench.facts.kernel import lacking
from bench.inventory import load_inventory
from bench.model import Access, Placement, Status, Trial
from bench.remote.fleet import connect
from bench.store import StoredRun, load
from tests.lab.conftest import STALE, Ended

pytestmark = pytest.mark.lab

WORDS = (
    *("--drivers", "all", "--access", "all", "--workloads", "iperf3-tcp", "--no-aa"),
    *("--blocks", "1", "--duration", "1", "--warmup", "0", "--seed", "5"),
)


@pytest.fixture(scope="module")
def before(footprint: Callable[[], str]) -> str:
    return footprint()


@pytest.fixture(scope="module")
def stored(
    before: str,
    lab_inventory: Path,
    netbench: Callable[..., Ended],
    tmp_path_factory: pytest.TempPathFactory,
) -> StoredRun:
    out = tmp_path_factory.mktemp("results")
    done = netbench("run", "-i", lab_inventory, *WORDS, "--out", out, "--name", "all")
    # An engine may keep a port of its gossip, which is said and is not what is looked at here.
    assert done.code == 0 or STALE in done.err, done.err
    return load(out / "all")


def name(trial: Trial) -> str:
    return f"{trial.cell.driver} {trial.cell.access} {trial.cell.placement}"


def test_each_treatment_is_measured_on_its_path_or_skipped_for_what_the_kernel_lacks(
    stored: StoredRun, lab_inventory: Path
) -> None:
    with connect(load_inventory(lab_inventory).hosts) as fleet:
        missing = set().union(*fleet.each(lacking).values())
    assert len(stored.trials) == sum(
        len(every) for one in drivers.known().values() for every in one.accesses.values()
    )
    for trial in stored.trials:
        needs = drivers.known()[trial.cell.driver].requires
        needs |= capability.OF_ACCESS.get(trial.cell.access, frozenset())
        if needs & missing:
            assert trial.status is Status.SKIPPED, name(trial)
            assert "the kernel has no " in trial.reason
            assert "CONFIG_" in trial.reason
        elif "has the parent interface" not in trial.reason:
            # A tool may give up on a machine that is busy otherwise, but a path is never missing.
            assert trial.status is not Status.SKIPPED, (name(trial), trial.reason)
            assert not trial.reason.startswith("path not taken"), (name(trial), trial.reason)
            assert trial.unattested == "", name(trial)


def test_a_container_without_a_network_is_proved_to_be_alone(stored: StoredRun) -> None:
    found = stored.info.networks["none"]["isolation"]
    assert "interfaces with addresses: lo; routes: none" in found
    assert "Network is unreachable; in from the host: not answered" in found


def test_what_an_overlay_publishes_goes_by_the_gateway_bridge(stored: StoredRun) -> None:
    (across,) = [
        trial
        for trial in stored.trials
        if (trial.cell.driver, trial.cell.access, trial.cell.placement)
        == ("overlay", Access.PUBLISHED_HOST, Placement.CROSS_HOST)
    ]
    counted = {passage.where: passage.moved for passage in across.path}
    assert counted["gateway bridge"] > 10 * counted["client container (to be avoided)"]


def test_every_path_between_hosts_was_tried_to_the_byte(stored: StoredRun) -> None:
    assert len(stored.info.underlay) == 6
    for one in stored.info.underlay:
        assert (one.outcome, one.largest) == ("open", one.size)


def test_nothing_is_left(stored: StoredRun, before: str, footprint: Callable[[], str]) -> None:
    assert footprint() == before


def test_routes_that_a_killed_controller_left_are_found_and_removed(
    lab_inventory: Path,
    netbench: Callable[..., Ended],
    on_host: Callable[..., str],
    hosts: list[str],
) -> None:
    on_host(hosts[0], "ip route add 198.19.2.0/24 dev eth0 proto 78")
    done = netbench("clean", "-i", lab_inventory)
    assert done.code == 0, done.err
    assert "1 route" in done.out + done.err
    assert on_host(hosts[0], "ip route show proto 78") == ""
