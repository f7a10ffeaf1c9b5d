"""What `netbench check` makes of hosts that answer from tables."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import click.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import drivers
from bench.capability import Capability
from bench.cli.check import command
from bench.errors import EngineError, HostError, HostUnreachable, NetbenchError, UsageError
from bench.facts import Report, check, port_probe
from bench.facts.kernel import KERNEL
from bench.facts.pairs import sizes
from bench.facts.preflight import clock_skew, ports_of
from bench.facts.verdict import judge_path
from bench.model import Access, Host, Inventory
from bench.remote.api import Completed, EngineFacts, SwarmState
from bench.remote.fleet import Fleet

GOLDEN = Path(__file__).parents[1] / "golden" / "facts"
GIB = 1024**3
ENGINE = EngineFacts(
    version="26.1.5+dfsg1",
    kernel="6.12.43+deb13-cloud-amd64",
    os="Debian GNU/Linux 13 (trixie)",
    architecture="x86_64",
    cpus=2,
    memory=4 * GIB,
    storage_driver="overlay2",
    data_root="/var/lib/docker",
    swarm=SwarmState("inactive"),
)
# What does not get through: source, target, protocol, port -> what the sender hears of it.
Shut = Mapping[tuple[str, str, str, int], str]


@dataclass
class Machine:
    """One host; ``world`` are all of them, ``shut`` what does not get through between them."""

    name: str
    world: "World"
    address: str
    engine_facts: EngineFacts = ENGINE
    engine_fault: NetbenchError | None = None
    mtu: int = 1500
    user: int = 0
    sudo: bool = False
    free: int = 80 * GIB
    ahead: float = 0.0
    python: bool = True
    kernel: str = "".join(f"{one} yes it was tried\n" for one in Capability)
    lost_at: str = ""
    in_use: Mapping[tuple[str, int], str] = field(default_factory=dict)
    swarm_label: Mapping[str, str] = field(default_factory=dict)
    commands: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return Host(self.name, self.address)

    @property
    def shell(self) -> "Machine":
        return self

    @property
    def engine(self) -> "Machine":
        return self

    def facts(self) -> EngineFacts:
        if self.engine_fault:
            raise self.engine_fault
        return self.engine_facts

    def swarm_labels(self) -> Mapping[str, str]:
        return self.swarm_label

    def close(self) -> None: ...

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        self.commands.append(tuple(argv))
        line = " ".join(argv)
        if self.lost_at and line.startswith(self.lost_at):
            raise HostUnreachable(self.name, "the connection was lost", "see if it is up")
        answers: dict[str, Callable[[], str | Completed]] = {
            "ip -j addr show": self._addresses,
            "ip -j route show": lambda: "[]",
            "printenv SSH_CONNECTION": lambda: Completed(1, b"", b""),
            "date +%s.%N": lambda: f"{self.world.clock.now + self.ahead:.9f}\n",
            "id -u": lambda: f"{self.user}\n",
            " ".join(KERNEL.argv): lambda: self.kernel,
            "sudo -n true": lambda: Completed(0 if self.sudo else 1, b"", b""),
            "env LC_ALL=C df -B1 --output=avail /var/lib/docker": lambda: f"Avail\n{self.free}\n",
        }
        if argv[:2] == ("python3", "-"):
            assert b"def listen" in stdin
            answer: str | Completed = self._probe(argv[2], json.loads(argv[3]))
        else:
            answer = answers[line]()
        return Completed(0, answer.encode(), b"") if isinstance(answer, str) else answer

    def _addresses(self) -> str:
        own = {"family": "inet", "local": self.address, "prefixlen": 24}
        return json.dumps([{"ifname": "eth0", "mtu": self.mtu, "addr_info": [own]}])

    def _probe(self, mode: str, config: dict[str, Any]) -> str | Completed:
        if not self.python:
            return Completed(127, b"", b"sh: 1: python3: not found\n")
        if mode == "listen":
            assert config["address"] == self.address
            states = {
                protocol: {
                    port: self.in_use.get((protocol, port), "listening")
                    for port in config[protocol]
                }
                for protocol in ("tcp", "udp")
            }
            return json.dumps(states)
        if mode == "collect":
            return json.dumps({"heard": self.world.heard[self.name]})
        tries: dict[str, list[Any]] = {"tcp": [], "udp": [], "ping": []}
        for target in config["targets"]:
            other = self.world.at(target["address"])
            for protocol in ("tcp", "udp"):
                for port in target[protocol]:
                    key = (self.name, other.name, protocol, port)
                    heard = self.world.shut.get(key, "open" if protocol == "tcp" else "sent")
                    outcome, _, detail = heard.partition(": ")
                    tries[protocol].append([target["to"], port, outcome, detail])
                    unseen = "needs root" in other.in_use.get((protocol, port), "")
                    if protocol == "udp" and key not in self.world.shut and not unseen:
                        self.world.heard[other.name].append([config["from"], port])
            for size in target["sizes"]:
                passes = size <= min(self.mtu, other.mtu, self.world.path_mtu)
                text = self.world.ping_says or "1 packets transmitted"
                tries["ping"].append([target["to"], size, 0 if passes else 1, text])
        return json.dumps(tries)


class Clock:
    """Time that passes only by a trip to a host."""

    now = 1_795_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class World:
    """Three hosts between which everything gets through."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.shut: dict[tuple[str, str, str, int], str] = {}
        self.path_mtu = 65535
        self.ping_says = ""
        self.unreachable: dict[str, NetbenchError] = {}
        self.machines = {
            name: Machine(name, self, f"198.18.0.{number}")
            for number, name in enumerate(("a", "b", "c"), 1)
        }
        self.heard: dict[str, list[list[int]]] = {name: [] for name in self.machines}

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def at(self, address: str) -> Machine:
        return next(one for one in self.machines.values() if one.address == address)

    @property
    def inventory(self) -> Inventory:
        return Inventory(Path("hosts.yaml"), tuple(one.host for one in self.machines.values()))

    def reach(self, _: object) -> Fleet:
        up: dict[str, Any] = {
            name: one for name, one in self.machines.items() if name not in self.unreachable
        }
        return Fleet(up, self.unreachable, list(self.machines))

    def check(self) -> Report:
        return check(self.inventory, self.reach)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr("bench.facts.preflight.time", world.clock)
    return world


