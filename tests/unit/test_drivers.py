"""All drivers and accesses: what is planned, deployed, reached, refused, and why."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import capability, drivers, isolation, probe, routes, workloads
from bench.analysis.display import treatment
from bench.analysis.likeness import differences
from bench.capability import Capability
from bench.deployment import LINK_NAME, Deployment
from bench.drivers.base import MTU_OPTION, Driver, NetworkSpec, Site, SiteHost
from bench.errors import HostError, ParseError, UsageError
from bench.facts import underlay
from bench.facts.findings import kernels
from bench.facts.kernel import KERNEL, parse_lacking
from bench.facts.network import require_parent
from bench.gauges import publishing
from bench.matrix import parse_accesses, refuse_idle, ways
from bench.model import (
    Access,
    Cell,
    Host,
    HostFacts,
    HostPair,
    Placement,
    Plan,
    Status,
    UnderlayPath,
)
from bench.plan import make_plan
from bench.ports import mesh_port, mesh_refusal
from bench.remote import wire
from bench.remote.api import Completed, ContainerSpec, ServiceSpec
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet
from bench.report import setup
from bench.site import choose_site, parse_mtu
from bench.store import StoredRun, load
from bench.units import NOTHING
from tests.unit.test_runner import NAMES, go, iperf3_report, world

__all__ = ["world"]

SAME, CROSS = Placement.SAME_HOST, Placement.CROSS_HOST
SITE = Site(1500, IPv4Network("10.231.0.0/24"), IPv4Network("198.19.0.0/16"))
EVERY = drivers.chosen((drivers.ALL,))
DRIVERS = [pytest.param(one, id=one.name) for one in EVERY]
LOOPBACK = "127.0.0.1"


def test_four_drivers_are_usual_and_each_is_reached_in_one_way_unless_more_is_asked_for() -> None:
    assert [one.name for one in drivers.chosen(())] == ["host", "bridge", "macvlan", "overlay"]
    assert {one.name for one in EVERY} == set(drivers.known())
    for driver in EVERY:
        for placement in Placement:
            assert len(ways(driver, placement, ())) == (placement in driver.accesses)
    overlay = drivers.known()["overlay"]
    assert ways(overlay, CROSS, (Access.VIP, Access.DIRECT)) == (Access.DIRECT, Access.VIP)
    assert ways(drivers.known()["host"], CROSS, (Access.VIP,)) == (Access.DIRECT,)


def test_accesses_and_drivers_that_do_not_go_together_are_refused_with_what_there_is() -> None:
    chosen = drivers.chosen(("macvlan", "overlay"))
    assert parse_accesses(("vip", "vip"), chosen) == (Access.VIP,)
    assert Access.PUBLISHED_INGRESS in parse_accesses(("all",), chosen)
    assert parse_accesses(("all",), drivers.chosen(("none",))) == (Access.DIRECT,)
    with pytest.raises(UsageError, match="unknown access 'vop'; known are: direct, dns, vip"):
        parse_accesses(("vop",), chosen)
    with pytest.raises(UsageError, match=r"macvlan does not have the access vip.*direct, dns same"):
        refuse_idle(chosen, list(Placement), (Access.VIP,))
    with pytest.raises(UsageError, match="the driver none does not have a path cross-host"):
        refuse_idle(drivers.chosen(("none",)), [CROSS], ())
    with pytest.raises(UsageError, match="none of the drivers has the access vip"):
        planned(("bridge",), (Access.VIP,))


def planned(
    names: tuple[str, ...],
    accesses: tuple[Access, ...],
    asked: tuple[str, ...] = ("iperf3-tcp",),
    **changes: object,
) -> Plan:
    return make_plan(
        NAMES,
        drivers.chosen(names),
        workloads.chosen(asked),
        list(Placement),
        **{"blocks": 1, **changes},  # type: ignore[arg-type]
        duration=1,
        warmup=0,
        seed=3,
        accesses=accesses,
    )


def test_no_two_drivers_publish_on_the_same_ports() -> None:
    offsets = [one.published for one in EVERY if one.published]
    assert len(set(offsets)) == len(offsets)
    # The routing mesh's ports begin above all of them, and no two hosts share one.
    served = {port for one in workloads.known().values() for port in workloads.ports(one)}
    highest = max(offsets) + max(served)
    ports = [mesh_port(0, n, port) for n in range(30) for port in served]
    assert min(ports) > highest
    assert len(set(ports)) == len(ports)


@given(st.integers(1024, 65_001), st.integers(1, 200))
def test_the_mesh_refuses_what_goes_beyond_the_last_port_and_says_what_would_do(
    base: int, hosts: int
) -> None:
    why = mesh_refusal(base, hosts)
    last = mesh_port(base, hosts - 1, 80)
    assert bool(why) == (last > 65_535)
    if why:
        least = int(why.split("netbench_port_base to ")[1].split()[0])
        assert mesh_refusal(least, hosts) == ""
        assert mesh_refusal(least + 1, hosts)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_mtu_is_set_to_fit_or_left_to_the_engine(driver: Driver) -> None:
    fitted = driver.network(replace(SITE, mtu=1410))
    plain = driver.network(replace(SITE, mtu=None))
    assert fitted is None or MTU_OPTION not in (plain.options if plain else {})
    if driver.name in {"bridge", "overlay", "overlay-encrypted"}:
        assert fitted is not None
        assert fitted.options[MTU_OPTION] == "1410"


def test_the_variants_ask_docker_for_what_their_names_say() -> None:
    known = drivers.known()
    site = replace(SITE, encrypted_subnet=IPv4Network("10.232.0.0/24"))
    secret, plain = known["overlay-encrypted"].network(site), known["overlay"].network(site)
    assert secret is not None
    assert plain is not None
    assert "encrypted" in secret.options
    assert "encrypted" not in plain.options
    assert secret.subnet != plain.subnet
    for mode in ("l2", "l3"):
        driver = known[f"ipvlan-{mode}"]
        spec = driver.host_network(site, SiteHost(0, "a", "eth1"))
        made = driver.network(site)
        assert spec is not None
        assert made is not None
        assert spec.options == {"parent": "eth1", "ipvlan_mode": mode}
        assert (spec.driver, made.driver, made.from_config) == ("ipvlan", "ipvlan", True)


def test_in_l3_mode_every_host_gets_a_route_to_each_others_range() -> None:
    hosts = [
        SiteHost(number, name, "eth1", f"10.0.0.{number}") for number, name in enumerate("abc")
    ]
    driver = drivers.known()["ipvlan-l3"]
    found = driver.routes(SITE, hosts[1], hosts)
    ranges = {h.name: (driver.host_network(SITE, h) or pytest.fail(h.name)).ip_range for h in hosts}
    assert {str(net): hop for net, hop in found.items()} == {
        ranges["a"]: "10.0.0.0",
        ranges["c"]: "10.0.0.2",
    }
    assert all(not one.routes(SITE, hosts[0], hosts) for one in EVERY if one is not driver)


# Kernels.

SAID = """ip_vs no no module ip_vs is loaded and the kernel has none to load
ipvlan no Error: Unknown device type.
macvlan yes it was tried
vxlan yes it was tried
esp4 unknown only root can try it
"""


def test_what_a_kernel_lacks_is_told_with_how_it_is_known() -> None:
    lacks = parse_lacking(SAID)
    assert lacks == {
        Capability.IPVS: "no module ip_vs is loaded and the kernel has none to load",
        Capability.IPVLAN: "Error: Unknown device type.",
    }
    why = capability.lack({Capability.IPVLAN}, {"a": {}, "b": lacks, "c": lacks})
    assert why.startswith("b, c: the kernel has no ipvlan (Error: Unknown device type.); use a ")
    assert "CONFIG_IPVLAN" in why
    # What cannot be told is no reason to skip anything.
    assert capability.lack({Capability.ESP}, {"a": lacks}) == ""
    for text in ("", "ip_vs perhaps\n", SAID.replace("vxlan", "vxlon"), SAID + "x\n"):
        with pytest.raises(ParseError):
            parse_lacking(text)


def test_the_check_says_what_is_skipped_for_it() -> None:
    (one, two) = kernels({"a": {"ip_vs": "no module"}, "b": {"esp4": "no algorithm"}, "c": {}})
    assert one.warning
    assert str(one).startswith("a: the kernel has no IP_VS (no module): it skips accesses vip and ")
    assert str(two).startswith("b: the kernel has no ESP with AES-GCM (IPsec) (no algorithm): it ")
    assert "skips drivers overlay-encrypted; use" in str(two)


# MTU.


def facts(name: str, mtu: int) -> HostFacts:
    return HostFacts(name, "os", "6.1", "28.0", "x86_64", 2, 1, f"10.0.0.{ord(name)}", "eth0", mtu)


def test_the_least_that_fits_between_hosts_is_the_networks_mtu() -> None:
    hosts = [facts("a", 9001), facts("b", 9001)]
    mac = "198.19.0.0/16"
    assert choose_site(hosts, {}, mac).mtu == 9001
    assert choose_site(hosts, {}, mac, fitting=[8946, 1437]).mtu == 1437
    assert choose_site(hosts, {}, mac, mtu="default", fitting=[1437]).mtu is None
    assert choose_site(hosts, {}, mac, mtu="1300", fitting=[1437]).mtu == 1300
    for text in ("", "575", "65536", "1e3", "-1500", "auto ", "\u0661\u0665\u0660\u0660"):
        with pytest.raises(UsageError, match="is no MTU; write auto, default, or a number"):
            parse_mtu(text)


def test_black_holes_are_named_with_the_paths_on_which_they_are() -> None:
    paths = [
        UnderlayPath("a", "b", 1500, 1437, "black-hole"),
        UnderlayPath("b", "a", 1500, 1437, "black-hole"),
        UnderlayPath("a", "c", 1500, 1500, "open"),
        UnderlayPath("c", "a", 1500, None, "not tried"),
        UnderlayPath("b", "c", 1500, 1400, "smaller"),
    ]
    hole, small = underlay_words(paths)
    assert hole == "a -> b, b -> a: black hole: packets of 1500 bytes vanish, those of 1437 arrive"
    assert small.startswith("b -> c: packets of 1500 bytes are too large for the path")
    lost = "small requests pass but 64 KiB do not: is the MTU too large for the path?"
    path = probe.Path("overlay", Access.DIRECT, CROSS, HostPair("a", "b"), "iperf3-tcp")
    made = {"overlay": {"network": "n"}}
    deployed = Deployment("r", "a", 15200, {}, {}, {}, made)
    named = probe.named(lost, deployed, path, paths)
    assert named.startswith(f"black hole: {lost}; the network was made with no MTU of its own; ")
    assert named.endswith(
        "-> b carries packets of 1437 bytes at most, and the interface's MTU is 1500"
    )
    assert probe.named("refused", deployed, path, paths) == "refused"


def underlay_words(paths: Sequence[UnderlayPath]) -> tuple[str, ...]:
    from bench.facts import complaints

    return complaints(paths)


def test_a_single_host_has_no_path_to_try() -> None:
    assert underlay(Fleet({}), {"a": facts("a", 1500)}) == ()


# What hosts have.


def with_parent(parent: str | None) -> FakeMachine:
    world = FakeWorld(lambda *_: Completed(0, b"", b""))
    machine = world.host("a")
    machine.host = Host("a", "198.18.0.1", macvlan_parent=parent)
    machine.commands["ip", "-j", "addr", "show"] = json.dumps(
        [{"ifname": name, "mtu": 1500, "addr_info": []} for name in ("lo", "eth0")]
    )
    return machine


@pytest.mark.parametrize("parent", [None, "eth0", "eth0.10"])
def test_a_parent_that_is_there_or_that_docker_makes_is_taken(parent: str | None) -> None:
    require_parent(with_parent(parent))


@pytest.mark.parametrize("parent", ["eth1", "eth1.10", "eth0.x", "eth0.12345"])
def test_a_parent_that_is_not_there_is_refused_with_those_that_are(parent: str) -> None:
    with pytest.raises(HostError, match=rf"a: has no interface {parent}, .*set it to one of eth0"):
        require_parent(with_parent(parent))


class Routed(FakeMachine):
    """A host with a routing table, of which `ip route` shows and removes netbench's."""

    def __init__(self, denied: str = "") -> None:
        super().__init__(Host("a", "198.18.0.1"), FakeWorld(lambda *_: Completed(0, b"", b"")))
        self.table: list[str] = []
        self.denied = denied

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        assert argv[:2] == ("ip", "route")
        assert argv[-2:] == ("proto", routes.PROTOCOL)
        if argv[2] == self.denied:
            return Completed(2, b"", b"RTNETLINK answers: Operation not permitted")
        if argv[2] == "add":
            self.table.append(" ".join(argv[3:6]))
        if argv[2] == "flush":
            self.table.clear()
        return Completed(0, "\n".join(self.table).encode(), b"")


