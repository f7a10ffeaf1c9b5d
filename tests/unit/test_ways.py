"""Where the ways of clients to services lead: the namespaces and interfaces of Docker's own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from bench.deployment import BALANCED, CLIENT, LINKED, SERVER, Deployment, Place
from bench.errors import EngineError
from bench.gauges.attest import Attestor
from bench.gauges.reading import Reading, Sources
from bench.gauges.way import Way
from bench.model import Access, Cell, HostPair, Placement
from bench.remote.api import Completed, Task
from bench.remote.fleet import Fleet
from tests.unit.test_attest import Box, box, deployed, link, reading

PAIR = HostPair("a", "b")
SAME, CROSS = Placement.SAME_HOST, Placement.CROSS_HOST
RUN = "/run/docker/netns"
# What the engine calls its namespaces: prefix and the beginning of the network's id, 12 letters.
OVERLAY, SECRET = "xiu85uk3yw2664", "q7w6e5r4t3y2"
MESH = "ing0123456789"


@dataclass
class Node(Box):
    """A host with several namespaces of its engine's."""

    spaces: dict[str, list[str]] = field(default_factory=dict)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        if argv[0] != "nsenter":
            return super().run(argv, stdin=stdin, timeout=timeout)
        path = argv[1].removeprefix("--net=")
        if path not in self.spaces:
            return Completed(1, b"", b"nsenter: cannot open it: No such file or directory")
        names = [link(name, 2 + place) for place, name in enumerate(self.spaces[path])]
        return Completed(0, json.dumps([link("lo", 1), *names]).encode(), b"")


def node(name: str, number: int) -> Node:
    plain = box(name, number)
    inside, pids, links = dict(plain.inside), dict(plain.pids), list(plain.links)
    for place, end in enumerate((SERVER, CLIENT, BALANCED)):
        own = f"10.0.{number}.{place}"
        for driver in ("overlay", "overlay-encrypted"):
            key = f"{driver}-{end}-{name}"
            inside[key] = [
                link("lo", 1, "127.0.0.1"),
                link("eth1", 9, f"172.18.0.{10 + place}"),
                link("eth0", 8, own),
                *([link("eth2", 10, f"10.255.0.{number}")] if end == BALANCED else []),
            ]
            pids[key] = 1000 * number + place + (500 if "encrypted" in driver else 0)
        key = f"bridge-default-{end}-{name}"
        inside[key] = [link("eth0", 5, f"172.17.0.{place}", peer=60 + place)]
        pids[key] = 2000 * number + place
        links.append(link(f"vethd{place}", 60 + place, peer=5, master="docker0"))
    inside[f"bridge-default-{LINKED}-{name}"] = [link("eth0", 5, "172.17.0.9", peer=63)]
    pids[f"bridge-default-{LINKED}-{name}"] = 2000 * number + 9
    links.append(link("vethd3", 63, peer=5, master="docker0"))
    links += [link("docker_gwbridge", 50, "172.18.0.1"), link("docker0", 51, "172.17.0.1")]
    spaces = {
        f"{RUN}/1-{OVERLAY[:10]}": ["br0", "vxlan0"],
        f"{RUN}/1-{SECRET[:10]}": ["br0", "vxlan0"],
        f"{RUN}/1-{MESH[:10]}": ["br0", "vxlan0"],
        f"{RUN}/lb_{OVERLAY[:9]}": ["eth0"],
        f"{RUN}/ingress_sbox": ["eth0", "eth1"],
    }
    networks = {
        "net-overlay": OVERLAY,
        "net-overlay-encrypted": SECRET,
        "ingress": MESH,
        "bridge": "d0d0d0d0d0d0d0d0",
    }
    return Node(plain.host, links, inside, pids, networks, spaces=spaces)


def standing() -> Deployment:
    plain = deployed("a", "b")
    tasks = dict(plain.tasks)
    for number, host in enumerate(("a", "b"), start=1):
        for place, end in enumerate((SERVER, CLIENT, BALANCED)):
            own = f"10.0.{number}.{place}"
            for driver in ("overlay", "overlay-encrypted"):
                on = {f"net-{driver}": own}
                on |= {"ingress": f"10.255.0.{number}"} if end == BALANCED else {}
                service = f"{driver}-{end}-{host}"
                at = Place(driver, end, host)
                tasks[at] = Task(service, "running", "", host, service, on)
            service = f"bridge-default-{end}-{host}"
            on = {"bridge": f"172.17.0.{place}"}
            at = Place("bridge-default", end, host)
            tasks[at] = Task(service, "running", "", host, service, on)
        service = f"bridge-default-{LINKED}-{host}"
        at = Place("bridge-default", LINKED, host)
        on = {"bridge": "172.17.0.9"}
        tasks[at] = Task(service, "running", "", "", service, on, alone=True)
    networks = {
        **plain.networks,
        "overlay-encrypted": {"network": "net-overlay-encrypted"},
        "bridge-default": {"network": "bridge"},
    }
    return replace(plain, tasks=tasks, networks=networks)