def lines(report: Report) -> list[str]:
    return [str(problem) for problem in report.problems]


def test_nothing_is_wrong(world: World) -> None:
    report = world.check()
    assert (report.ok, report.problems) == (True, ())
    assert [one.name for one in report.hosts] == ["a", "b", "c"]
    for one in report.hosts:
        assert one.reachable
        assert (one.engine, one.kernel) == (ENGINE.version, ENGINE.kernel)
        assert (one.privileges, one.swarm, one.ports) == ("root", "none", "ok")
        assert (one.data_interface, one.data_mtu) == ("eth0", 1500)
        assert (one.disk_free, one.clock_skew) == (80 * GIB, 0.0)
    ports = ports_of(world.inventory)
    assert {*ports.tcp} >= {2377, 7946, 15201, 15280}
    assert ports.udp == (7946, 4789, 15203, 15211, 15295, 15303, 15311, 15395)
    assert len(report.ports) == 6 * (len(ports.tcp) + len(ports.udp))
    assert {one.outcome for one in report.ports} == {"open"}
    assert {(one.outcome, one.largest) for one in report.paths} == {("open", 1500)}


def test_what_is_asked_for_decides_which_ports_are_tried(world: World) -> None:
    overlay = drivers.chosen(("overlay",))
    assert {15301, 15501} & {*ports_of(world.inventory, overlay).tcp} == set()
    on_host = ports_of(world.inventory, overlay, (Access.PUBLISHED_HOST_PLAIN,))
    assert {15501, 15580} <= {*on_host.tcp}
    mesh = ports_of(world.inventory, overlay, (Access.PUBLISHED_INGRESS,))
    assert {16201, 16280, 16301, 16380, 16401, 16480} <= {*mesh.tcp}
    assert 16501 not in mesh.tcp
    world.shut["a", "b", "tcp", 16280] = "blocked"
    assert world.check().ok
    asked = check(
        world.inventory, world.reach, chosen=overlay, accesses=(Access.PUBLISHED_INGRESS,)
    )
    assert lines(asked) == [
        "a -> b: TCP 16280 blocked; open it in b's firewall and in the cloud's security group"
    ]