def test_routes_are_laid_by_a_number_of_netbenchs_and_lifted_by_it() -> None:
    machine = Routed()
    routes.lay(machine, {IPv4Network("198.19.2.0/24"): "10.0.0.2"})
    assert machine.table == ["198.19.2.0/24 via 10.0.0.2"]
    assert routes.lift(machine) == 1
    assert machine.table == []
    assert routes.lift(machine) == 0
    with pytest.raises(
        HostError, match=r"no route to 198.19.2.0/24 by 10.0.0.2: .*set ansible_bec"
    ):
        routes.lay(Routed("add"), {IPv4Network("198.19.2.0/24"): "10.0.0.2"})
    stays = Routed("flush")
    routes.lay(stays, {IPv4Network("198.19.2.0/24"): "10.0.0.2"})
    with pytest.raises(HostError, match=r"its routes of netbench's stay .198.19.2.0/24"):
        routes.lift(stays)


# Whole runs on hosts in memory.


def listening(machine: FakeMachine, address: str, port: int) -> bytes:
    """Which task answers at an address or name, and port, as Docker and Swarm would have it."""
    own = [name for name in machine.own if "-none-server-" in name]
    if address == LOOPBACK and own:
        return own[0].encode()
    world = machine.world
    swarm = next(m.swarm for m in world.machines.values() if m.swarm and m.swarm.services)
    for spec in swarm.services.values():
        if "-client-" in spec.name:
            continue
        at = world.machines[spec.node_id.removeprefix("node-")]
        if serves(spec, at, machine, address, port):
            return spec.name.encode()
    return b"nobody"


