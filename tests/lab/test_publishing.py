"""Published ports of an engine without its userland proxy beside engines that have it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.model import Placement, Status
from bench.model.picture import Crossing
from bench.store import StoredRun, load
from tests.lab.conftest import RESTART, STALE, Ended

pytestmark = [pytest.mark.lab, pytest.mark.long]

WORDS = (
    *("--drivers", "bridge,overlay", "--access", "published-host", "--workloads", "iperf3-tcp"),
    *("--no-aa", "--blocks", "3", "--duration", "1", "--warmup", "0", "--seed", "5"),
)
SETTINGS = "/etc/docker/daemon.json"


@pytest.fixture(scope="module")
def without_proxy(on_host: Callable[..., str], hosts: list[str]) -> Iterator[str]:
    """A host whose engine is told to do without its userland proxy; as it was again after."""
    host = hosts[1]
    on_host(host, f"mkdir -p /etc/docker; echo '{{\"userland-proxy\": false}}' >{SETTINGS}")
    try:
        on_host(host, RESTART)
        yield host
    finally:
        on_host(host, f"rm -f {SETTINGS}")
        on_host(host, RESTART)


@pytest.fixture(scope="module")
def stored(
    without_proxy: str,
    lab_inventory: Path,
    netbench: Callable[..., Ended],
    tmp_path_factory: pytest.TempPathFactory,
) -> StoredRun:
    out = tmp_path_factory.mktemp("results")
    done = netbench("run", "-i", lab_inventory, *WORDS, "--out", out, "--name", "p")
    assert done.code == 0 or STALE in done.err, done.err
    return load(out / "p")


def test_each_engines_way_of_publishing_is_recorded(stored: StoredRun, without_proxy: str) -> None:
    told = {host.name: host.publishing for host in stored.info.hosts if host.publishing}
    assert told.pop(without_proxy) == "kernel"
    assert told
    assert set(told.values()) == {"docker-proxy"}


def test_every_published_port_is_measured_on_its_path_either_way(
    stored: StoredRun, without_proxy: str
) -> None:
    shut = []
    for trial in stored.trials:
        if trial.status is Status.SKIPPED:
            shut.append((trial.cell.driver, trial.cell.placement, trial.pair.server))
        # A tool may give up on a machine that is busy otherwise, but no other path is missing.
        assert not trial.reason.startswith("path not taken"), (trial.cell, trial.reason)
        assert trial.unattested == "", trial.cell
    # Translated by the kernel, what comes from a neighbour on docker_gwbridge leaves by it again,
    # and that bridge is made with icc=false.
    assert shut == [("overlay", Placement.SAME_HOST, without_proxy)]


def test_paths_pictures_and_report_say_which_it_is(
    stored: StoredRun, without_proxy: str, netbench: Callable[..., Ended], tmp_path: Path
) -> None:
    # A user-defined bridge's packets come by the bridge; an overlay's by the gateway bridge.
    ways = [
        (one.host == without_proxy, one.route) for one in stored.info.paths if "DNAT" in one.route
    ]
    assert {here for here, _ in ways} == {True, False}
    for here, route in ways:
        assert ("docker-proxy beside it" in route) is not here, route
    report = netbench("report", stored.path, "--out", tmp_path)
    assert report.code == 0, report.err
    (page,) = tmp_path.glob("*.md")
    rows = [line for line in page.read_text().splitlines() if f"| {without_proxy} |" in line]
    assert any("kernel alone (userland-proxy off)" in row for row in rows), rows
    for one in stored.info.pictures:
        if (one.driver, one.placement) != ("bridge", Placement.SAME_HOST):
            continue
        crossed = {hop.crossing for hop in one.hops} & {Crossing.NAT, Crossing.PROXY}
        here = one.pair.server == without_proxy
        assert crossed == {Crossing.NAT if here else Crossing.PROXY}, one