def test_networks_of_the_hosts_own_that_leave_no_room_are_named(world: World) -> None:
    crossing = replace(world.inventory, macvlan_subnet="198.18.0.0/15")
    report = check(crossing, world.reach)
    assert report.ok
    assert [(one.where, one.warning) for one in report.problems] == [("macvlan", True)]
    assert "netbench_macvlan_subnet 198.18.0.0/15 overlaps " in lines(report)[0]
    assert lines(check(crossing, world.reach, chosen=drivers.chosen(("overlay",)))) == []


def test_one_port_in_one_direction(world: World) -> None:
    world.shut["b", "c", "udp", 4789] = "sent"
    report = world.check()
    assert not report.ok
    assert lines(report) == [
        "b -> c: UDP 4789 blocked; open it in c's firewall and in the cloud's security group"
    ]
    assert [one.ports for one in report.hosts] == ["ok", "ok", "UDP 4789 blocked"]


def test_sources_and_ports_of_one_kind_share_a_line(world: World) -> None:
    for source, port in itertools.product("ab", (7946, 15201)):
        world.shut[source, "c", "tcp", port] = "refused"
    world.shut["a", "c", "udp", 4789] = "blocked: Operation not permitted"
    report = world.check()
    assert [(one.where, one.what) for one in report.problems] == [
        ("a, b -> c", "TCP 7946, 15201 refused"),
        ("a -> c", "UDP 4789 blocked (Operation not permitted)"),
    ]
    assert "a's own firewall" in report.problems[1].hint
    assert report.hosts[2].ports == "3 ports refused or blocked"


def test_a_worker_needs_no_2377(world: World) -> None:
    world.shut["a", "b", "tcp", 2377] = "blocked"
    report = world.check()
    assert report.ok
    assert [one.warning for one in report.problems] == [True]
    world.shut["b", "a", "tcp", 2377] = "blocked"
    report = world.check()
    assert not report.ok
    assert lines(report)[0].startswith("b -> a: TCP 2377 blocked; open it")


def test_hosts_that_do_not_see_each_other_at_all(world: World) -> None:
    ports = ports_of(world.inventory)
    for protocol in ("tcp", "udp"):
        for port in getattr(ports, protocol):
            outcome = "blocked: No route to host" if protocol == "tcp" else "sent"
            world.shut["a", "b", protocol, port] = outcome
    (line,) = lines(world.check())
    assert line.startswith("a -> b: no port lets through (No route to host); 198.18.0.2 must be")


@pytest.mark.parametrize(
    ("protocol", "port", "swarm", "problem"),
    [
        ("tcp", 15201, "inactive", "b: TCP 15201 is in use; `ss -ltnp 'sport = :15201'` on b"),
        ("tcp", 15201, "active", "b: TCP 15201 is in use; "),
        ("tcp", 2377, "inactive", "b: TCP 2377 is in use, though by no swarm; "),
        ("udp", 7946, "inactive", "b: UDP 7946 is in use, though by no swarm; `ss -lunp"),
        ("tcp", 2377, "active", None),
        ("udp", 7946, "active", None),
        ("udp", 4789, "inactive", None),
    ],
)
def test_ports_in_use(
    world: World, protocol: str, port: int, swarm: str, problem: str | None
) -> None:
    if swarm == "active":
        form(world, "a")
    world["b"].in_use = {(protocol, port): "in use"}
    report = world.check()
    assert report.hosts[1].ports == "ok"
    assert report.ok is (problem is None)
    assert [line.startswith(problem or "?") for line in lines(report)] == [True] * (not report.ok)


def test_what_cannot_be_seen_without_root_is_not_called_blocked(world: World) -> None:
    for one in world.machines.values():
        one.user = 1000
        one.in_use = {("udp", 4789): "in use, needs root"}
    world.shut["a", "b", "udp", 4789] = "refused"
    report = world.check()
    assert [(one.where, one.what, one.warning) for one in report.problems] == [
        ("a -> b", "UDP 4789 refused", False),
        ("c, a, b", "UDP 4789 not tried: in use, needs root", True),
    ]
    assert "ansible_become" in report.problems[1].hint
    assert report.hosts[2].ports == "ok, some not tried"