def serves(
    spec: ServiceSpec, at: FakeMachine, client: FakeMachine, address: str, port: int
) -> bool:
    on_host = address == at.host.address
    if port in spec.mesh.values():
        # Every node's port leads there, but only of a service whose address is shared out.
        assert spec.endpoint_mode == "vip"
        return True
    if spec.network == "host" and on_host and port in {15201, 15280}:
        return True
    linked = address == LINK_NAME and "-bridge-default-server-" in spec.name and at is client
    named = linked or address in (spec.name, f"{spec.name}.1.")
    return (
        named
        or (on_host and port in spec.published.values())
        or address in at.addresses(spec.name).values()
    )


def tool(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
    inside = "-none-" in container
    if argv[0] == "netbench-probe":
        if inside and argv[1] != LOOPBACK:
            return Completed(1, b"", b"netbench-probe: cannot reach it: Network is unreachable\n")
        if not inside and argv[1] == LOOPBACK:
            return Completed(1, b"", b"netbench-probe: connection refused by 127.0.0.1:15280\n")
        return Completed(0, listening(machine, argv[1], int(argv[2])), b"")
    if argv[0] == "ip" and inside:
        lo = [
            {"ifname": "lo", "mtu": 65536, "addr_info": [{"local": LOOPBACK}]},
            {"ifname": "sit0"},
        ]
        return Completed(0, json.dumps(lo if "addr" in argv else []).encode(), b"")
    if argv[0] == "iperf3":
        return Completed(0, iperf3_report(1e9), b"")
    return Completed(0, b"", b"")


@pytest.fixture
def hosts(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    """The hosts of the runner's tests, with every network that there is."""
    monkeypatch.setattr(probe, "PROBE_WITHIN", 0.0)
    world.tool = tool
    return world


def measured(hosts: FakeWorld, tmp_path: Path, plan: Plan) -> StoredRun:
    outcome = go(hosts, tmp_path, plan=plan)
    assert outcome.end.outcome == "finished", outcome.end.message
    assert outcome.end.outstanding == ()
    for machine in hosts.machines.values():
        assert not machine.own
    return load(outcome.path)


def everything(**changes: str) -> Plan:
    return planned((drivers.ALL,), parse_accesses(("all",), EVERY), **changes)


def test_every_treatment_reaches_the_very_server_that_was_meant(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    stored = measured(hosts, tmp_path, everything())
    found = {(t.cell.driver, t.cell.access, t.cell.placement): t for t in stored.trials}
    assert len(found) == sum(len(every) for one in EVERY for every in one.accesses.values())
    for (driver, *_), trial in found.items():
        if driver in {"ipvlan-l2", "ipvlan-l3"}:
            assert trial.status is Status.SKIPPED
            assert "macvlan has the parent interface" in trial.reason
        else:
            assert trial.status is Status.COMPLETED, (trial.cell, trial.reason)
    isolation_found = stored.info.networks["none"]["isolation"]
    assert isolation_found.startswith(
        "a, b, c: interfaces with addresses: lo; routes: none; out to "
    )
    assert "Network is unreachable; in from the host: not answered" in isolation_found


@pytest.mark.parametrize("mode", ["l2", "l3"])
def test_ipvlan_has_the_parent_where_macvlan_is_not_measured(
    hosts: FakeWorld, tmp_path: Path, mode: str
) -> None:
    stored = measured(hosts, tmp_path, planned((f"ipvlan-{mode}",), ()))
    status = {(t.cell.driver, t.cell.placement): t for t in stored.trials}
    assert status[f"ipvlan-{mode}", SAME].status is Status.COMPLETED
    across = status[f"ipvlan-{mode}", CROSS]
    # The fake hosts take no routes, which L3 needs between them.
    assert across.status is (Status.SKIPPED if mode == "l3" else Status.COMPLETED)
    if mode == "l3":
        assert "takes no route to 198.19." in across.reason
        assert "routes are set as root" in across.reason


def test_what_the_kernels_lack_is_skipped_with_what_would_enable_it(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    said = SAID.replace("esp4 unknown", "esp4 no")
    for name in ("b", "c"):
        hosts.machines[name].commands[KERNEL.argv] = said
    stored = measured(hosts, tmp_path, everything())
    for trial in stored.trials:
        cell, needs = trial.cell, drivers.known()[trial.cell.driver].requires
        lacks = needs & {Capability.ESP, Capability.IPVLAN}
        lacks |= capability.OF_ACCESS.get(cell.access, frozenset())
        assert trial.status is (Status.SKIPPED if lacks else Status.COMPLETED), cell
        if lacks:
            assert trial.reason.startswith("b, c: the kernel has no ")
            assert "CONFIG_" in trial.reason
    # Nothing was even created for what cannot be.
    assert "overlay-encrypted" not in stored.info.networks


def test_a_container_that_should_be_alone_and_is_not_is_no_result(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    def leaking(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "ip" and "-none-" in container:
            info = [{"ifname": "eth0", "addr_info": [{"local": "172.17.0.2"}], "dst": "default"}]
            return Completed(0, json.dumps(info).encode(), b"")
        if argv[0] == "netbench-probe" and "-none-" in container and argv[1] != LOOPBACK:
            return Completed(0, listening(machine, argv[1], int(argv[2])), b"")
        return tool(machine, container, argv)

    hosts.tool = leaking
    stored = measured(hosts, tmp_path, planned(("none",), ()))
    (trial,) = [one for one in stored.trials if one.cell.driver == "none"]
    assert trial.status is Status.SKIPPED
    for words in ("it is not isolated", "eth0 has 172.17.0.2", "a route to default", "it gets out"):
        assert words in trial.reason
    assert "it is not isolated" in stored.info.networks["none"]["isolation"]


def test_an_engine_that_refuses_the_lonely_containers_costs_that_driver_alone(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    hosts.machines["b"].refuses_services.add("none-client")
    stored = measured(hosts, tmp_path, planned(("none", "bridge"), ()))
    for trial in stored.trials:
        lonely = trial.cell.driver == "none"
        assert trial.status is (Status.SKIPPED if lonely else Status.COMPLETED)
        assert not lonely or "is refused; it needs nothing but the engine" in trial.reason


def test_a_port_of_the_own_host_takes_the_userland_proxy_where_an_overlay_is_behind_it() -> None:
    needed = drivers.known()["overlay"].needs_for
    assert "userland proxy" in needed(Access.PUBLISHED_HOST, SAME)
    assert "userland proxy" not in needed(Access.PUBLISHED_HOST, CROSS)
    assert "userland proxy" not in needed(Access.DIRECT, SAME)


def test_what_cannot_be_inside_one_namespace_is_skipped_there(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    stored = measured(hosts, tmp_path, planned(("none",), (), ("tcp-rr", "iperf3-tcp:pairs=2")))
    skipped = {t.cell.workload: t.reason for t in stored.trials if t.status is Status.SKIPPED}
    assert skipped == {
        "tcp-rr": "netperf takes no address where there is none but the loopback's",
        "iperf3-tcp:pairs=2": "several pairs at once would share none's one namespace",
    }


def test_a_link_that_an_engine_refuses_costs_that_access_alone(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    hosts.machines["c"].refuses_services.add("bridge-default-linked")
    stored = measured(hosts, tmp_path, planned(("bridge-default",), (Access.LINK, Access.DIRECT)))
    found = {t.cell.access: t for t in stored.trials if t.cell.driver == "bridge-default"}
    assert found[Access.DIRECT].status is Status.COMPLETED
    assert found[Access.LINK].status is Status.SKIPPED
    assert found[Access.LINK].reason.startswith("c: ")


def test_a_link_leads_from_one_container_to_the_other() -> None:
    links = {"0123abcd": "netbench-server"}
    spec = ContainerSpec("n", "i", ("sleep",), "bridge", {}, links=links)
    body = wire.container(spec)["HostConfig"]
    assert (body["NetworkMode"], body["Links"]) == ("bridge", ["0123abcd:netbench-server"])


@pytest.mark.parametrize("kind", ["service", "network"])
def test_a_name_that_somebody_else_has_is_refused_before_anything_is_made(
    hosts: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _size: "abc123")
    names = {"service": "netbench-abc123-bridge-server-1", "network": "netbench-abc123-bridge"}
    machines = hosts.machines
    machines["a"].swarm_init("198.18.0.1", {})
    for name in ("b", "c"):
        machines[name].swarm_join("198.18.0.9", "198.18.0.1", machines["a"].worker_token())
        machines["a"].swarm.members[name] = machines[name].host.address
    if kind == "service":
        theirs = ServiceSpec(names[kind], "web", (), "host", "node-b", {})
        machines["a"].create_service(theirs)
    else:
        machines["a"].create_network(names[kind], NetworkSpec("overlay", "swarm"), {})
    swarm = machines["a"].swarm
    before = dict(swarm.services), dict(swarm.networks)
    outcome = go(hosts, tmp_path, plan=planned(("bridge",), ()))
    assert outcome.end.outcome == "failed"
    assert f"a: there is somebody else's {kind} {names[kind]}, a name" in outcome.end.message
    # What is theirs is as it was, and nothing of ours was made.
    assert (dict(swarm.services), dict(swarm.networks)) == before
    assert outcome.end.outstanding == ()


def test_a_parent_that_a_host_does_not_have_ends_the_run_before_anything_is_made(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    machine = hosts.machines["b"]
    machine.host = replace(machine.host, macvlan_parent="nosuch0")
    with pytest.raises(HostError, match=r"b: has no interface nosuch0, .*; set it to one of eth0"):
        go(hosts, tmp_path, plan=planned(("macvlan",), ()))
    assert not any(one.own or one.swarm for one in hosts.machines.values())
    # Who does not measure on it is not asked for it.
    measured(hosts, tmp_path, planned(("overlay",), ()))


def test_a_subnet_that_a_host_uses_costs_its_driver_alone_of_which_nothing_is_made(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    theirs = [{"dst": "198.19.4.0/24", "dev": "eth7"}]
    hosts.machines["c"].commands["ip", "-j", "route", "show"] = json.dumps(theirs)
    stored = measured(hosts, tmp_path, planned(("macvlan", "overlay"), ()))
    for trial in stored.trials:
        overlaps = trial.cell.driver == "macvlan"
        assert trial.status is (Status.SKIPPED if overlaps else Status.COMPLETED)
        assert ("198.19.0.0/16 overlaps 198.19.4.0/24, which c uses" in trial.reason) == overlaps
    assert set(stored.info.networks) == {"host", "overlay"}


def test_how_ports_are_published_is_recorded_shown_and_compared(
    hosts: FakeWorld, tmp_path: Path
) -> None:
    proxy = "docker-proxy -proto tcp -host-port 15301 -container-port 15201 \n"
    listener = "  0: 00000000:3BC5 00000000:0000 0A 00000000:00000000\n"
    for name in ("a", "c"):
        hosts.machines[name].commands[publishing.LISTENERS] = listener
        hosts.machines[name].commands[publishing.PROXIES] = proxy if name == "a" else ""
    stored = measured(hosts, tmp_path, planned(("bridge",), (), blocks=3))
    found = {host.name: host.publishing for host in stored.info.hosts}
    assert found == {"a": "docker-proxy", "b": "", "c": "kernel"}
    grid = setup.hosts(stored.info.hosts)
    place = grid.columns.index("Published ports")
    assert [row.cells[place] for row in grid.rows] == [
        "docker-proxy (userland-proxy on)",
        NOTHING,
        "kernel alone (userland-proxy off)",
    ]
    others = tuple(replace(host, publishing="kernel") for host in stored.info.hosts)
    (said,) = differences(stored.info, replace(stored.info, hosts=others))
    assert str(said) == "published ports of a: docker-proxy in BASE, kernel in NEW"


def test_the_mtu_that_was_asked_for_is_recorded(hosts: FakeWorld, tmp_path: Path) -> None:
    stored = measured(hosts, tmp_path, planned(("overlay",), (), mtu="default"))
    assert stored.info.plan.mtu == "default"
    assert MTU_OPTION not in stored.info.networks["overlay"]
    fitted = replace(stored.info, plan=replace(stored.info.plan, mtu="auto"))
    (said,) = differences(fitted, stored.info)
    assert said.matters
    assert str(said) == "MTU of the networks (--mtu): auto in BASE, default in NEW"
    below = (UnderlayPath("a", "b", 1500, 1437, "black-hole"),)
    facts = dict(setup.networks(replace(stored.info, underlay=below)))
    assert facts["Between the hosts"] == (
        "black hole: 1437 bytes arrive, 1500 vanish; the networks have Docker's own MTU "
        "(--mtu default)"
    )


def test_a_namespace_of_nothing_but_loopback_is_called_the_ceiling() -> None:
    assert treatment(Cell("none", Access.DIRECT, SAME, "w")) == "none (ceiling)"
    assert treatment(Cell("overlay", Access.VIP, SAME, "w")) == "overlay (vip)"
    assert treatment(Cell("bridge", Access.DIRECT, SAME, "w")) == "bridge"


@given(st.text(max_size=60) | st.just('[{"ifname": 1, "addr_info": [1]}]'))
def test_what_ip_prints_is_read_or_refused(text: str) -> None:
    for parse in (isolation.parse_addressed, isolation.parse_routes):
        try:
            parse(text)
        except ParseError:
            continue