@pytest.fixture
def attestor() -> Attestor:
    return Attestor(Fleet({"a": node("a", 1), "b": node("b", 2)}), standing())  # type: ignore[dict-item]


LB = f"sandbox:{RUN}/lb_{OVERLAY[:9]}"
TUNNEL = f"sandbox:{RUN}/1-{OVERLAY[:10]}"
MESHED = f"sandbox:{RUN}/1-{MESH[:10]}"
SHARED = f"sandbox:{RUN}/ingress_sbox"
HIDDEN = f"sandbox:{RUN}/1-{SECRET[:10]}"


@pytest.mark.parametrize(
    ("driver", "access", "placement", "expected"),
    [
        ("overlay", Access.VIP, SAME, ["b pid:2001 eth0", f"b {LB} eth0", "b pid:2002 eth0"]),
        (
            "overlay",
            Access.VIP,
            CROSS,
            [
                "a pid:1001 eth0",
                f"a {LB} eth0",
                f"a {TUNNEL} vxlan0",
                "a host eth0",
                "b host eth0",
                f"b {TUNNEL} vxlan0",
                "b pid:2002 eth0",
            ],
        ),
        ("overlay", Access.PUBLISHED_HOST, SAME, ["b pid:2001 eth1", "b pid:2000 eth1"]),
        (
            "overlay",
            Access.PUBLISHED_HOST,
            CROSS,
            [
                "a pid:1001 eth1",
                "a host docker_gwbridge",
                "a host eth0",
                "b host eth0",
                "b pid:2000 eth1",
            ],
        ),
        (
            "overlay",
            Access.PUBLISHED_INGRESS,
            CROSS,
            [
                "a pid:1001 eth1",
                "a host docker_gwbridge",
                "a host eth0",
                "b host eth0",
                f"b {SHARED} eth0",
                f"b {SHARED} eth1",
                "b pid:2002 eth2",
            ],
        ),
        (
            "overlay",
            Access.PUBLISHED_INGRESS_OTHER,
            CROSS,
            [
                "a pid:1001 eth1",
                f"a {SHARED} eth0",
                f"a {SHARED} eth1",
                f"a {MESHED} vxlan0",
                "a host eth0",
                "b host eth0",
                f"b {MESHED} vxlan0",
                "b pid:2002 eth2",
            ],
        ),
        (
            "overlay-encrypted",
            Access.DIRECT,
            CROSS,
            [
                "a pid:1501 eth0",
                f"a {HIDDEN} vxlan0",
                "a esp esp",
                "a host eth0",
                "b host eth0",
                f"b {HIDDEN} vxlan0",
                "b esp esp",
                "b pid:2500 eth0",
            ],
        ),
        (
            "overlay",
            Access.PUBLISHED_HOST_PLAIN,
            CROSS,
            ["a host eth0", "b host eth0", "b pid:2000 eth1"],
        ),
        (
            "overlay",
            Access.PUBLISHED_INGRESS_PLAIN,
            CROSS,
            [
                "a host eth0",
                "b host eth0",
                f"b {SHARED} eth0",
                f"b {SHARED} eth1",
                "b pid:2002 eth2",
            ],
        ),
        (
            "overlay",
            Access.PUBLISHED_INGRESS_OTHER_PLAIN,
            CROSS,
            [
                "a host docker_gwbridge",
                f"a {SHARED} eth0",
                f"a {SHARED} eth1",
                f"a {MESHED} vxlan0",
                "a host eth0",
                "b host eth0",
                f"b {MESHED} vxlan0",
                "b pid:2002 eth2",
            ],
        ),
        (
            "bridge-default",
            Access.PUBLISHED_HOST_PLAIN,
            CROSS,
            ["a host eth0", "b host eth0", "b host docker0", "b pid:4000 eth0"],
        ),
        (
            "bridge-default",
            Access.LINK,
            SAME,
            ["b pid:4009 eth0", "b host vethd3", "b host vethd0", "b pid:4000 eth0"],
        ),
        (
            "bridge-default",
            Access.PUBLISHED_HOST,
            SAME,
            ["b pid:4001 eth0", "b host vethd1", "b host vethd0", "b pid:4000 eth0"],
        ),
        (
            "bridge-default",
            Access.PUBLISHED_HOST,
            CROSS,
            [
                "a pid:2001 eth0",
                "a host docker0",
                "a host eth0",
                "b host eth0",
                "b host docker0",
                "b pid:4000 eth0",
            ],
        ),
    ],
)
def test_every_way_leads_to_the_very_interfaces(
    attestor: Attestor, driver: str, access: Access, placement: Placement, expected: list[str]
) -> None:
    located = attestor.locator.locate(Way(driver, access, placement, PAIR))
    assert located.missing == ()
    carrying = [spot for spot in located.spots if spot.waypoint.carries]
    assert [f"{spot.host} {spot.key} {spot.interface}" for spot in carrying] == expected