def form(world: World, *managers: str, hosts: str = "abc", cluster: str = "K") -> None:
    """Make hosts a swarm, as their engines tell of it: only managers know the cluster."""
    ids = tuple(f"{cluster}-{name}" for name in managers)
    for name in hosts:
        manages = name in managers
        state = SwarmState(
            "active", f"{cluster}-{name}", "", manages, cluster if manages else "", ids
        )
        world[name].engine_facts = replace(ENGINE, swarm=state)


def test_one_swarm_together(world: World) -> None:
    form(world, "b")
    report = world.check()
    assert report.ok
    assert [one.swarm for one in report.hosts] == [
        "one swarm together (worker)",
        "one swarm together (manager)",
        "one swarm together (worker)",
    ]


def test_a_manager_that_is_not_first_needs_2377(world: World) -> None:
    form(world, "b")
    world.shut["a", "b", "tcp", 2377] = "blocked"
    assert lines(world.check())[0].startswith("a -> b: TCP 2377 blocked; open it")


def test_a_host_in_another_swarm(world: World) -> None:
    form(world, "a", hosts="ab")
    form(world, "x", hosts="c", cluster="L")
    report = world.check()
    assert [one.swarm for one in report.hosts] == [
        "manager of another swarm",
        "worker of another swarm",
        "worker of another swarm",
    ]
    assert [one.where for one in report.problems] == ["a", "b", "c"]
    assert "docker swarm leave --force` on a" in report.problems[0].hint
    assert "docker swarm leave` on c" in report.problems[2].hint


def test_workers_whose_manager_is_not_in_the_inventory(world: World) -> None:
    form(world, "x")
    report = world.check()
    assert {one.swarm for one in report.hosts} == {"worker of another swarm"}
    assert {one.what for one in report.problems} == {
        "is in a swarm that no host of the inventory manages"
    }


def test_only_some_are_in_a_swarm(world: World) -> None:
    form(world, "a", hosts="a")
    report = world.check()
    assert [one.swarm for one in report.hosts] == ["manager of another swarm", "none", "none"]
    assert lines(report)[0].startswith("a: is in a swarm that not all of the hosts are in; ")


def test_a_swarm_that_a_run_left_behind(world: World) -> None:
    form(world, "a")
    world["a"].swarm_label = {"netbench.run": "20261123-0055"}
    (line,) = lines(world.check())
    assert "run 20261123-0055 of netbench left behind" in line
    assert "netbench clean" in line


def test_a_broken_membership(world: World) -> None:
    world["b"].engine_facts = replace(ENGINE, swarm=SwarmState("locked"))
    report = world.check()
    assert report.hosts[1].swarm == "locked"
    assert lines(report)[0].startswith("b: its swarm membership is locked; ")


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("KL"), st.booleans(), st.booleans()), min_size=3, max_size=3)
)
def test_hosts_are_together_exactly_when_all_are_in_one_swarm_that_one_of_them_manages(
    memberships: list[tuple[str, bool, bool]],
) -> None:
    world = World()
    hosts = list(zip("abc", memberships, strict=True))
    for cluster in "KL":
        members = [name for name, (one, inside, _) in hosts if inside and one == cluster]
        managers = [name for name, (_, _, manages) in hosts if manages and name in members]
        form(world, *(managers or ["x"]), hosts="".join(members), cluster=cluster)
    report = world.check()
    together = (
        all(inside for _, (_, inside, _) in hosts)
        and len({cluster for _, (cluster, _, _) in hosts}) == 1
        and any(manages for _, (_, _, manages) in hosts)
    )
    words = [one.swarm for one in report.hosts]
    assert all(word.startswith("one swarm together") for word in words) is together
    outside = [name for name, (_, inside, _) in hosts if not inside]
    assert [one.name for one in report.hosts if one.swarm == "none"] == outside
    assert report.ok is (together or len(outside) == 3)


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ("19.03.15", "problem"),
        ("20.10.24+dfsg1", ""),
        ("28.0.0-rc.1", ""),
        ("18.9", "problem"),
        ("dev", "warning"),
    ],
)
def test_engine_versions(world: World, version: str, word: str) -> None:
    world["b"].engine_facts = replace(ENGINE, version=version)
    report = world.check()
    assert ["warning" if one.warning else "problem" for one in report.problems] == [word] * bool(
        word
    )
    assert all(one.where == "b" and version in one.what for one in report.problems)


