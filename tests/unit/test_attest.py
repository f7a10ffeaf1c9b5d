"""What drivers say of their paths, how interfaces are found, and what counters make of a trial."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.deployment import CLIENT, SERVER, Deployment, Place
from bench.drivers.base import Driver
from bench.errors import EngineError, HostUnreachable, ParseError
from bench.gauges import publishing, settings
from bench.gauges.attest import Attested, Attestor, bound, complaint
from bench.gauges.links import parse_links
from bench.gauges.reading import Reading, Sources
from bench.gauges.way import Spot, way_of
from bench.model import Access, Cell, CoreUse, Host, HostPair, Placement
from bench.plan import make_plan
from bench.ports import IN_MESH
from bench.remote.api import Completed, Task
from bench.remote.fleet import Fleet
from bench.waypoint import (
    By,
    End,
    Space,
    Waypoint,
    avoiding,
    bridge,
    container,
    data,
    loopback,
    vxlan,
)

PAIR = HostPair("a", "b")
SAME, CROSS = Placement.SAME_HOST, Placement.CROSS_HOST
BRIDGED = "uaaaaaaaaaaabbbb"
DRIVERS = [pytest.param(found, id=name) for name, found in sorted(drivers.known().items())]


def link(name: str, index: int, *addresses: str, peer: int = 0, master: str = "") -> object:
    infos = [{"family": "inet", "local": one, "prefixlen": 24} for one in addresses]
    found = {"ifname": name, "ifindex": index, "mtu": 1500, "addr_info": infos}
    return found | ({"link_index": peer} if peer else {}) | ({"master": master} if master else {})


@dataclass
class Box:
    """A host as far as paths are concerned. ``inside`` are the containers' interfaces; all that is
    asked is remembered in ``asked``."""

    host: Host
    links: list[object]
    inside: dict[str, list[object]]
    pids: dict[str, int]
    networks: dict[str, str]
    sandbox: str = ""
    fault: Exception | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def shell(self) -> "Box":
        return self

    @property
    def engine(self) -> "Box":
        return self

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        self.asked.append(tuple(argv))
        if self.fault:
            raise self.fault
        if argv[0] == "nsenter":
            if argv[1] != f"--net={self.sandbox}":
                return Completed(1, b"", b"nsenter: cannot open it: Permission denied")
            return Completed(0, json.dumps([link("br0", 2), link("vxlan0", 3)]).encode(), b"")
        if argv[0] in self.printed:
            return Completed(0, self.printed[argv[0]].encode(), b"")
        return Completed(0, json.dumps(self.links).encode(), b"")

    def network_ids(self) -> Mapping[str, str]:
        return self.networks

    def pid(self, container: str) -> int:
        if container not in self.pids:
            raise EngineError(self.host.name, f"no such container: {container}")
        return self.pids[container]

    def exec(self, container: str, argv: Sequence[str], *, timeout: float) -> Completed:
        self.asked.append((container, *argv))
        if self.fault:
            raise self.fault
        if argv[0] == "sh":
            return Completed(0, self.printed.get("sh", "").encode(), b"")
        return Completed(0, json.dumps(self.inside[container]).encode(), b"")

    def close(self) -> None: ...


def box(name: str, number: int) -> Box:
    """A host whose containers have their address on the network behind another interface."""
    inside, pids = {}, {}
    links = [link("lo", 1, "127.0.0.1"), link("eth0", 2, f"198.18.0.{number}"), link("mac0", 3)]
    links.append(link("br-uaaaaaaaaaaa", 4, "172.18.0.1"))
    for place, end in enumerate((SERVER, CLIENT)):
        index = 20 + 2 * place
        for driver in ("bridge", "overlay", "macvlan"):
            key = f"{driver}-{end}-{name}"
            own = f"10.0.{number}.{place}"
            inside[key] = [
                link("lo", 1, "127.0.0.1"),
                link("eth0", index + 1, f"172.30.0.{place}"),
                link("eth1", 9, own, peer=index if driver == "bridge" else 7),
            ]
            pids[key] = 100 * number + place
        links.append(link(f"veth{place}", index, peer=9, master="br-uaaaaaaaaaaa"))
        inside[f"host-{end}-{name}"] = links
        pids[f"host-{end}-{name}"] = 90 + place
    networks = {"net-bridge": BRIDGED, "net-overlay": "xiu85uk3yw2664", "net-macvlan": "m"}
    return Box(Host(name, "x"), links, inside, pids, networks, "/run/docker/netns/1-xiu85uk3yw")


def deployed(*names: str) -> Deployment:
    tasks = {}
    for number, host in enumerate(names, start=1):
        for driver in ("host", "bridge", "overlay", "macvlan"):
            for place, end in enumerate((SERVER, CLIENT)):
                service = f"{driver}-{end}-{host}"
                network = {} if driver == "host" else {f"net-{driver}": f"10.0.{number}.{place}"}
                tasks[Place(driver, end, host)] = Task(
                    service, "running", "", host, service, network
                )
    networks = {d: {"network": f"net-{d}"} for d in ("bridge", "overlay", "macvlan")}
    return Deployment(
        run="r",
        manager="a",
        port_base=15200,
        data_addresses={host: f"198.18.0.{n}" for n, host in enumerate(names, start=1)},
        tasks=tasks,
        unavailable={},
        networks={**networks, "host": {"network": "host"}},
        data_interfaces=dict.fromkeys(names, "eth0"),
        parents=dict.fromkeys(names, "mac0"),
    )


def cell(driver: str, placement: Placement) -> Cell:
    return Cell(driver, drivers.known()[driver].accesses[placement][0], placement, "iperf3-tcp")


@pytest.fixture
def boxes() -> dict[str, Box]:
    return {"a": box("a", 1), "b": box("b", 2)}


@pytest.fixture
def attestor(boxes: dict[str, Box]) -> Attestor:
    return Attestor(Fleet(boxes), deployed("a", "b"))  # type: ignore[arg-type]


def reading(counters: Mapping[str, Mapping[str, int]], **unreadable: str) -> Reading:
    core = CoreUse(0, 0, 0, 0, 0, 0)
    return Reading(0.0, (core,), 0.0, 0, 0, 0, counters=counters, unreadable=unreadable)


def spots(attestor: Attestor, driver: str, placement: Placement) -> list[tuple[str, str, str, str]]:
    located = attestor.locator.locate(way_of(cell(driver, placement), PAIR))
    assert located.missing == ()
    return [(spot.host, spot.where, spot.key, spot.interface) for spot in located.spots]


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_describes_each_of_its_paths_from_the_client_on(driver: Driver) -> None:
    ways = [(at, access) for at, every in driver.accesses.items() for access in every]
    for placement, access in ways:
        path = driver.path(placement, access)
        carrying = [waypoint for waypoint in path if waypoint.carries]
        assert carrying
        assert len(set(path)) == len(path)
        assert len({(waypoint.where, waypoint.end) for waypoint in path}) == len(path)
        ends = [waypoint.end for waypoint in carrying]
        assert ends == sorted(ends)
        if placement is CROSS:
            assert set(ends) == {End.CLIENT, End.SERVER}
        for waypoint in path:
            assert (waypoint.by is By.NAME) == bool(waypoint.name)
        if access.plain:
            assert all(one.by in (By.DATA, By.NAME) for one in path if one.end is End.CLIENT)
        if access in IN_MESH:
            assert any(waypoint.space is Space.INGRESS for waypoint in carrying)
        if access is Access.VIP:
            assert any(waypoint.space is Space.BALANCER for waypoint in carrying)


@pytest.mark.parametrize(
    ("driver", "placement", "found"),
    [
        ("host", SAME, [("b", "loopback", "host", "lo")]),
        (
            "host",
            CROSS,
            [("a", "data interface", "host", "eth0"), ("b", "data interface", "host", "eth0")],
        ),
        (
            "bridge",
            SAME,
            [
                ("b", "client container", "pid:201", "eth1"),
                ("b", "bridge port of the client", "host", "veth1"),
                ("b", "bridge port of the server", "host", "veth0"),
                ("b", "server container", "pid:200", "eth1"),
            ],
        ),
        (
            "bridge",
            CROSS,
            [
                ("a", "client container", "pid:101", "eth1"),
                ("a", "bridge", "host", "br-uaaaaaaaaaaa"),
                ("a", "data interface", "host", "eth0"),
                ("b", "data interface", "host", "eth0"),
                ("b", "bridge", "host", "br-uaaaaaaaaaaa"),
                ("b", "server container", "pid:200", "eth1"),
            ],
        ),
        (
            "overlay",
            SAME,
            [
                ("b", "client container", "pid:201", "eth1"),
                ("b", "server container", "pid:200", "eth1"),
                (
                    "b",
                    "vxlan (to be avoided)",
                    "sandbox:/run/docker/netns/1-xiu85uk3yw",
                    "vxlan0",
                ),
            ],
        ),
        (
            "overlay",
            CROSS,
            [
                ("a", "client container", "pid:101", "eth1"),
                ("a", "vxlan", "sandbox:/run/docker/netns/1-xiu85uk3yw", "vxlan0"),
                ("a", "data interface", "host", "eth0"),
                ("b", "data interface", "host", "eth0"),
                ("b", "vxlan", "sandbox:/run/docker/netns/1-xiu85uk3yw", "vxlan0"),
                ("b", "server container", "pid:200", "eth1"),
            ],
        ),
        (
            "macvlan",
            SAME,
            [
                ("b", "client container", "pid:201", "eth1"),
                ("b", "server container", "pid:200", "eth1"),
                ("b", "parent interface (to be avoided)", "host", "mac0"),
            ],
        ),
        (
            "macvlan",
            CROSS,
            [
                ("a", "client container", "pid:101", "eth1"),
                ("a", "parent interface", "host", "mac0"),
                ("b", "parent interface", "host", "mac0"),
                ("b", "server container", "pid:200", "eth1"),
            ],
        ),
    ],
)
def test_descriptions_lead_to_the_very_interfaces(
    attestor: Attestor,
    driver: str,
    placement: Placement,
    found: list[tuple[str, str, str, str]],
) -> None:
    assert spots(attestor, driver, placement) == found


def test_what_has_to_be_read_is_asked_once_per_host(attestor: Attestor) -> None:
    sandbox = "/run/docker/netns/1-xiu85uk3yw"
    assert attestor.sources(cell("overlay", CROSS), PAIR) == {
        "a": Sources((101,), (sandbox,)),
        "b": Sources((200,), (sandbox,)),
    }
    assert attestor.sources(cell("bridge", SAME), PAIR) == {"b": Sources((201, 200))}
    assert attestor.sources(cell("host", CROSS), PAIR) == {"a": Sources(), "b": Sources()}


def test_each_place_is_looked_at_once(attestor: Attestor, boxes: dict[str, Box]) -> None:
    plan = make_plan(
        ["a", "b"],
        drivers.chosen(()),
        workloads.chosen(()),
        list(Placement),
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
    )
    attestor.prepare(plan)
    looked = [argv for one in boxes.values() for argv in one.asked]
    # Two hosts, on each its sandbox and the six containers that have a network of their own.
    assert len(looked) == 2 * (1 + 1 + 6)
    for one in plan.cells:
        attestor.sources(one, PAIR)
    assert [argv for one in boxes.values() for argv in one.asked] == looked


def test_a_new_container_is_looked_at_afresh(attestor: Attestor, boxes: dict[str, Box]) -> None:
    before = attestor.sources(cell("bridge", CROSS), PAIR)["b"]
    old = attestor.locator.deployment
    place = Place("bridge", SERVER, "b")
    new = replace(old.tasks[place], container_id="new")
    boxes["b"].inside["new"] = boxes["b"].inside["bridge-server-b"]
    boxes["b"].pids["new"] = 777
    attestor.renew(replace(old, tasks={**old.tasks, place: new}))
    assert before == Sources((200,))
    assert attestor.sources(cell("bridge", CROSS), PAIR)["b"] == Sources((777,))


def attest(
    attestor: Attestor, driver: str, placement: Placement, moved: int | str, payload: float
) -> Attested:
    """Every interface counts ``moved`` bytes."""
    counted = [reading({}), reading({})]
    wanted = attestor.sources(cell(driver, placement), PAIR)
    if isinstance(moved, int):
        names = ("lo", "eth0", "eth1", "mac0", "veth0", "veth1", "vxlan0", "br-uaaaaaaaaaaa")
        keys = ["host"]
        for asked in wanted.values():
            keys += [f"pid:{pid}" for pid in asked.pids]
            keys += [f"sandbox:{path}" for path in asked.sandboxes]
        counted = [
            reading({key: dict.fromkeys(names, base) for key in keys}) for base in (7, 7 + moved)
        ]
    before, after = ({"a": one, "b": one} for one in counted)
    return attestor.attest(cell(driver, placement), PAIR, before, after, payload)


@pytest.mark.parametrize("driver", ["host", "bridge", "overlay", "macvlan"])
def test_a_path_that_counts_the_bytes_is_attested(attestor: Attestor, driver: str) -> None:
    found = attest(attestor, driver, CROSS, 1_004_000_000, 1e9)
    assert (found.complaint, found.unattested) == ("", "")
    assert {passage.moved for passage in found.passages} == {1_004_000_000}
    assert [p.where for p in found.passages] == [w for _, w, *_ in spots(attestor, driver, CROSS)]


def test_a_path_that_does_not_is_named_with_its_figures(attestor: Attestor) -> None:
    found = attest(attestor, "macvlan", CROSS, 1_500, 1e9)
    assert found.complaint == (
        "macvlan direct cross-host, 1.00 GB delivered: "
        "a eth1 (client container) counted 1.50 kB, expected at least 900 MB; "
        "a mac0 (parent interface) counted 1.50 kB, expected at least 900 MB; "
        "b mac0 (parent interface) counted 1.50 kB, expected at least 900 MB; "
        "b eth1 (server container) counted 1.50 kB, expected at least 900 MB"
    )
    assert len(found.passages) == 4


def test_a_detour_over_what_should_rest_is_named(attestor: Attestor) -> None:
    found = attest(attestor, "overlay", SAME, 1_000_000_000, 1e9)
    assert found.complaint == (
        "overlay direct same-host, 1.00 GB delivered: b vxlan0 (vxlan (to be avoided)) "
        "counted 1.00 GB, expected at most 100 MB"
    )


def test_bytes_of_others_on_an_interface_to_be_avoided_fail_no_trial(attestor: Attestor) -> None:
    found = attest(attestor, "macvlan", SAME, 1_000_000_000, 1e9)
    assert found.complaint == ""
    assert found.unattested == (
        "b mac0 (parent interface (to be avoided)) counted 1.00 GB, expected at most 100 MB; "
        "others use it too"
    )


@pytest.mark.parametrize(
    ("waypoint", "payload", "moved", "good"),
    [
        (container(End.CLIENT), 1e9, 900_000_000, True),
        (container(End.CLIENT), 1e9, 899_999_999, False),
        # Loopback counts what it sends and what it receives.
        (loopback(End.SERVER), 1e9, 1_800_000_000, True),
        (loopback(End.SERVER), 1e9, 1_799_999_999, False),
        (avoiding(vxlan(End.SERVER)), 1e9, 100_100_000, True),
        (avoiding(vxlan(End.SERVER)), 1e9, 100_100_001, False),
        # A tool that does not tell what it delivered.
        (data(End.CLIENT), 0.0, 10_000, True),
        (data(End.CLIENT), 0.0, 9_999, False),
        (bridge(End.CLIENT), 0.0, 0, False),
        (avoiding(vxlan(End.SERVER)), 0.0, 100_000, True),
        (avoiding(vxlan(End.SERVER)), 0.0, 100_001, False),
    ],
)
def test_the_rule(waypoint: Waypoint, payload: float, moved: int, good: bool) -> None:  # noqa: FBT001
    spot = Spot(waypoint, "a", "host", "eth0", 1500)
    assert (complaint(spot, moved, payload) == "") == good


@given(st.floats(0, 1e15), st.integers(0, 10**15))
def test_no_count_is_both_on_the_path_and_off_it(payload: float, moved: int) -> None:
    on = Spot(vxlan(End.CLIENT), "a", "k", "vxlan0", 1450)
    off = replace(on, waypoint=avoiding(on.waypoint))
    if payload > 1e6:
        assert bound(off, payload) < bound(on, payload)
        assert complaint(on, moved, payload) or complaint(off, moved, payload)


def test_what_only_root_may_read_is_said_and_the_rest_attested(
    attestor: Attestor, boxes: dict[str, Box]
) -> None:
    for one in boxes.values():
        one.sandbox = "/nowhere"
    found = attest(attestor, "overlay", CROSS, 10**9, 1e9)
    assert found.complaint == ""
    assert [passage.where for passage in found.passages] == [
        "client container",
        "data interface",
        "data interface",
        "server container",
    ]
    assert found.unattested.count("vxlan: ") == 2
    assert "Permission denied; only root can read it: set ansible_become" in found.unattested
    assert attestor.sources(cell("overlay", CROSS), PAIR)["a"].sandboxes == ()
    assert attest(attestor, "overlay", CROSS, 10**6, 1e9).complaint


@pytest.mark.parametrize(
    ("counters", "why"),
    [
        ({}, "its counters were not read"),
        ({"host": {"eth0": 5}}, "the host has no mac0 any more"),
    ],
)
def test_what_was_not_read_fails_no_trial(
    attestor: Attestor, counters: Mapping[str, Mapping[str, int]], why: str
) -> None:
    one = {"a": reading(counters), "b": reading(counters)}
    found = attestor.attest(cell("macvlan", CROSS), PAIR, one, one, 1e9)
    assert found.complaint == ""
    assert f"parent interface: a: {why}" in found.unattested
    nothing = attestor.attest(cell("macvlan", CROSS), PAIR, {}, {}, 1e9)
    assert nothing.complaint == ""
    assert nothing.passages == ()
    assert "client container: a: its counters were not read" in nothing.unattested


def test_why_a_namespace_could_not_be_read_is_passed_on(attestor: Attestor) -> None:
    one = reading({"host": {"mac0": 5}}, **{"pid:101": "it is gone"})
    found = attestor.attest(cell("macvlan", CROSS), PAIR, {"a": one}, {"a": one}, 1e9)
    assert "client container: a: it is gone" in found.unattested


def test_counters_that_were_reset_are_no_evidence(attestor: Attestor) -> None:
    found = attest(attestor, "host", CROSS, -5, 1e9)
    assert found.complaint == ""
    assert "data interface: a: the counters of eth0 were reset" in found.unattested


@pytest.mark.parametrize(
    "fault", [HostUnreachable("a", "the connection was lost"), EngineError("a", "it is down")]
)
def test_a_host_that_does_not_answer_leaves_the_path_unattested(
    attestor: Attestor, boxes: dict[str, Box], fault: Exception
) -> None:
    boxes["a"].fault = fault
    found = attest(attestor, "bridge", CROSS, 10**9, 1e9)
    assert found.complaint == ""
    assert f"bridge: {fault}" in found.unattested
    assert {passage.host for passage in found.passages} == {"b"}
    # After a failure the deployment is looked at again, and so is what could not be.
    boxes["a"].fault = None
    attestor.renew(attestor.locator.deployment)
    assert attest(attestor, "bridge", CROSS, 10**9, 1e9).unattested == ""


def test_a_cable_that_ends_elsewhere_is_no_port_of_the_bridge(
    attestor: Attestor, boxes: dict[str, Box]
) -> None:
    boxes["b"].links[-1] = link("veth1", 22, peer=9, master="docker0")
    found = attest(attestor, "bridge", SAME, 10**9, 1e9)
    assert "b: eth1 of the client is not plugged into br-uaaaaaaaaaaa" in found.unattested


def test_a_driver_that_describes_nothing_is_said_to_be_unattested(
    attestor: Attestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(drivers.known()["host"])
    monkeypatch.setattr(kind, "path", lambda _self, _placement, _access: ())
    found = attest(attestor, "host", CROSS, 10**9, 1e9)
    assert found == Attested((), "", "host describes no path for direct cross-host")


def test_paths_may_use_other_networks_and_the_routing_mesh(
    attestor: Attestor, boxes: dict[str, Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What later drivers and accesses describe needs no code elsewhere."""
    mesh = Waypoint("routing mesh", End.SERVER, Space.INGRESS, By.NAME, "vxlan*")
    own = Waypoint("own loopback", End.CLIENT, Space.CONTAINER, By.NAME, "lo")
    behind = replace(container(End.SERVER), network="ingress")
    kind = type(drivers.known()["bridge"])
    monkeypatch.setattr(kind, "path", lambda _self, _placement, _access: (own, mesh, behind))
    deployment = attestor.locator.deployment
    place = Place("bridge", SERVER, "b")
    task = replace(deployment.tasks[place], addresses={"ingress": "172.30.0.0"})
    attestor.renew(replace(deployment, tasks={**deployment.tasks, place: task}))
    boxes["b"].sandbox = "/run/docker/netns/ingress_sbox"
    assert spots(attestor, "bridge", CROSS) == [
        ("a", "own loopback", "pid:101", "lo"),
        ("b", "routing mesh", "sandbox:/run/docker/netns/ingress_sbox", "vxlan0"),
        ("b", "server container", "pid:200", "eth0"),
    ]


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_anything_else_than_interfaces_is_a_parse_error(text: bytes) -> None:
    with suppress(ParseError):
        assert all(one.name for one in parse_links(text))


