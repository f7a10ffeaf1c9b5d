"""Choosing addresses and MTU for a run's networks; values as people read them."""

from ipaddress import IPv4Network
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import drivers, tasks
from bench.deployment import SERVER, Place
from bench.drivers.base import SiteHost
from bench.errors import DeployError
from bench.model import HostFacts
from bench.remote.api import Task
from bench.site import choose_site
from bench.units import human

MACVLAN = "198.19.0.0/16"


def facts(name: str, mtu: int) -> HostFacts:
    return HostFacts(name, "os", "6.1", "28.0", "x86_64", 2, 1, "10.0.0.1", "eth0", mtu)


def nets(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(text) for text in texts)


def test_the_smallest_mtu_decides() -> None:
    site = choose_site([facts("a", 9001), facts("b", 1460)], {}, MACVLAN)
    assert site.mtu == 1460
    for name in ("overlay", "bridge"):
        spec = drivers.known()[name].network(site)
        assert spec is not None
        assert spec.options["com.docker.network.driver.mtu"] == "1460"


@given(
    st.lists(
        st.builds(
            lambda number, length: IPv4Network((number, length), strict=False),
            st.integers(10 << 24, (11 << 24) - 1) | st.just((172 << 24) + (16 << 16)),
            st.integers(8, 30),
        ),
        max_size=6,
    )
)
def test_the_overlay_never_overlaps_what_the_hosts_use(taken: list[IPv4Network]) -> None:
    site = choose_site([facts("a", 1500)], {"a": tuple(taken)}, MACVLAN)
    assert not any(site.overlay_subnet.overlaps(network) for network in taken)


def test_hosts_that_use_every_private_address_leave_none_for_the_overlay() -> None:
    with pytest.raises(DeployError, match="no two /24 are free"):
        choose_site(
            [facts("a", 1500)],
            {"a": nets("10.0.0.0/8", "172.16.0.0/12"), "b": nets("192.168.0.0/16")},
            MACVLAN,
        )


def test_a_default_route_does_not_take_everything() -> None:
    site = choose_site([facts("a", 1500)], {"a": nets("0.0.0.0/0")}, MACVLAN)
    assert drivers.known()["macvlan"].refusal(site) == ""


def test_macvlan_refuses_a_subnet_that_a_host_uses_and_names_the_host() -> None:
    site = choose_site([facts("a", 1500)], {"a": (), "b": nets("198.19.4.0/24")}, MACVLAN)
    refusal = drivers.known()["macvlan"].refusal(site)
    assert "198.19.0.0/16 overlaps 198.19.4.0/24, which b uses" in refusal
    assert drivers.known()["overlay"].refusal(site) == ""


def test_every_host_numbers_macvlan_from_a_range_of_its_own() -> None:
    site = choose_site([facts("a", 1500)], {}, MACVLAN)
    ranges = []
    for index in range(20):
        spec = drivers.known()["macvlan"].host_network(site, SiteHost(index, "h", "eth1"))
        assert spec is not None
        assert spec.config_only
        assert spec.options == {"parent": "eth1"}
        ranges.append(IPv4Network(spec.ip_range or ""))
    assert len(set(ranges)) == len(ranges)
    assert all(one.subnet_of(site.macvlan_subnet) for one in ranges)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (9.414e9, "bit/s", "9.41 Gbit/s"),
        (94.14e6, "bit/s", "94.1 Mbit/s"),
        (0.000183, "s", "183 µs"),
        (0.0021, "s", "2.10 ms"),
        (12345.0, "1/s", "12.3 k/s"),
        (7.0, "segments", "7 segments"),
        (0.0, "bit/s", "0 bit/s"),
    ],
)
def test_values_read_well(value: float, unit: str, text: str) -> None:
    assert human(value, unit) == text


class SlowSwarm:
    """A manager of whose tasks one is ready every ``step`` seconds of the test's own clock."""

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def tasks(self, _selector: str) -> tuple[Task, ...]:
        ready = int(self.now / self.step)
        return tuple(
            Task(name, "running" if number < ready else "starting", "", "n", name, {})
            for number, name in enumerate(("one", "two", "three"))
        )


@pytest.mark.parametrize(("step", "seconds", "lost"), [(50, 150, False), (70, 60, True)])
def test_tasks_are_waited_for_while_they_get_on(
    monkeypatch: pytest.MonkeyPatch, step: float, seconds: float, *, lost: bool
) -> None:
    swarm = SlowSwarm(step)
    monkeypatch.setattr(tasks, "time", swarm)
    unavailable: dict[str, str] = {}
    places = {name: Place("host", SERVER, name) for name in ("one", "two", "three")}
    running = tasks.await_tasks(cast("Any", swarm), "r", places, unavailable)
    assert bool(running) is not lost
    assert seconds <= swarm.now < seconds + 2
    if lost:
        assert "the server's task does not run (starting)" in unavailable["host"]


class RefusingSwarm(SlowSwarm):
    """One driver's task is refused and made anew without end, while another's stays as it is."""

    def tasks(self, _selector: str) -> tuple[Task, ...]:
        attempt = int(self.now / self.step)
        return (
            Task("one", "running", "", "n", "one", {}),
            Task("two", "rejected", "no macvlan", "n", "", {}, f"two{attempt}"),
            Task("three", "preparing", "", "n", "three", {}),
        )


def test_a_task_that_is_given_up_is_no_reason_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = RefusingSwarm(5.0)
    monkeypatch.setattr(tasks, "time", swarm)
    unavailable: dict[str, str] = {}
    places = {
        name: Place(driver, SERVER, name)
        for name, driver in (("one", "host"), ("two", "macvlan"), ("three", "overlay"))
    }
    running = tasks.await_tasks(cast("Any", swarm), "r", places, unavailable)
    assert [place.driver for place in running] == ["host"]
    assert "no macvlan" in unavailable["macvlan"]
    assert "preparing" in unavailable["overlay"]
    assert swarm.now < 200