def test_little_disk_and_a_wrong_clock_are_warnings(world: World) -> None:
    world["b"].free = GIB // 2
    world["c"].ahead = -3.25
    report = world.check()
    assert report.ok
    assert report.hosts[2].clock_skew == -3.25
    assert lines(report)[0].startswith("b: only 0.5 GiB are free where the engine keeps its data")
    assert lines(report)[1].startswith("c: its clock is 3.2 s behind the controller's; ")


def test_the_clock_is_compared_in_the_middle_of_the_shortest_trip(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: Iterator[tuple[float, float]] = iter([(0.9, 0.1), (0.02, 0.02), (0.1, 0.9)])
    machine = world["a"]
    machine.ahead = 5.0
    ask = Machine.run

    def run(self: Machine, argv: Sequence[str], **more: Any) -> Completed:
        there, back = next(trips)
        world.clock.now += there
        answer = ask(self, argv, **more)
        world.clock.now += back
        return answer

    monkeypatch.setattr(Machine, "run", run)
    assert clock_skew(cast("Any", machine)) == pytest.approx(5.0, abs=1e-6)


@pytest.mark.parametrize(
    ("user", "sudo", "running", "words"),
    [
        (0, False, True, "root"),
        (1000, False, True, "user, docker"),
        (1000, True, True, "user, docker, may sudo"),
        (1000, False, False, "user"),
    ],
)
def test_privileges(world: World, *, user: int, sudo: bool, running: bool, words: str) -> None:
    machine = world["b"]
    machine.user, machine.sudo = user, sudo
    if not running:
        machine.engine_fault = EngineError(
            "b", "no permission on the Docker socket", "add the user"
        )
    report = world.check()
    assert report.hosts[1].privileges == words
    assert report.ok is running


def test_without_an_engine_the_rest_is_still_looked_at(world: World) -> None:
    world["b"].engine_fault = EngineError("b", "its engine does not answer", "start it")
    world.shut["a", "b", "udp", 7946] = "sent"
    report = world.check()
    assert lines(report) == [
        "b: its engine does not answer; start it",
        "a -> b: UDP 7946 blocked; open it in b's firewall and in the cloud's security group",
    ]
    assert (report.hosts[1].engine, report.hosts[1].data_address) == ("", "198.18.0.2")


def test_an_unreachable_host_is_a_row_and_the_others_are_tried(world: World) -> None:
    world.unreachable = {"b": HostUnreachable("b", "connection refused", "is sshd running?")}
    report = world.check()
    assert lines(report) == ["b: connection refused; is sshd running?"]
    assert [one.reachable for one in report.hosts] == [True, False, True]
    assert {(one.source, one.target) for one in report.paths} == {("a", "c"), ("c", "a")}


@pytest.mark.parametrize("command", ["id -u", "date", "env LC_ALL=C df"])
def test_a_host_that_is_lost_on_the_way(world: World, command: str) -> None:
    world["c"].lost_at = command
    report = world.check()
    assert lines(report) == ["c: the connection was lost; see if it is up"]
    assert [one.reachable for one in report.hosts] == [True, True, False]
    assert {(one.source, one.target) for one in report.ports} == {("a", "b"), ("b", "a")}


def test_what_kernels_lack_is_a_warning_and_in_the_report(world: World) -> None:
    world["b"].kernel = world["b"].kernel.replace("esp4 yes it was tried", "esp4 no no algorithm")
    report = world.check()
    assert report.ok
    assert lines(report)[0].startswith("b: the kernel has no ESP with AES-GCM (IPsec) (no algo")
    assert [dict(one.lacking) for one in report.hosts] == [{}, {"esp4": "no algorithm"}, {}]


def test_one_cause_is_one_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cause = HostError("b", "joe cannot become root (sudo: a password is required)", "allow it")
    world["b"].engine_fault = cause
    ask = Machine.run

    def run(self: Machine, argv: Sequence[str], **more: Any) -> Completed:
        if self.name == "b":
            raise cause
        return ask(self, argv, **more)

    monkeypatch.setattr(Machine, "run", run)
    report = world.check()
    assert lines(report) == [str(cause)]
    assert [one.ports for one in report.hosts] == ["ok", "", "ok"]


@pytest.mark.parametrize("step", ["send", "collect"])
def test_a_host_that_is_lost_while_ports_are_tried(world: World, step: str) -> None:
    world["c"].lost_at = f"python3 - {step}"
    report = world.check()
    assert not report.ok
    assert lines(report)[0] == "c: the connection was lost; see if it is up"
    untried = {(one.target, one.protocol) for one in report.ports if one.outcome == "not tried"}
    assert untried == ({("c", "udp")} if step == "collect" else set())
    assert not any(one.outcome == "blocked" for one in report.ports)


def test_a_host_without_python(world: World) -> None:
    world["b"].python = False
    report = world.check()
    (line,) = lines(report)
    assert line.startswith("b: `python3 - listen` of the port probe failed: ")
    assert "needs python3, 3.6 or newer" in line
    assert [one.ports for one in report.hosts] == ["ok", "", "ok"]


def test_hosts_with_the_same_data_address(world: World) -> None:
    world["c"].address = world["b"].address
    report = world.check()
    assert lines(report)[0].startswith("b, c: all have the data address 198.18.0.2; set netbench_")


def test_a_data_network_that_cannot_be_told(world: World) -> None:
    world["b"].lost_at = ""
    inventory = world.inventory
    answer = Machine.host.fget  # type: ignore[attr-defined]  # the property's own function

    def host(self: Machine) -> Host:
        found: Host = answer(self)
        return replace(found, data_interface="ens9") if self.name == "b" else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "host", property(host))
        report = check(inventory, world.reach)
    assert lines(report)[0].startswith("b: has no interface ens9; set netbench_data_interface to")
    assert report.hosts[1].data_address == ""
    assert [one.ports for one in report.hosts] == ["ok", "", "ok"]


