"""Which CPUs the ends are held to, and what a run does where an engine will not hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import EngineError, HostUnreachable, UsageError
from bench.holding import Holder
from bench.model import Access, Cell, HostPair, Placement
from bench.pinning import Policy, cpus, every, listing, parse, refuse
from bench.remote.api import Task
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet

SAME = Cell("overlay", Access.DIRECT, Placement.SAME_HOST, "iperf3-tcp")
CROSS = Cell("overlay", Access.DIRECT, Placement.CROSS_HOST, "iperf3-tcp")
PAIR = HostPair("a", "b")


def test_policies() -> None:
    assert parse("auto") == Policy(auto=True)
    assert parse("off") == Policy()
    assert parse("0:1") == Policy(client=(0,), server=(1,))
    assert parse("0-3:4-7,9") == Policy(client=(0, 1, 2, 3), server=(4, 5, 6, 7, 9))
    assert parse("3,1,1-2:0").client == (1, 2, 3)


@pytest.mark.parametrize(
    "text",
    ["", ":", "0", "0:", ":1", "0:1:2", "a:b", "AUTO", "0-:1", "-1:0", "3-1:0", "0,:1", "0 :1"],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--pin"):
        parse(text)


@pytest.mark.parametrize("text", ["99999:1", "8192:0", "0:0-8192", "0x1:1", "\u0663:1", "0--1:1"])
def test_what_is_no_number_of_a_cpu_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no list of CPUs"):
        parse(text)


@given(st.sets(st.integers(0, 8191), min_size=1, max_size=20))
def test_a_listing_reads_back(numbers: set[int]) -> None:
    text = listing(sorted(numbers))
    assert parse(f"{text}:0").client == tuple(sorted(numbers))


def test_cpus_that_a_host_lacks_are_refused_by_name() -> None:
    policy = parse("0-1:2-5")
    refuse(policy, {"a": 6})
    with pytest.raises(UsageError, match=r"b: --pin names CPU 4-5, and the host has CPUs 0 to 3"):
        refuse(policy, {"a": 6, "b": 4})
    with pytest.raises(UsageError, match="CPU 0 alone"):
        refuse(parse("0:1"), {"a": 1})
    refuse(parse("auto"), {"a": 1})
    refuse(parse("off"), {"a": 1})


@pytest.mark.parametrize(
    ("cell", "count", "shared", "expected"),
    [
        (SAME, 2, False, ("1", "0")),
        (SAME, 8, False, ("4-7", "0-3")),
        (SAME, 5, False, ("2-4", "0-1")),
        (SAME, 1, False, ("", "")),
        (CROSS, 8, False, ("", "")),
        (CROSS, 8, True, ("4-7", "0-3")),
        (CROSS, 1, True, ("", "")),
    ],
)
def test_auto_keeps_the_ends_apart_where_they_share_processors(
    cell: Cell, count: int, *, shared: bool, expected: tuple[str, str]
) -> None:
    found = cpus(parse("auto"), cell, PAIR, {"a": count, "b": count}, shared_kernel=shared)
    assert found == expected


def test_auto_goes_by_the_host_that_runs_both() -> None:
    assert cpus(parse("auto"), SAME, PAIR, {"a": 2, "b": 4}, shared_kernel=False) == ("2-3", "0-1")


@given(st.integers(2, 300))
def test_auto_leaves_no_cpu_out_and_gives_none_twice(count: int) -> None:
    client, server = cpus(parse("auto"), SAME, PAIR, {"a": 1, "b": count}, shared_kernel=False)
    policy = parse(f"{client}:{server}")
    assert sorted((*policy.client, *policy.server)) == list(range(count))


@pytest.mark.parametrize("cell", [SAME, CROSS])
@pytest.mark.parametrize("shared", [True, False])
def test_explicit_cpus_and_off_hold_everywhere(cell: Cell, *, shared: bool) -> None:
    counts = {"a": 8, "b": 8}
    assert cpus(parse("0-1:2,4"), cell, PAIR, counts, shared_kernel=shared) == ("0-1", "2,4")
    assert cpus(parse("off"), cell, PAIR, counts, shared_kernel=shared) == ("", "")


def test_every_cpu() -> None:
    assert every(1) == "0"
    assert every(64) == "0-63"


class Bench:
    """Two hosts in memory and what their engines were asked."""

    def __init__(self, policy: str, cpus: int = 2) -> None:
        self.world = FakeWorld(lambda *_: pytest.fail("no tool is run"))
        for name in ("a", "b"):
            self.world.host(name).cpus = cpus
        self.notes: list[str] = []
        self.holder = Holder(
            Fleet(self.world.machines),
            parse(policy),
            {"a": 2, "b": 2},
            shared_kernel=False,
            note=self.notes.append,
        )

    def hold(self, cell: Cell, suffix: str = "") -> tuple[str, str]:
        client = task(f"client-{cell.placement}{suffix}")
        return self.holder.hold(cell, PAIR, client, task("server"))

    def pinned(self, host: str) -> dict[str, str]:
        return self.world.machines[host].pinned


def task(container: str) -> Task:
    return Task("s", "running", "", "n", container, {})


def test_containers_are_held_and_let_go_where_that_changes() -> None:
    bench = Bench("auto")
    assert bench.hold(CROSS) == ("", "")
    assert bench.pinned("a") == bench.pinned("b") == {}
    assert bench.hold(SAME) == ("1", "0")
    assert bench.pinned("b") == {"client-same-host": "1", "server": "0"}
    bench.pinned("b").clear()
    assert bench.hold(SAME) == ("1", "0")
    assert bench.pinned("b") == {}
    # The server's container serves both placements: across hosts it gets all of its CPUs back.
    assert bench.hold(CROSS) == ("", "")
    assert bench.pinned("b") == {"server": "0-1"}


def test_a_new_container_is_held_too() -> None:
    bench = Bench("0:1")
    bench.hold(SAME)
    assert bench.hold(SAME, "-replaced") == ("0", "1")
    assert bench.pinned("b")["client-same-host-replaced"] == "0"


def test_an_engine_that_will_not_hold_is_noted_once_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeMachine, "pid", lambda *_: 1000)
    bench = Bench("0:1", cpus=1)
    assert bench.hold(SAME) == ("0", "")
    assert bench.hold(SAME) == ("0", "")
    assert bench.notes == ["not pinned: b: Requested CPUs are not available: 1"]


def test_a_container_that_is_gone_fails_its_trial_and_the_host_is_pinned_on() -> None:
    bench = Bench("0:1", cpus=1)
    with pytest.raises(EngineError, match="b: No such container: server"):
        bench.hold(SAME)
    bench.world.machines["b"].cpus = 2
    assert bench.hold(SAME, "-replaced") == ("0", "1")
    assert bench.notes == []


def test_a_lost_host_is_no_matter_of_pinning() -> None:
    bench = Bench("0:1")
    bench.world.machines["b"].lost = True
    with pytest.raises(HostUnreachable):
        bench.hold(SAME)
