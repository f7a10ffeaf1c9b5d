"""`netbench verify` on kernels that have all of it: nothing may be skipped for want of a kernel."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.checked import failures
from bench.checks._faults import FAULTS
from bench.checks.failover import BEFORE, SECONDS
from bench.store.verification import load_verification
from tests.lab.conftest import Ended
from tests.vm.conftest import SUITE, Machines

pytestmark = pytest.mark.vm

LONG = 3600.0


def test_isolation_encryption_and_balance_with_nothing_skipped(
    vms: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    words = ("isolation", "dns", "balance", "-i", vms.inventory, "--out", tmp_path, "--name", "v")
    done = netbench("verify", *words, timeout=LONG)
    found = load_verification(tmp_path / "v")
    assert failures(found.checks) == [], done.out
    assert done.code == 0, done.out + done.err
    by_name = {one.check: one.report for one in found.checks}
    # One parent interface takes macvlan or ipvlan: that is no lack of the kernel's.
    skipped = [one for report in by_name.values() for one in report.skipped]
    assert [one.what for one in skipped] == ["ipvlan-l2"]
    assert "macvlan is on the parent interface" in skipped[0].why
    wire = {
        one.what.partition(" from ")[0]: one.found
        for one in by_name["isolation"].findings
        if one.group == "on the underlay"
    }
    assert set(wire) == {"tenant-a", "encrypted"}
    assert "readable in 0" in wire["encrypted"]
    spread = {one.group for one in by_name["balance"].findings}
    assert spread == {"dns", "vip", "published-ingress"}
    if SUITE == "trixie":
        # Since Docker 25.0 internal bridges have no default route.
        assert [one.partition(":")[0] for one in by_name["isolation"].notes] == [
            "macvlan between hosts"
        ]


def test_every_fault_is_tried_by_name_and_by_virtual_address_and_undone(
    vms: Machines, tmp_path: Path, netbench: Callable[..., Ended]
) -> None:
    words = ("failover", "--lab", vms.lab.name, "-i", vms.inventory)
    done = netbench("verify", *words, "--out", tmp_path, "--name", "v", timeout=LONG)
    found = load_verification(tmp_path / "v")
    (checked,) = found.checks
    # Emulated processors may take too long to be back; nothing else may be wrong.
    assert all(f" {SECONDS - BEFORE:.0f} s" in one for one in failures([checked])), done.out
    assert found.ending == "finished"
    assert found.outstanding == ()
    assert checked.report.skipped == ()
    lost = {one.of: one.value for one in checked.report.figures if one.unit == "requests"}
    assert set(lost) == {
        f"{fault.words}, by {access}" for fault in FAULTS for access in ("dns", "vip")
    }
    # An engine that is stopped ends its containers: the one task is away until there is another.
    assert min(lost.values()) > 0