def test_one_host_alone(world: World) -> None:
    del world.machines["b"], world.machines["c"]
    report = world.check()
    assert (report.ok, report.ports, report.paths) == (True, (), ())
    assert report.hosts[0].ports == ""


def test_a_far_interface_with_a_smaller_mtu(world: World) -> None:
    world["c"].mtu = 1400
    assert lines(world.check()) == [
        (
            "a, b -> c: black hole: packets of 1500 bytes vanish, 1400 bytes arrive; "
            "eth0 of c has MTU 1400: set the same MTU on both"
        )
    ]


def test_a_black_hole_between_equal_interfaces(world: World) -> None:
    world.path_mtu = 1450
    report = world.check()
    assert len(report.problems) == 3
    assert lines(report)[0].endswith(
        "black hole: packets of 1500 bytes vanish, 1450 bytes arrive; "
        "set the MTU of the data interfaces to 1450 on both"
    )


def test_hosts_that_answer_no_ping(world: World) -> None:
    world.path_mtu = 0
    report = world.check()
    assert report.ok
    (line,) = lines(report)
    assert line.startswith("6 pairs of hosts: path MTU not found out: no answer to any ping; ")


@pytest.mark.parametrize("path", sorted((GOLDEN / "ping").glob("*.json")), ids=lambda one: one.stem)
def test_golden_pings(path: Path) -> None:
    case = json.loads(path.read_text())
    size = int(case["argv"][-2]) + 28
    alone = judge_path("a", "b", size, {size: (case["exit"], case["output"])})
    assert vars_of(alone) == case["alone"]
    if "where_576_bytes_arrive" in case:
        answered = json.loads((GOLDEN / "ping/answered.json").read_text())
        pings = {
            size: (case["exit"], case["output"]),
            576: (answered["exit"], answered["output"]),
        }
        assert vars_of(judge_path("a", "b", size, pings)) == case["where_576_bytes_arrive"]


def vars_of(path: Any) -> dict[str, object]:
    return {"outcome": path.outcome, "largest": path.largest, "detail": path.detail}


@settings(deadline=None)
@given(own=st.integers(576, 65535), other=st.integers(576, 65535))
def test_sizes_start_with_the_interfaces_own(own: int, other: int) -> None:
    tried = sizes(own, other)
    assert tried[0] == own == max(tried)
    assert tried == sorted(set(tried), reverse=True)
    assert min(own, other) in tried


