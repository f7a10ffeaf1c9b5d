"""Every driver and access on three real engines: measured and attested, or skipped for a reason."""

import gzip
import json
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


def found(stored: StoredRun, *wanted: str) -> list[Trial]:
    """The trials of a driver, an access and a placement."""
    return [
        trial
        for trial in stored.trials
        if (trial.cell.driver, trial.cell.access, trial.cell.placement) == wanted
    ]


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
    (across,) = found(stored, "overlay", Access.PUBLISHED_HOST, Placement.CROSS_HOST)
    counted = {passage.where: passage.moved for passage in across.path}
    assert counted["gateway bridge"] > 10 * counted["client container (to be avoided)"]


def test_a_plain_client_reaches_what_is_published_without_a_network_of_its_own(
    stored: StoredRun,
) -> None:
    for driver in ("bridge", "bridge-default", "overlay"):
        (trial,) = found(stored, driver, Access.PUBLISHED_HOST_PLAIN, Placement.CROSS_HOST)
        assert trial.path[0].where == "data interface"
        assert trial.path[0].host == trial.pair.client


def test_a_link_leads_to_the_other_container_by_name(stored: StoredRun) -> None:
    (trial,) = found(stored, "bridge-default", Access.LINK, Placement.SAME_HOST)
    kept = (stored.path / next(one for one in trial.raw if "stdout" in one)).read_bytes()
    said = gzip.decompress(kept) if kept.startswith(b"\x1f\x8b") else kept
    assert json.loads(said)["start"]["connecting_to"]["host"] == "netbench-server"


def test_how_the_engines_publish_is_told_by_their_programs(
    stored: StoredRun,
) -> None:
    # The lab's engines run with Docker's defaults, of which this is one.
    assert {host.publishing for host in stored.info.hosts} <= {"docker-proxy", ""}
    assert "docker-proxy" in {host.publishing for host in stored.info.hosts}


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