def test_what_an_overlay_publishes_must_not_pass_the_overlay(attestor: Attestor) -> None:
    for access in (Access.PUBLISHED_HOST, Access.PUBLISHED_INGRESS):
        located = attestor.locator.locate(Way("overlay", access, CROSS, PAIR))
        (kept_from,) = [spot for spot in located.spots if not spot.waypoint.carries]
        assert (kept_from.key, kept_from.interface) == ("pid:1001", "eth0")


def test_plain_packets_of_an_encrypted_overlay_fail_the_trial(attestor: Attestor) -> None:
    cell = Cell("overlay-encrypted", Access.DIRECT, CROSS, "iperf3-tcp")
    sources = attestor.sources(cell, PAIR)
    assert sources["a"] == Sources((1501,), (f"{RUN}/1-{SECRET[:10]}",), esp=True)
    keys = {host: ["host", *found.keys()] for host, found in sources.items()}

    def counted(moved: int, esp: int) -> dict[str, Reading]:
        return {
            host: reading(
                {
                    key: {"esp": esp} if key == "esp" else dict.fromkeys(("eth0", "vxlan0"), moved)
                    for key in found
                }
            )
            for host, found in keys.items()
        }

    nothing = counted(0, 0)
    assert attestor.attest(cell, PAIR, nothing, counted(10**9, 10**9), 9e8).complaint == ""
    told = attestor.attest(cell, PAIR, nothing, counted(10**9, 0), 9e8).complaint
    assert "a esp (ESP) counted 0 B, expected at least 810 MB; b esp (ESP) counted 0 B" in told


def test_names_and_ports_lead_to_the_server_that_is_meant() -> None:
    standing_now = standing()
    known = {
        Access.DNS: ("overlay-server-b", 15280),
        Access.VIP: ("overlay-balanced-b", 15280),
        Access.PUBLISHED_HOST: ("198.18.0.2", 15580),
        Access.PUBLISHED_HOST_PLAIN: ("198.18.0.2", 15580),
        Access.PUBLISHED_INGRESS: ("198.18.0.2", 16380),
        Access.PUBLISHED_INGRESS_PLAIN: ("198.18.0.2", 16380),
        Access.PUBLISHED_INGRESS_OTHER: ("198.18.0.1", 16380),
        Access.PUBLISHED_INGRESS_OTHER_PLAIN: ("198.18.0.1", 16380),
    }
    for access, expected in known.items():
        cell = Cell("overlay", access, CROSS, "http-echo")
        assert standing_now.endpoint(cell, PAIR, 80) == expected
        own = "host" if access.plain else "overlay"
        assert standing_now.client(cell, PAIR).service == f"{own}-client-a"
    cell = Cell("bridge-default", Access.LINK, SAME, "http-echo")
    assert standing_now.endpoint(cell, PAIR, 80) == ("netbench-server", 15280)
    assert standing_now.client(cell, PAIR).service == "bridge-default-linked-b"
    # Of a bridge the containers' own names are known, and no services'.
    tasks = dict(standing_now.tasks)
    at = Place("bridge", SERVER, "b")
    tasks[at] = replace(tasks[at], task_id="xyz")
    named = replace(standing_now, tasks=tasks)
    cell = Cell("bridge", Access.DNS, SAME, "http-echo")
    assert named.endpoint(cell, PAIR, 80) == ("bridge-server-b.1.xyz", 15280)
    nowhere = replace(tasks[at], addresses={})
    with pytest.raises(EngineError, match="bridge-server-b has no address on net-bridge"):
        replace(named, tasks={**tasks, at: nowhere}).endpoint(
            replace(cell, access=Access.DIRECT), PAIR, 80
        )