def test_only_what_the_probe_needs_is_sent(world: World) -> None:
    world.check()
    for one in world.machines.values():
        modes = [argv[2] for argv in one.commands if argv[:2] == ("python3", "-")]
        assert modes == ["listen", "send", "collect"]


class Cli:
    """`netbench check` on a world instead of on an inventory's hosts."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("bench.inventory.load_inventory", lambda _: world.inventory)
        patch.setattr(
            "bench.facts.check",
            lambda inventory, **asked: check(inventory, world.reach, **asked),
        )

    def __call__(self, *words: str) -> click.testing.Result:
        runner = click.testing.CliRunner()
        return runner.invoke(command, ["-i", "hosts.yaml", *words], standalone_mode=False)


@pytest.fixture
def cli(world: World, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.delenv("COLUMNS", raising=False)
    return Cli(world, monkeypatch)


def test_table_of_healthy_hosts(cli: Cli, world: World) -> None:
    done = cli()
    assert done.return_value == 0
    count = len(world.check().ports)
    rows = [line.split() for line in done.output.splitlines()]
    assert rows[3][:8] == ["a", "yes", "26.1.5+dfsg1", "root", "none", "198.18.0.1", "ok", "80.0"]
    assert done.output.splitlines()[-1].startswith(f"no problem; {count} ports and 6 paths")


def test_table_with_everything_wrong_at_once_fits(cli: Cli, world: World) -> None:
    form(world, "x")
    world.unreachable = {"b": HostError("b", "no [route] to host", "see [/etc/hosts]")}
    world.shut.update(
        {("a", "c", "udp", port): "sent" for port in (4789, 7946)}
        | {("a", "c", "tcp", 15280): "refused"}
    )
    world["c"].user, world["c"].sudo = 1000, True
    done = cli()
    assert done.return_value == 1
    table = done.output[: done.output.index("problem ")]
    assert max(map(len, table.splitlines())) <= 120
    assert "…" not in table
    assert "problem b: no [route] to host; see [/etc/hosts]\n" in done.output
    problems = [line for line in done.output.splitlines() if line.startswith("problem ")]
    assert len(problems) == len(world.check().problems)


def test_the_command_checks_what_is_asked_for(cli: Cli, world: World) -> None:
    world.shut["b", "c", "tcp", 16480] = "blocked"
    assert cli("--drivers", "overlay", "--access", "vip").return_value == 0
    done = cli("--drivers", "overlay", "--access", "published-ingress")
    assert done.return_value == 1
    assert "b -> c: TCP 16480 blocked" in done.output
    refused = cli("--drivers", "macvlan", "--access", "vip").exception
    assert isinstance(refused, UsageError)
    assert "none of the drivers has the access vip" in str(refused)


def test_json_has_everything(cli: Cli, world: World) -> None:
    world.shut["b", "c", "udp", 4789] = "sent"
    done = cli("--json")
    assert done.return_value == 1
    found = json.loads(done.output)
    assert [one["name"] for one in found["hosts"]] == ["a", "b", "c"]
    assert found["problems"][0]["where"] == "b -> c"
    assert {one["outcome"] for one in found["ports"]} == {"open", "blocked"}
    assert len(found["paths"]) == 6


@given(own=st.integers(576, 9100), limit=st.integers(576, 9100), other=st.integers(576, 9100))
def test_the_largest_packet_that_arrives_is_found_to_the_byte(
    own: int, limit: int, other: int
) -> None:
    def ping(_address: str, size: int) -> tuple[int, str]:
        return (0 if size <= limit else 1), ""

    tried = {size: ping("", size)[0] for size in sizes(own, other)}
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(port_probe, "_ping", ping)
        port_probe._narrowed(pool, "", tried, min(own, other), time.monotonic() + 60)
    largest = max((size for size, code in tried.items() if code == 0), default=None)
    arrives = [size for size in tried if size <= limit]
    if arrives:
        # Interfaces may take more than their MTU: beyond that it is not looked for.
        assert largest == min(own, max(min(limit, own, other), *arrives))
        assert largest is not None
        assert largest >= min(limit, own, other)
    # Each of a few rounds tries a few sizes.
    assert len(tried) < 9 + 4 * port_probe.AT_ONCE
