"""Leaving a swarm for good: what an engine goes on with after it has left, on hosts in memory."""

import time
from collections.abc import Mapping

import pytest

from bench import cleanup, ingress, labels
from bench.errors import EngineError, HostError, RemoteTimeout
from bench.model import Host
from bench.remote.api import Completed, Labelled
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet
from bench.swarm import GATEWAY, form

RUN = "20260101-000000-abcdef"
LISTENING = ("ss", "-Hltn", "sport", "=", ":7946")


class Late(FakeMachine):
    """A host whose engine still has ingress when it has left the swarm.

    It is asked ``looks`` times until it goes on. Then it attaches ingress to a gateway, its own if
    there is none, and takes it away again, as Docker does. Where it is ``stuck``, that happens only
    when it is in a swarm again, whose ingress it gets instead.
    """

    looks = 0
    stuck = False
    inits = 0
    ingress = ""

    def swarm_init(self, address: str, labels: Mapping[str, str]) -> None:
        super().swarm_init(address, labels)
        self.inits += 1
        if self.ingress and self.stuck:
            self.stuck = False
            self.looks = 2

    def swarm_leave(self) -> None:
        super().swarm_leave()
        self.ingress = "" if self.ingress.startswith("new") else "old"

    def network_names(self) -> frozenset[str]:
        return frozenset(self.network_ids())

    def network_ids(self) -> Mapping[str, str]:
        if self.ingress == "old" and not self.stuck:
            self.looks -= 1
            if self.looks < 0:
                self.ingress = "new" if self.swarm else ""
                if GATEWAY not in super().network_names():
                    self.own["foreign"] = Labelled("network", "foreign", GATEWAY, {})
        found = dict(super().network_ids())
        return found | {"ingress": self.ingress} if self.ingress else found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    for module, name in ((cleanup, "POLL"), (ingress, "POLL"), (ingress, "GRACE")):
        monkeypatch.setattr(module, name, 0.001)
    monkeypatch.setattr(ingress, "STEADY", 0.001)
    made = FakeWorld(lambda *_: Completed(0, b"", b""))
    for number, name in enumerate(("a", "b", "c"), start=1):
        made.machines[name] = Late(Host(name, f"198.18.0.{number}"), made)
    return made


def late(world: FakeWorld, name: str) -> Late:
    machine = world.machines[name]
    assert isinstance(machine, Late)
    return machine


def formed(world: FakeWorld) -> Fleet:
    fleet = Fleet(world.machines)
    form(fleet, {name: m.host.address for name, m in world.machines.items()}, RUN)
    return fleet


def held(world: FakeWorld) -> Mapping[str, list[str]]:
    return {
        name: [thing.name for thing in machine.own.values()]
        for name, machine in world.machines.items()
        if machine.own or machine.swarm
    }


def test_the_gateway_stays_until_the_engine_is_done_with_ingress(world: FakeWorld) -> None:
    fleet = formed(world)
    late(world, "b").looks = 2
    assert cleanup.clean(fleet, RUN).outstanding == ()
    assert (late(world, "b").looks, late(world, "b").inits) == (-1, 0)
    assert held(world) == {}


def test_an_engine_that_waits_for_a_swarm_gets_one_for_a_moment(world: FakeWorld) -> None:
    fleet = formed(world)
    late(world, "b").stuck = True
    assert cleanup.clean(fleet, RUN).outstanding == ()
    assert {name: late(world, name).inits for name in "abc"} == {"a": 1, "b": 1, "c": 0}
    assert held(world) == {}