FEATURES = """Features for eth0:
rx-checksumming: on
tx-checksumming: on
\ttx-checksum-ipv4: off [fixed]
tcp-segmentation-offload: off
\ttx-tcp-segmentation: off
generic-receive-offload: on
large-receive-offload: off [fixed]
tx-udp_tnl-segmentation: on
"""
NAT = """-N DOCKER
-A DOCKER -i br-x -c 0 0 -j RETURN
-A DOCKER ! -i br-x -p tcp -m tcp --dport 15380 -c 2 120 -j DNAT --to-destination 172.19.0.3:15280
-A DOCKER ! -i br-x -p tcp -m tcp --dport 15301 -j DNAT --to-destination 172.19.0.3:15201
"""
LISTENING = (
    "   1: 00000000:3BC5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
    "   2: 00000000:3BC6 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 1\n"
)
PROXIED = (
    "/usr/sbin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 15301 "
    "-container-ip 172.19.0.3 -container-port 15201 \n"
)


def test_features_and_routes_are_read() -> None:
    assert settings.parse_features(FEATURES) == {
        "tcp-segmentation-offload": False,
        "generic-receive-offload": True,
        "large-receive-offload": False,
        "rx-checksumming": True,
        "tx-checksumming": True,
        "tx-udp_tnl-segmentation": True,
    }
    said = (
        "10.128.0.3 via 10.1.0.1 dev eth0 src 10.128.0.7 uid 1000 \n    cache expires 5sec mtu 9\n"
    )
    assert settings.parse_route(said) == "10.128.0.3 via 10.1.0.1 dev eth0 src 10.128.0.7"
    assert settings.parse_route("") == ""


