"""Scenarios on hosts in memory: what is tried, what has to come back, and how they end."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench import images, scenarios
from bench.cli.scenario import command
from bench.model import Placement
from bench.remote import fleet
from bench.remote.api import Completed
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet
from bench.store import load
from bench.toolbox.build import Archive
from tests.unit.test_runner import answering, is_clean, working

INVENTORY = """
all:
  hosts:
    a: {ansible_host: 198.18.0.1}
    b: {ansible_host: 198.18.0.2}
    c: {ansible_host: 198.18.0.3}
"""
QUICK = ("--workloads", "iperf3-tcp", "--blocks", "1", "--duration", "1")


def addressed(machine: FakeMachine, name: str) -> str:
    """What a name or an address stands for in the fake world, whose containers have their names."""
    for other in machine.world.machines.values():
        swarm = other.swarm
        for number, spec in enumerate(swarm.services.values() if swarm else (), start=2):
            if name.startswith(f"{spec.name}.1.") or name == spec.name:
                return f"10.77.0.{number}"
    return name


def alive(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
    """Tools on networks on which names work, and containers of bridges are not reached from
    outside."""
    if argv[0] == "getent":
        return Completed(0, f"{addressed(machine, argv[2])} STREAM {argv[2]}\n".encode(), b"")
    if argv[0] == "netbench-probe":
        address = addressed(machine, argv[1])
        if address.startswith("10.77.") and "-host-" in container:
            return Completed(1, b"", b"netbench-probe: no answer")
        return Completed(0, answering(machine, address, int(argv[2])), b"")
    return working(machine, container, argv)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeWorld:
    path = tmp_path / "image"
    path.write_text("sha256:toolbox")
    archive = Archive(path, "sha256:toolbox", "netbench-toolbox:x", {}, "amd64")
    monkeypatch.setattr(images, "ensure_archive", lambda _progress: archive)
    made = FakeWorld(alive)
    for name in "abc":
        made.host(name)
    monkeypatch.setattr(
        fleet,
        "connect",
        lambda hosts, **_: Fleet({one.name: made.machines[one.name] for one in hosts}),
    )
    return made


@pytest.fixture
def go(world: FakeWorld, tmp_path: Path) -> Callable[..., Result]:
    (tmp_path / "x.yaml").write_text(INVENTORY)
    common = ("-i", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "out"), "--name", "s")
    return lambda *words: CliRunner().invoke(command, [*words, *common])


@pytest.mark.parametrize("name", scenarios.known())
def test_each_scenario_tells_tries_measures_and_takes_down(
    name: str, go: Callable[..., Result], world: FakeWorld, tmp_path: Path
) -> None:
    done = go(name, *QUICK)
    assert done.exit_code == 0, done.output
    for word in ("built:", "network netbench-", "service netbench-", "tried:", "all of it"):
        assert word in done.output
    assert "FAIL" not in done.output
    assert is_clean(world)
    run = load(tmp_path / "out" / "s")
    scenario = scenarios.known()[name]
    assert {trial.cell.driver for trial in run.trials} == {"host", *scenario.drivers}
    kept = (tmp_path / "out" / "s" / "scenario.txt").read_text()
    assert kept.splitlines()[0].startswith(f"{name}: {scenario.title}")
    assert len(run.info.plan.hosts) == (scenario.hosts or 3)
    if Placement.CROSS_HOST in scenario.placements:
        assert scenario.least > 1


def test_a_name_that_is_not_found_fails_the_scenario(
    go: Callable[..., Result], world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.scenarios import _tour

    monkeypatch.setattr(_tour, "SETTLED_WITHIN", 0.0)
    world.tool = lambda machine, container, argv: (
        Completed(2, b"", b"") if argv[0] == "getent" else alive(machine, container, argv)
    )
    done = go("overlay", *QUICK)
    assert done.exit_code == 1
    assert "FAIL a: the service on b: look up netbench-" in done.output
    assert "came back as it should: 9 of 18 attempts" in done.output
    assert is_clean(world)


def test_a_container_that_is_reached_past_its_mapping_fails_the_scenario(
    go: Callable[..., Result], world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.scenarios import _tour

    monkeypatch.setattr(_tour, "SETTLED_WITHIN", 0.0)
    world.tool = lambda machine, container, argv: alive(
        machine, container.replace("-host-", "-"), argv
    )
    done = go("publish", *QUICK)
    assert done.exit_code == 1
    assert "came back, and must not" in done.output


def test_a_host_lost_on_the_way_ends_the_scenario_and_the_others_are_cleaned(
    go: Callable[..., Result], world: FakeWorld
) -> None:
    def dies(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "getent":
            world.machines["b"].lost = True
        return alive(machine, container, argv)

    world.tool = dies
    done = go("overlay", *QUICK)
    assert done.exit_code == 1
    assert "b: the connection was lost" in done.output
    assert "taken down: all but b: " in done.output
    assert not world.machines["a"].own
    assert not world.machines["c"].own


def test_an_interrupt_on_the_way_is_told_and_leaves_nothing(
    go: Callable[..., Result], world: FakeWorld
) -> None:
    def interrupted(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "getent":
            raise KeyboardInterrupt
        return alive(machine, container, argv)

    world.tool = interrupted
    assert go("direct", *QUICK).exit_code in (1, 130)
    assert is_clean(world)


def test_too_few_hosts_and_unknown_names_are_refused(
    go: Callable[..., Result], tmp_path: Path
) -> None:
    from bench.errors import UsageError

    done = go("publishh")
    assert isinstance(done.exception, UsageError)
    assert "known are: direct, overlay, publish" in str(done.exception)
    (tmp_path / "x.yaml").write_text("all:\n  hosts:\n    a: {ansible_host: 198.18.0.1}\n")
    done = go("publish")
    assert isinstance(done.exception, UsageError)
    assert "needs 2 hosts and the inventory has 1" in str(done.exception)


def test_what_is_wanted_is_a_whole_word(world: FakeWorld) -> None:
    from bench.deployment import Place
    from bench.scenarios._tour import _judged
    from bench.scenarios.base import Attempt

    attempt = Attempt("look up x", Place("bridge", "client", "a"), ("getent",), "10.0.0.1")
    assert not _judged(attempt, Completed(0, b"10.0.0.11 STREAM x", b"")).good
    assert _judged(attempt, Completed(0, b"10.0.0.1 STREAM x", b"")).good
    assert not _judged(attempt, Completed(1, b"10.0.0.1 STREAM x", b"late")).good
    assert not _judged(replace(attempt, never=True), Completed(0, b"10.0.0.1", b"")).good
