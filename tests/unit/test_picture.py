"""What a packet crosses: found on hosts, stored, and drawn with what each thing costs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.analysis.staircase import Treatment, staircase
from bench.analysis.summary import summarise
from bench.cli.path import command
from bench.errors import HostUnreachable, StoreError, UsageError
from bench.gauges.attest import Attestor
from bench.gauges.nat import DNAT, MASKED, parse_nat
from bench.gauges.picture import pictures
from bench.gauges.way import Way
from bench.model import (
    Access,
    Crossing,
    Hop,
    HostPair,
    PathPicture,
    Placement,
    Plan,
    PlannedTrial,
    Status,
)
from bench.plan import make_plan
from bench.remote.fleet import Fleet
from bench.report import as_text, drawings, write_report
from bench.store import load
from tests.unit.synthetic import write_run
from tests.unit.test_attest import Box, box, deployed
from tests.unit.test_ways import Node, node, standing

SAME, CROSS = Placement.SAME_HOST, Placement.CROSS_HOST
PAIR = HostPair("a", "b")
NAT = """-P PREROUTING ACCEPT
-A POSTROUTING -s 172.18.0.0/16 ! -o br-uaaaaaaaaaaa -j MASQUERADE
-A DOCKER ! -i br-uaaaaaaaaaaa -p tcp -m tcp --dport 15301 -j DNAT --to-destination 172.18.0.3:15201
-A DOCKER-INGRESS -p tcp -m tcp --dport 16301 -j DNAT --to-destination 172.18.0.2:16301
"""


def kinds(links: list[object]) -> list[object]:
    """With the kind of each interface, as ``ip -d`` tells it: by what the tests call them."""
    found = {"veth": "veth", "br": "bridge", "docker": "bridge", "vxlan": "vxlan"}
    told = []
    for one in links:
        assert isinstance(one, dict)
        name = str(one["ifname"])
        kind = next((kind for start, kind in found.items() if name.startswith(start)), "")
        if one.get("link_index"):
            kind = "veth"
        told.append({**one, "linkinfo": {"info_kind": kind}} if kind else one)
    return told


def typed(plain: Box) -> Box:
    inside = {key: kinds(links) for key, links in plain.inside.items()}
    for key, links in inside.items():
        if key.startswith("macvlan"):
            info = {"info_kind": "macvlan", "info_data": {"mode": "bridge"}}
            inside[key] = [
                {**one, "linkinfo": info} if one["ifname"] == "eth1" else one  # type: ignore[index,dict-item]
                for one in links
            ]
    # The host's end of a cable knows the container's, as that knows it.
    links = [
        {**one, "link_index": 9} if one["ifname"] in ("veth0", "veth1") else one  # type: ignore[index,dict-item]
        for one in plain.links
    ]
    return replace(plain, links=kinds(links), inside=inside, printed={"iptables": NAT})


def planned(*names: str, accesses: tuple[Access, ...] = ()) -> Plan:
    return make_plan(
        ["a", "b"],
        drivers.chosen(names),
        workloads.chosen(("iperf3-tcp",)),
        [SAME, CROSS],
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
        accesses=accesses,
        aa=0,
    )


def found(
    boxes: Mapping[str, Box], plan: Plan, broken: Mapping[Way, str] | None = None
) -> dict[tuple[str, Access, Placement], PathPicture]:
    fleet = Fleet(dict(boxes))  # type: ignore[arg-type]
    locator = Attestor(fleet, deployed("a", "b")).locator
    every = pictures(fleet, locator, plan, broken or {})
    return {(one.driver, one.access, one.placement): one for one in every if one.pair == PAIR}


@pytest.fixture
def boxes() -> dict[str, Box]:
    return {"a": typed(box("a", 1)), "b": typed(box("b", 2))}


def told(one: PathPicture) -> list[str]:
    return [f"{hop.host} {hop.space}: {hop.interface} {hop.crossing}" for hop in one.hops]


def test_a_path_on_a_bridge_is_whole_from_container_to_container(boxes: dict[str, Box]) -> None:
    seen = found(boxes, planned("bridge"))
    assert told(seen["bridge", Access.DIRECT, SAME]) == [
        "b client container: eth1 veth",
        "b host: veth1 veth",
        "b host: br-uaaaaaaaaaaa bridge",
        "b host: veth0 veth",
        "b server container: eth1 veth",
    ]
    across = seen["bridge", Access.PUBLISHED_HOST, CROSS]
    assert told(across) == [
        "a client container: eth1 veth",
        "a host: veth1 veth",
        "a host: br-uaaaaaaaaaaa bridge",
        "a host:  NAT",
        "a host: eth0 interface",
        "b host: eth0 interface",
        "b host:  NAT",
        "b host: br-uaaaaaaaaaaa bridge",
        "b host: veth0 veth",
        "b server container: eth1 veth",
    ]
    assert across.target == "198.18.0.2:15301"
    rules = [hop.detail for hop in across.hops if hop.crossing is Crossing.NAT]
    assert rules == ["MASQUERADE of 172.18.0.0/16", "DNAT of TCP 15301 to 172.18.0.3:15201"]


def test_from_the_same_bridge_a_published_port_is_docker_proxys(boxes: dict[str, Box]) -> None:
    plan = planned("bridge", accesses=(Access.PUBLISHED_HOST,))
    hops = found(boxes, plan)["bridge", Access.PUBLISHED_HOST, SAME].hops
    assert [hop.crossing.value for hop in hops] == [
        *("veth", "veth", "bridge", "docker-proxy", "bridge", "veth", "veth")
    ]
    assert "leaves out what comes by br-uaaaaaaaaaaa" in hops[3].detail
    for one in boxes.values():
        one.printed["iptables"] = NAT.replace("! -i br-uaaaaaaaaaaa ", "")
    hops = found(boxes, plan)["bridge", Access.PUBLISHED_HOST, SAME].hops
    assert hops[3].crossing is Crossing.NAT


def test_host_and_macvlan_cross_little(boxes: dict[str, Box]) -> None:
    seen = found(boxes, planned("macvlan"))
    assert told(seen["host", Access.DIRECT, SAME]) == ["b host: lo loopback"]
    assert told(seen["macvlan", Access.DIRECT, CROSS]) == [
        "a client container: eth1 macvlan",
        "a host: mac0 interface",
        "b host: mac0 interface",
        "b server container: eth1 macvlan",
    ]
    assert seen["macvlan", Access.DIRECT, CROSS].hops[0].detail.startswith("mode bridge; 10.0.1.1")


def test_what_cannot_be_seen_is_said_at_its_place(boxes: dict[str, Box]) -> None:
    boxes["a"].sandbox = "none of them"
    seen = found(boxes, planned("overlay"))
    across = seen["overlay", Access.DIRECT, CROSS]
    unseen = [hop for hop in across.hops if "not seen" in hop.detail]
    assert [(hop.host, hop.crossing) for hop in unseen] == [
        ("a", Crossing.VETH),
        ("a", Crossing.BRIDGE),
        ("a", Crossing.VXLAN),
    ]
    assert all("only root can read it" in hop.detail for hop in unseen)


def test_a_host_that_does_not_answer_leaves_a_picture(boxes: dict[str, Box]) -> None:
    boxes["a"].fault = HostUnreachable("a", "the connection was lost")
    across = found(boxes, planned("bridge"))["bridge", Access.PUBLISHED_HOST, CROSS]
    here = [hop.detail for hop in across.hops if hop.host == "a"]
    assert here
    assert all("the connection was lost" in said for said in here)
    assert len([hop for hop in across.hops if hop.host == "b"]) == 5


def test_a_broken_path_says_why(boxes: dict[str, Box]) -> None:
    way = Way("macvlan", Access.DIRECT, CROSS, PAIR)
    seen = found(boxes, planned("macvlan"), {way: "no answer"})
    assert seen["macvlan", Access.DIRECT, CROSS].broken == "no answer"
    assert seen["macvlan", Access.DIRECT, CROSS].hops
    assert not seen["macvlan", Access.DIRECT, SAME].broken


def every_node() -> dict[str, Node]:
    made = {}
    for number, name in enumerate(("a", "b"), start=1):
        plain = node(name, number)
        inside = {
            key: [
                {**one, "link_index": 70, "linkinfo": {"info_kind": "veth"}}  # type: ignore[dict-item]
                for one in links
            ]
            for key, links in plain.inside.items()
        }
        made[name] = replace(plain, inside=inside, links=kinds(plain.links))
    return made


@pytest.mark.parametrize(
    ("access", "crossed"),
    [
        (Access.VIP, ["veth", "IPVS", "interface", "interface", "interface", "interface", "veth"]),
        (
            Access.PUBLISHED_INGRESS_OTHER,
            ["veth", "IPVS", "interface", "interface", "interface", "interface", "veth"],
        ),
    ],
)
def test_where_swarm_shares_out_addresses_is_on_the_way(access: Access, crossed: list[str]) -> None:
    fleet = Fleet(every_node())  # type: ignore[arg-type]
    locator = Attestor(fleet, standing()).locator
    plan = planned("overlay", accesses=(access,))
    every = pictures(fleet, locator, plan, {})
    (across,) = (
        one
        for one in every
        if one.driver == "overlay" and one.placement is CROSS and one.pair == PAIR
    )
    assert [hop.crossing.value for hop in across.hops] == crossed


def test_rules_of_translation_are_read() -> None:
    rules = parse_nat(NAT)
    assert [(one.kind, one.port, one.to) for one in rules if one.kind == DNAT] == [
        (DNAT, 15301, "172.18.0.3:15201"),
        (DNAT, 16301, "172.18.0.2:16301"),
    ]
    (masked,) = (one for one in rules if one.kind == MASKED)
    assert masked.covers("172.18.9.9")
    assert not masked.covers("172.19.0.1")
    assert not masked.covers("nonsense")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"-A POSTROUTING -s [0-9./]{1,20} -j MASQUERADE"))
def test_any_text_is_rules_or_none(text: str) -> None:
    assert all(one.kind in (DNAT, MASKED) for one in parse_nat(text))


VETH, BRIDGE, VXLAN, PLAIN = Crossing.VETH, Crossing.BRIDGE, Crossing.VXLAN, Crossing.INTERFACE


def drawn(
    driver: str, placement: Placement, crossed: list[Crossing], access: Access = Access.DIRECT
) -> tuple[PathPicture, ...]:
    """The same picture for each pair of three hosts."""
    names = ("lab1", "lab2", "lab3")
    made = []
    for place, client in enumerate(names):
        pair = HostPair(client, names[(place + 1) % 3])
        ends = [client, pair.server] if placement is CROSS else [pair.server]
        ordered = [crossed, crossed[::-1]][: len(ends)]
        hops = tuple(
            Hop(
                host, "host", one, "" if one is Crossing.NAT else f"x{number}", 1500, "as <b>it</b>"
            )
            for host, kinds in zip(ends, ordered, strict=True)
            for number, one in enumerate(kinds)
        )
        made.append(PathPicture(driver, access, placement, pair, "198.18.0.1:15201", hops))
    return tuple(made)


PICTURES = (
    *drawn("host", SAME, [Crossing.LOOPBACK]),
    *drawn("bridge", SAME, [VETH, BRIDGE]),
    *drawn("bridge", SAME, [VETH, BRIDGE, Crossing.NAT], Access.PUBLISHED_HOST),
    *drawn("overlay", SAME, [VETH, BRIDGE]),
    *drawn("host", CROSS, [PLAIN]),
    *drawn("bridge", CROSS, [VETH, BRIDGE, Crossing.NAT, PLAIN], Access.PUBLISHED_HOST),
    *drawn("overlay", CROSS, [VETH, BRIDGE, VXLAN, PLAIN]),
)


def halved(trial: PlannedTrial) -> float:
    return 0.5 if trial.cell.access is Access.PUBLISHED_HOST else 1.0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(
        tmp_path / "run",
        driver_names=("host", "bridge", "overlay"),
        workload_names=("iperf3-tcp",),
        blocks=7,
        noise=0.001,
        pictures=PICTURES,
        accesses=(Access.DIRECT, Access.PUBLISHED_HOST),
        shape=halved,
    )


def test_each_step_stands_on_the_treatment_with_most_in_common(run: Path) -> None:
    stored = load(run)
    stairs = staircase(stored.info.pictures, summarise(stored), stored.info.plan)
    assert stairs[Treatment("host", Access.DIRECT, CROSS)] == ()
    first, second = stairs[Treatment("bridge", Access.PUBLISHED_HOST, SAME)]
    assert first.below == Treatment("host", Access.DIRECT, SAME)
    assert first.adds == (VETH, BRIDGE)
    assert second.below == Treatment("bridge", Access.DIRECT, SAME)
    assert second.adds == (Crossing.NAT,)
    (cost,) = (one for one in second.costs if one.metric.name == "throughput")
    assert cost.verdict.ratio == pytest.approx(0.5, abs=0.01)
    # Nothing here has veth and bridge without NAT across hosts: they are one step, and said so.
    (whole,) = stairs[Treatment("bridge", Access.PUBLISHED_HOST, CROSS)]
    assert whole.adds == (VETH, BRIDGE, Crossing.NAT)
    (tunnel,) = stairs[Treatment("overlay", Access.DIRECT, CROSS)]
    assert tunnel.adds == (VETH, BRIDGE, VXLAN)


def test_ipvs_and_esp_are_steps_of_their_own_above_vxlan(tmp_path: Path) -> None:
    tunnel = [VETH, BRIDGE, VXLAN]
    seen = (
        *drawn("host", CROSS, [PLAIN]),
        *drawn("overlay", CROSS, [*tunnel, PLAIN]),
        *drawn("overlay", CROSS, [VETH, BRIDGE, Crossing.IPVS, VXLAN, PLAIN], Access.VIP),
        *drawn("overlay-encrypted", CROSS, [*tunnel, Crossing.ESP, PLAIN]),
    )
    made = write_run(
        tmp_path / "run",
        driver_names=("host", "overlay", "overlay-encrypted"),
        workload_names=("iperf3-tcp",),
        placements=(CROSS,),
        blocks=6,
        noise=0.001,
        pictures=seen,
        accesses=(Access.DIRECT, Access.VIP),
        factors={"host": 1.0, "overlay": 0.8, "overlay-encrypted": 0.2},
    )
    stored = load(made)
    stairs = staircase(stored.info.pictures, summarise(stored), stored.info.plan)
    plain = stairs[Treatment("overlay", Access.DIRECT, CROSS)]
    assert [step.adds for step in plain] == [(VETH, BRIDGE, VXLAN)]
    vip = stairs[Treatment("overlay", Access.VIP, CROSS)]
    assert [step.adds for step in vip] == [(VETH, BRIDGE, VXLAN), (Crossing.IPVS,)]
    *_, esp = stairs[Treatment("overlay-encrypted", Access.DIRECT, CROSS)]
    assert (esp.below, esp.adds) == (Treatment("overlay", Access.DIRECT, CROSS), (Crossing.ESP,))
    (cost,) = (one for one in esp.costs if one.metric.name == "throughput")
    assert cost.verdict.ratio == pytest.approx(0.25, abs=0.01)


def test_a_drawing_has_the_hops_in_order_and_the_costs_below(run: Path) -> None:
    stored = load(run)
    every = {one.title: as_text(one) for one in drawings(stored, summarise(stored))}
    assert len(every) == 7
    text = every["bridge (published-host), same-host: lab2"]
    places = [text.index(word) for word in ("x0", "x1", "+ veth and bridge", "NAT", "+ NAT")]
    assert places == sorted(places)
    assert "+ NAT, next to bridge:" in text
    assert "0.50 times, 2.0 times as slow" in text or "slower by 50" in text
    assert "2 other paths alike (lab3, lab1)" in text
    across = every["overlay, cross-host: lab1 -> lab2"]
    assert across.index("lab1\n") < across.index("the data network") < across.index("  lab2\n")
    assert across.count("+ veth, bridge and VXLAN, next to host:") == 1


def test_a_pair_whose_path_does_not_work_is_drawn_by_itself_and_without_costs(
    tmp_path: Path,
) -> None:
    broken = replace(PICTURES[-1], broken="no answer")
    stored = load(
        write_run(
            tmp_path / "run",
            driver_names=("host", "overlay"),
            workload_names=("iperf3-tcp",),
            blocks=6,
            pictures=(*PICTURES[12:15], *PICTURES[18:-1], broken),
        )
    )
    whole, part = (
        as_text(one)
        for one in drawings(stored, summarise(stored))
        if one.title.startswith("overlay, cross-host")
    )
    assert "+ veth, bridge and VXLAN, next to host:" in whole
    assert "does not work: no answer" in part
    assert "next to" not in part


def test_a_run_that_measured_nothing_has_drawings_without_costs(tmp_path: Path) -> None:
    stored = load(write_run(tmp_path / "run", stop_after=0, pictures=PICTURES[:6]))
    last = as_text(drawings(stored, summarise(stored))[-1])
    assert last.count("x1") == 1
    assert "next to" not in last


def test_a_step_without_values_of_both_says_so(tmp_path: Path) -> None:
    def unmeasured(trial: PlannedTrial) -> tuple[Status, str] | None:
        return (Status.SKIPPED, "no") if trial.cell.driver == "bridge" else None

    stored = load(write_run(tmp_path / "run", fate=unmeasured, pictures=PICTURES[:6]))
    last = as_text(drawings(stored, summarise(stored))[-1])
    assert "+ veth and bridge, next to host: no trial of this run tells what it costs" in last


def test_both_pages_hold_the_pictures_and_escape_them(run: Path) -> None:
    paths = write_report(load(run))
    html, markdown = paths.html.read_text(), paths.markdown.read_text()
    assert "What a packet crosses" in html
    assert "+ veth, bridge and VXLAN, next to host" in html
    assert "&lt;b&gt;it&lt;/b&gt;" in html
    assert "<b>it</b>" not in html
    assert "+ NAT, next to bridge:" in markdown
    assert markdown.count("```") == 2


def test_the_command_draws_a_stored_run(run: Path) -> None:
    done = CliRunner().invoke(
        command, [str(run), "--drivers", "bridge", "--placements", "same-host"]
    )
    assert done.exit_code == 0, done.output
    titles = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert titles == ["bridge, same-host: lab2", "bridge (published-host), same-host: lab2"]
    # What a step costs does not depend on which drivers are shown.
    assert "+ veth and bridge, next to host:" in done.stdout


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["{run}", "-i", "hosts.yaml"], UsageError, "give one of them"),
        (["{run}", "--drivers", "macvlan"], UsageError, "it has host/direct, bridge/direct"),
        (["{run}/nowhere"], StoreError, "there is no such folder"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    run: Path, words: list[str], kind: type[Exception], said: str
) -> None:
    done = CliRunner().invoke(command, [one.format(run=run) for one in words])
    assert isinstance(done.exception, kind)
    assert said in str(done.exception)


def test_a_run_without_pictures_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(write_run(tmp_path / "run", blocks=1))])
    assert isinstance(done.exception, UsageError)
    assert "holds no pictures of its paths" in str(done.exception)


def test_pictures_survive_the_store(run: Path) -> None:
    assert load(run).info.pictures == PICTURES
    head = json.loads((run / "run.json").read_text())
    assert head["pictures"][0]["hops"][0]["crossing"] == "loopback"