@pytest.mark.parametrize(
    ("nat", "listeners", "proxied", "port", "said"),
    [
        (NAT, "", False, 15380, "tcp port 15380 by DNAT to 172.19.0.3:15280, 2 connections so far"),
        # An engine without its proxy listens itself, and accepts nothing.
        (NAT, LISTENING, False, 15301, "tcp port 15301 by DNAT to 172.19.0.3:15201"),
        (
            NAT,
            LISTENING,
            True,
            15301,
            "tcp port 15301 by DNAT to 172.19.0.3:15201, docker-proxy beside it",
        ),
        (
            "",
            LISTENING,
            True,
            15301,
            "tcp port 15301 by docker-proxy; whether by DNAT, root can tell",
        ),
        (
            "",
            LISTENING,
            False,
            15301,
            "tcp port 15301 has a listener and no docker-proxy; whether by DNAT, root can tell",
        ),
        (
            NAT,
            LISTENING,
            True,
            15302,
            "tcp port 15302 has neither a listener nor a DNAT rule that can be read",
        ),
    ],
)
def test_how_a_port_is_published(
    nat: str, listeners: str, port: int, said: str, *, proxied: bool
) -> None:
    seen = publishing.Seen(nat, listeners, PROXIED if proxied else "")
    assert publishing.publication(seen, port) == said


