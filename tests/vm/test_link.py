"""Links of virtual machines made like the ones one will have: delay and loss are really there."""

import re
from collections.abc import Callable, Iterator

import pytest

from bench.inventory import load_inventory
from tests.lab.conftest import Ended
from tests.vm.conftest import Machines

pytestmark = pytest.mark.vm

Link = Callable[..., Ended]
DELAY_MS = 150


@pytest.fixture
def link(vms: Machines, netbench: Callable[..., Ended]) -> Iterator[Link]:
    """`netbench lab link` for these machines, whose links are as they were after."""

    def run(*words: str) -> Ended:
        return netbench("lab", "link", "--name", vms.lab.name, *words)

    yield run
    off = run("--off")
    assert off.code == 0, off.err


def fastest(vms: Machines, to: str) -> float:
    """The shortest of some round trips from the first machine, in milliseconds."""
    said = vms.on(vms.hosts[0], f"ping -q -i 0.3 -c 5 {to}")
    return float(re.findall(r"rtt min[^=]*= ([\d.]+)/", said)[0])


def test_a_delay_is_met_once_each_way_and_the_controller_goes_free(
    vms: Machines, link: Link
) -> None:
    other, controller = vms.address(vms.hosts[1]), str(vms.lab.controller)
    done = link("--rate", "100mbit", "--delay", f"{DELAY_MS}ms")
    assert done.code == 0, done.err
    # No sooner than the delay both ways; how much later is the machine's affair.
    assert fastest(vms, other) >= 2 * DELAY_MS
    assert fastest(vms, controller) < DELAY_MS
    words = {host.emulated_link for host in load_inventory(vms.inventory).hosts}
    assert words == {f"rate 100 Mbit/s, delay {DELAY_MS} ms"}
    assert link("--off").code == 0
    assert fastest(vms, other) < DELAY_MS


def test_a_link_that_loses_all_can_be_mended(vms: Machines, link: Link) -> None:
    other = vms.address(vms.hosts[1])
    assert link("--loss", "100%").code == 0
    assert ", 100% packet loss" in vms.on(vms.hosts[0], f"ping -c 3 -w 5 {other}", check=False)
    assert link("--off").code == 0
    assert fastest(vms, other) > 0
