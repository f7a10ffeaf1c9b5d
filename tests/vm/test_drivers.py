"""Every driver and access on machines whose kernel has all of it: nothing may be skipped, and each
path is attested."""

from collections.abc import Callable

import pytest

from bench import drivers
from bench.model import Access, Status
from bench.store import StoredRun, load
from tests.lab.conftest import STALE, Ended
from tests.vm.conftest import Machines

pytestmark = pytest.mark.vm

# Emulated processors are slow, not idle: a trial must be long enough for some bytes.
WORDS = (
    *("--access", "all", "--workloads", "iperf3-tcp", "--no-aa"),
    *("--blocks", "1", "--duration", "2", "--warmup", "0", "--seed", "5"),
)
LONG = 3600.0
# A run for each: the kernel makes one kind of interface of a parent at a time, and the servers and
# clients of all drivers together are more than the machines have memory for.
EACH = [name for name in drivers.known() if name != drivers.BASELINE]


@pytest.fixture(scope="module", params=EACH)
def stored(
    request: pytest.FixtureRequest,
    vms: Machines,
    netbench: Callable[..., Ended],
    tmp_path_factory: pytest.TempPathFactory,
) -> StoredRun:
    """A run of one driver, beside the baseline."""
    out = tmp_path_factory.mktemp("results")
    done = netbench(
        *("run", "-i", vms.inventory, "--drivers", request.param, *WORDS),
        *("--out", out, "--name", "all"),
        timeout=LONG,
    )
    assert done.code == 0 or STALE in done.err, done.out + done.err
    return load(out / "all")


def test_no_treatment_is_skipped_and_each_takes_its_path(stored: StoredRun) -> None:
    planned = {cell.driver for cell in stored.info.plan.cells}
    expected = {
        (name, access, placement)
        for name in planned
        for placement, every in drivers.known()[name].accesses.items()
        for access in every
    }
    found = {(t.cell.driver, t.cell.access, t.cell.placement): t for t in stored.trials}
    assert set(found) == expected
    told = {
        " ".join(key): f"{trial.status}: {trial.reason}{trial.unattested}"
        for key, trial in found.items()
        if trial.status is not Status.COMPLETED or trial.unattested
    }
    assert told == {}


def test_what_the_path_names_has_counted(stored: StoredRun) -> None:
    for trial in stored.trials:
        where = {one.where: one.moved for one in trial.path if "avoided" not in one.where}
        assert where
        assert min(where.values()) > 0, trial.cell
        access, driver = trial.cell.access, trial.cell.driver
        assert (access is Access.VIP) == any("service balancer" in one for one in where)
        across = trial.pair.client_for(trial.cell.placement) != trial.pair.server
        assert ("ESP" in where) == (driver == "overlay-encrypted" and across)


def test_nothing_is_left(vms: Machines, stored: StoredRun) -> None:
    assert stored.end is not None
    for host in vms.hosts:
        assert vms.on(host, "docker ps -aq; docker network ls -q -f label=netbench.run") == ""
        assert vms.on(host, "ip route show proto 78") == ""