def test_whether_an_engine_has_its_userland_proxy_on_is_told_by_its_programs() -> None:
    on, off = publishing.Seen(NAT, LISTENING, PROXIED), publishing.Seen(NAT, LISTENING, "")
    assert publishing.publisher(on, (15301, 15380)) == "docker-proxy"
    assert publishing.publisher(off, (15301, 15380)) == "kernel"
    assert publishing.publisher(off, (15999,)) == ""
    # What only names it is no proxy, nor is that of another port.
    other = f"sh -c grep docker-proxy {PROXIED}"
    assert publishing.publisher(publishing.Seen(NAT, "", other), (15301,)) == "kernel"


def test_settings_are_told_for_every_interface_on_a_path(
    attestor: Attestor, boxes: dict[str, Box]
) -> None:
    for one in boxes.values():
        one.printed["sh"] = f"\n==> if:eth1\n{FEATURES}\n==> if:eth0\n\n==> to:198.18.0.2\nR\n"
        one.printed["iptables"] = NAT
    plan = make_plan(
        ["a", "b"],
        drivers.chosen(("bridge", "overlay")),
        workloads.chosen(("iperf3-tcp",)),
        list(Placement),
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
    )
    facts, _ = settings.path_facts(attestor.locator.fleet, attestor.locator, plan)
    found = {(one.driver, one.host, one.where): one for one in facts}
    assert len(found) == len(facts)
    assert not [one for one in facts if "avoided" in one.where]
    own = found["bridge", "a", "client container"]
    assert (own.interface, own.mtu, own.route) == ("eth1", 1500, "R")
    assert own.offloads == settings.parse_features(FEATURES)
    assert found["bridge", "b", "bridge"].route == "tcp port 15301 by DNAT to 172.19.0.3:15201"
    assert found["host", "a", "data interface"].route == "R"
    assert found["host", "a", "data interface"].offloads == {}
    assert found["overlay", "b", "vxlan"].interface == "vxlan0"
    # One command for each container with an interface on a path, one for each sandbox, and one for
    # the proxies of each host.
    asked = [argv for one in boxes.values() for argv in one.asked if "sh" in argv[:3]]
    assert len(asked) == 2 * (1 + 2 + 2 + 1 + 1)


def test_settings_that_cannot_be_read_are_missing(
    attestor: Attestor, boxes: dict[str, Box]
) -> None:
    plan = make_plan(
        ["a", "b"],
        drivers.chosen(("macvlan",)),
        workloads.chosen(("iperf3-tcp",)),
        [CROSS],
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
    )
    attestor.prepare(plan)
    for name, one in boxes.items():
        one.fault = EngineError(name, "it is down")
    facts, _ = settings.path_facts(attestor.locator.fleet, attestor.locator, plan)
    assert facts
    assert {(tuple(one.offloads), one.route) for one in facts} == {((), "")}
