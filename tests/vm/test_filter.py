"""Macvlan where the network lets only a machine's own MAC address pass, as clouds' do.

In a file of its own, before the ones that share a lab: its machines are gone before those come.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.model import Status
from bench.store import load
from tests.lab.conftest import Ended
from tests.vm.conftest import Machines, bring_up, take_down
from tests.vm.test_measure import LONG, QUICK

pytestmark = pytest.mark.vm


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