def test_an_engine_that_stays_busy_is_named_and_a_later_clean_finds_its_gateway(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = formed(world)
    late(world, "c").stuck = True
    with monkeypatch.context() as impatient:
        impatient.setattr(ingress, "GONE_WITHIN", 0.0)
        told = cleanup.clean(fleet, RUN).outstanding
    assert len(told) == 2
    assert told[0].startswith("c: its engine is still busy with the network ingress")
    assert "netbench clean" in told[0]
    assert told[1] == f"c: network {GATEWAY} is still there"
    assert held(world) == {"c": [GATEWAY]}

    assert cleanup.clean(fleet).outstanding == ()
    assert held(world) == {}


def test_an_ingress_that_is_not_ours_is_left_alone(world: FakeWorld) -> None:
    late(world, "a").swarm_init("198.18.0.1", {})
    late(world, "a").ingress = "theirs"
    left_by_others = late(world, "b")
    left_by_others.ingress, left_by_others.stuck = "old", True
    left_by_others.own["theirs"] = Labelled("network", "theirs", GATEWAY, {})
    assert cleanup.clean(Fleet(world.machines)).outstanding == ()
    assert (late(world, "a").inits, left_by_others.inits) == (1, 0)
    assert held(world) == {"a": [], "b": [GATEWAY]}


def test_who_takes_the_host_meanwhile_keeps_it(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = formed(world)
    host = late(world, "b")
    host.stuck = True

    def others(_address: str, _labels: Mapping[str, str]) -> None:
        FakeMachine.swarm_init(host, "198.18.0.2", {})
        raise EngineError("b", "This node is already part of a swarm")

    monkeypatch.setattr(host, "swarm_init", others)
    assert cleanup.clean(fleet, RUN).outstanding == ()
    assert host.swarm is not None


@pytest.mark.parametrize("kind", [EngineError, RemoteTimeout])
def test_a_short_swarm_that_fails_is_told_and_not_left_behind(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch, kind: type[HostError]
) -> None:
    fleet = formed(world)
    host = late(world, "b")
    host.stuck = True

    def half(address: str, _labels: Mapping[str, str]) -> None:
        FakeMachine.swarm_init(host, address, {})
        raise kind("b", "the engine ran out of something")

    monkeypatch.setattr(host, "swarm_init", half)
    told = cleanup.clean(fleet, RUN).outstanding
    assert told[0] == "b: the engine ran out of something"
    assert told[1].startswith("b: its engine is still busy with the network ingress")
    assert host.swarm is None
    assert held(world) == {"b": [GATEWAY]}


def test_a_gateway_that_was_there_before_stays(world: FakeWorld) -> None:
    theirs = Labelled("network", "theirs", GATEWAY, {})
    late(world, "b").own["theirs"] = theirs
    fleet = formed(world)
    late(world, "b").looks = 3
    assert cleanup.clean(fleet, RUN).outstanding == ()
    assert late(world, "b").looks < 0
    assert held(world) == {"b": [GATEWAY]}


def test_hosts_leave_one_by_one_managers_last_and_not_before_their_networks_are_gone(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = formed(world)
    told: list[str] = []
    for name in "abc":
        host = late(world, name)

        def leave(host: Late = host, name: str = name) -> None:
            assert (told or ["left"])[-1].startswith("left")
            told.append(f"leaving {name}")
            time.sleep(0.01)
            Late.swarm_leave(host)
            told.append(f"left {name}")

        monkeypatch.setattr(host, "swarm_leave", leave)
    host = late(world, "c")
    lasting = Labelled("network", "n", "netbench-overlay", labels.of_run(RUN), "swarm")
    looks = iter((True,) * 30)

    def labelled(label: str) -> tuple[Labelled, ...]:
        # It goes by itself, after some looks; only the manager can remove it.
        found = Late.labelled(host, label)
        if host.swarm is None or told or not next(looks, False):
            return found
        return (*found, lasting)

    monkeypatch.setattr(host, "labelled", labelled)
    assert cleanup.clean(fleet, RUN).removed["swarm membership"] == 3
    assert told == [f"{how} {name}" for name in "bca" for how in ("leaving", "left")]
    assert not next(looks, False)


def test_gossip_that_the_engine_did_not_end_is_named(world: FakeWorld) -> None:
    fleet = formed(world)
    for machine in world.machines.values():
        machine.commands[LISTENING] = ""
    world.machines["b"].commands[LISTENING] = "LISTEN 0 4096 198.18.0.2:7946 0.0.0.0:*\n"
    (told,) = cleanup.clean(fleet, RUN).outstanding
    assert told.startswith("b: its engine still listens on TCP 7946")
    assert "restart Docker" in told
    # It is said of hosts that have just been made to leave, and of no others.
    assert cleanup.clean(fleet).outstanding == ()
