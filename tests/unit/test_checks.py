"""The checks of `netbench verify` on hosts in memory: what they find, and that they can fail."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bench import checks, images, stage
from bench.checked import Outcome, Verification, failures
from bench.checks import _faults, _life, _outage, _places, _reach, balance, dns, failover, isolation
from bench.checks._places import ENCRYPTED, TENANT_A, TENANT_B
from bench.checks.isolation import read_underlay
from bench.cli.report import command as report_command
from bench.cli.verify import command
from bench.errors import DeployError, EngineError, ParseError, StoreError, UsageError
from bench.model import Host
from bench.remote import fleet
from bench.remote.api import Completed, Labelled, ServiceSpec, Task
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet
from bench.store.verification import load_verification
from bench.swarm import Swarm
from bench.toolbox.build import Archive
from tests.unit.checking import GATEWAY, Names, Networks, docker, world
from tests.unit.test_runner import is_clean
from tests.unit.test_scenarios import INVENTORY

ALL = "ip_vs yes x\nipvlan yes x\nmacvlan yes x\nvxlan yes x\nesp4 yes x\n"
NO_ESP = "ip_vs no x\nipvlan no x\nmacvlan yes x\nvxlan yes x\nesp4 no algorithm not found\n"


@pytest.fixture
def nets() -> Networks:
    return Networks()


@pytest.fixture
def made(nets: Networks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeWorld:
    path = tmp_path / "image"
    path.write_text("sha256:toolbox")
    archive = Archive(path, "sha256:toolbox", "netbench-toolbox:x", {}, "amd64")
    monkeypatch.setattr(images, "ensure_archive", lambda _progress: archive)
    found = world(nets)
    found.command = lambda _machine, argv: (
        Completed(0, NO_ESP.encode(), b"")
        if argv[:2] == ("sh", "-c") and "esp4" in argv[2]
        else None
    )
    connect: Callable[..., Fleet] = lambda hosts, **_: Fleet(  # noqa: E731
        {one.name: found.machines[one.name] for one in hosts}
    )
    monkeypatch.setattr(fleet, "connect", connect)
    for name in ("BEFORE", "SETTLED_WITHIN"):
        monkeypatch.setattr(isolation, name, 0.0)
    monkeypatch.setattr(dns, "SETTLED_WITHIN", 0.1)
    monkeypatch.setattr(failover, "BEFORE", 0.0)
    monkeypatch.setattr(failover, "SECONDS", 1)
    return found


@pytest.fixture
def go(made: FakeWorld, tmp_path: Path) -> Callable[..., Result]:
    (tmp_path / "x.yaml").write_text(INVENTORY)
    common = ("-i", str(tmp_path / "x.yaml"), "--out", str(tmp_path), "--name", "v")
    return lambda *words: CliRunner().invoke(command, [*words, *common])


def stored(tmp_path: Path) -> Verification:
    return load_verification(tmp_path / "v")


@pytest.mark.parametrize("check", checks.known().values(), ids=lambda one: one.name)
def test_every_check_says_what_it_is(check: checks.Check) -> None:
    assert check.name == check.name.lower()
    assert check.title
    assert check.takes.startswith("about ")
    assert check.name in (command.params[0].metavar or "")


def test_networks_that_keep_to_the_rules_pass(
    go: Callable[..., Result], made: FakeWorld, tmp_path: Path
) -> None:
    done = go("isolation")
    assert done.exit_code == 0, done.output
    found = stored(tmp_path)
    (only,) = found.checks
    assert only.outcome is Outcome.PASSED
    # 8 kinds of places on each of three hosts, and the one on both tenants' networks.
    assert len({one.what.split(" -> ")[0] for one in only.report.findings}) == 25 + 2
    assert "macvlan between hosts: reached in 18 of 18 tries" in " ".join(only.report.notes)
    assert len(only.report.notes) == 1
    assert "skipped: ipvlan-l2: " in done.output
    assert "skipped: an encrypted overlay" in done.output
    assert "esp4" in done.output
    assert all((tmp_path / "v" / name).is_file() for name in only.raw)
    assert is_clean(made)
    # What the first tenant's containers reached of what they tried, network by network.
    words = next(line.split() for line in done.output.splitlines() if line.startswith("tenant-a"))
    *between, gateway = words
    assert between == ["tenant-a", "27/27", *["0/30"] * 3, "36/36", "0/48", "0/36", "0/36"]
    assert gateway.startswith("0/3")


def test_what_was_found_is_shown_again(
    go: Callable[..., Result], names: Names, tmp_path: Path
) -> None:
    before = go("balance").output
    again = CliRunner().invoke(report_command, [str(tmp_path / "v")])
    assert again.exit_code == 0
    table = before[before.rindex("balance: how") : before.index("balance: passed")]
    assert table in again.output
    whole = CliRunner().invoke(report_command, [str(tmp_path / "v"), "--json"])
    assert json.loads(whole.output)["checks"][0]["outcome"] == "passed"
    pages = CliRunner().invoke(report_command, [str(tmp_path / "v"), "--csv", "-"])
    assert "have no pages and no samples" in str(pages.exception)


def test_a_leak_is_named_and_fails(
    go: Callable[..., Result], nets: Networks, tmp_path: Path
) -> None:
    def leaky(source: ServiceSpec, at: str, target: ServiceSpec, there: str, network: str) -> bool:
        if "-tenant-a-" in source.name and network.endswith("tenant-b"):
            return at != there
        return docker(source, at, target, there, network)

    nets.rules = leaky
    done = go("isolation")
    assert done.exit_code == 1
    found = failures(stored(tmp_path).checks)
    assert all(one.startswith("isolation: LEAK: tenant-a on ") for one in found)
    # 3 sources, 2 other hosts' targets by 4 ways; and the one on both, from the other 2 hosts: its
    # name stands for its address on their own network.
    assert len(found) == 3 * 2 * 4 + 2 * 3
    assert "LEAK: tenant-a on a -> tenant-b on b by tcp" in done.output


def test_a_planted_leak_is_found(go: Callable[..., Result], tmp_path: Path) -> None:
    done = go("isolation", "--plant-leak")
    assert done.exit_code == 1
    assert "LEAK: both-tenants on a -> tenant-b on c by name" in done.output
    assert all("both-tenants" in one for one in failures(stored(tmp_path).checks))


def test_an_internal_network_with_a_way_out_is_a_leak(
    go: Callable[..., Result], nets: Networks
) -> None:
    nets.rules = lambda source, at, target, there, network: (
        network == "host" or docker(source, at, target, there, network)
    )
    done = go("isolation")
    assert done.exit_code == 1
    assert "LEAK: overlay-internal on a -> host on a by udp" in done.output


def test_the_own_host_of_an_internal_bridge_is_noted_and_no_other(
    go: Callable[..., Result], nets: Networks, tmp_path: Path
) -> None:
    def older(source: ServiceSpec, at: str, target: ServiceSpec, there: str, network: str) -> bool:
        if "bridge-internal" in source.network and network == "host":
            return at == there
        return docker(source, at, target, there, network)

    nets.rules = older
    done = go("isolation")
    assert done.exit_code == 0, done.output
    assert "bridge-internal on a -> host on a: its own host's address is open" in done.output
    nets.rules = lambda source, at, target, there, network: (
        (network == "host" and "bridge-internal" in source.network)
        or docker(source, at, target, there, network)
    )
    (tmp_path / "v").rename(tmp_path / "before")
    assert "LEAK: bridge-internal on a -> host on b by tcp" in go("isolation").output


def test_tenants_that_meet_on_the_gateway_bridge_leak(
    go: Callable[..., Result], nets: Networks, tmp_path: Path
) -> None:
    def open_gateway(
        source: ServiceSpec, at: str, target: ServiceSpec, there: str, network: str
    ) -> bool:
        if network == GATEWAY and "-tenant-" in source.name and "-tenant-" in target.name:
            return at == there
        return docker(source, at, target, there, network)

    nets.rules = open_gateway
    assert go("isolation").exit_code == 1
    found = failures(stored(tmp_path).checks)
    # On each host each tenant's container reaches the other's, by TCP and UDP; an answer by ICMP
    # could be another host's container's of that number.
    assert len(found) == 3 * 2 * 2
    assert all("LEAK: tenant-" in one and ":172.18.0." in one for one in found)


def test_where_the_hosts_network_leads_is_noted_and_no_leak(
    go: Callable[..., Result], nets: Networks, tmp_path: Path
) -> None:
    def routed(source: ServiceSpec, at: str, target: ServiceSpec, there: str, network: str) -> bool:
        if "macvlan" in source.network and network == "host":
            return True
        return docker(source, at, target, there, network)

    nets.rules = routed
    done = go("isolation")
    assert done.exit_code == 0, done.output
    within, outside = stored(tmp_path).checks[0].report.notes
    assert within.startswith("macvlan between hosts: reached in 18 of 18 tries")
    assert outside.startswith("the network around the hosts leads macvlan -> host:")
    nets.rules = lambda source, at, target, there, network: (
        ("tenant-a" in source.network and "bridge" in network and at == there)
        or docker(source, at, target, there, network)
    )
    (tmp_path / "v").rename(tmp_path / "before")
    assert "LEAK: tenant-a on a -> bridge-a on a by tcp" in go("isolation").output


@pytest.mark.parametrize(
    ("source", "net", "host", "way", "expected"),
    [
        ("macvlan", "macvlan", "a", "tcp", True),
        ("macvlan", "macvlan", "b", "tcp", None),
        ("macvlan", "macvlan", "b", "name", True),
        ("macvlan", "host", "a", "icmp", None),
        ("macvlan", "bridge-a", "a", "tcp", False),
        ("macvlan", "tenant-a", "a", "tcp", False),
        ("macvlan", "docker_gwbridge", "a", "tcp", False),
        ("host", "macvlan", "a", "tcp", None),
        ("host", "macvlan", "a", "name", False),
        ("bridge-a", "macvlan", "b", "tcp", None),
        ("bridge-internal", "macvlan", "a", "tcp", False),
        ("tenant-a", "docker_gwbridge", "a", "tcp", False),
        ("host", "docker_gwbridge", "a", "udp", True),
        ("host", "docker_gwbridge", "b", "udp", False),
    ],
)
def test_who_may_reach_whom_beside_the_networks_of_their_own(
    source: str, net: str, host: str, way: str, *, expected: bool | None
) -> None:
    known = {one.name: one for one in (*_places.NETS, _places.HOST, _places.GATEWAY)}
    known["macvlan"] = _reach.Net("macvlan", _reach.Kind.PARENT)
    spot = _reach.Spot(source, "a", (known[source],), "task", {source: "198.18.0.9"}, "n")
    assert _reach.may_reach(spot, known[net], host, _reach.Way(way)) is expected


def test_a_container_with_an_address_too_many_is_no_result(
    go: Callable[..., Result], made: FakeWorld, nets: Networks, tmp_path: Path
) -> None:
    made.tool = lambda machine, container, argv: (
        Completed(0, b"2: eth0 inet 1.2.3.4/24 x\n3: eth1 inet 1.2.4.4/24 x\n", b"")
        if argv[0] == "ip"
        else nets(machine, container, argv)
    )
    assert go("isolation").exit_code == 1
    assert "has more addresses than networks" in stored(tmp_path).checks[0].fault


def test_a_network_that_carries_nothing_is_no_isolation(
    go: Callable[..., Result], nets: Networks
) -> None:
    nets.rules = lambda *_: False
    done = go("isolation")
    assert done.exit_code == 1
    assert "not reached, and must be: " in done.output
    assert "this check is blind" in done.output or "more: see verify.json" in done.output


def test_a_capture_that_sees_nothing_is_told(go: Callable[..., Result], nets: Networks) -> None:
    nets.seen = "packets 0 esp 0 vxlan 0 readable 0"
    done = go("isolation")
    assert done.exit_code == 1
    assert "the capture on a is blind" in done.output


@pytest.mark.parametrize(
    ("seen", "failure"),
    [
        ("packets 60 esp 60 vxlan 0 readable 0", ""),
        ("packets 60 esp 50 vxlan 10 readable 10", "LEAK: encrypted from a to b is readable"),
        ("packets 0 esp 0 vxlan 0 readable 0", "50 datagrams were sent, but 0 packets"),
    ],
)
def test_an_encrypted_overlay_shows_esp_and_nothing_else(seen: str, failure: str) -> None:
    found = read_underlay(ENCRYPTED, "a", "b", seen).failure
    assert failure in found
    assert bool(found) is bool(failure)


def test_two_hosts_containers_with_one_address_are_told_apart() -> None:
    bridge = _reach.Net("bridge-a", _reach.Kind.BRIDGE)
    one, two = (
        _reach.Spot("bridge-a", host, (bridge,), f"task-{host}", {"bridge-a": "172.18.0.2"}, "n")
        for host in "ab"
    )
    every = list(_reach.tries([one, two]))
    assert {each.way for each in every} == {_reach.Way.TCP, _reach.Way.UDP, _reach.Way.NAME}
    tcp = next(each for each in every if each.way is _reach.Way.TCP and each.source is one)
    assert not tcp.reached
    assert _reach.judged(tcp, (True, "task-a vm")).failure == ""
    assert _reach.judged(tcp, (True, "task-b vm")).failure.startswith("LEAK")


@given(st.text(max_size=200))
def test_any_output_is_read_or_refused(text: str) -> None:
    try:
        found = _reach.parse(text)
    except ParseError:
        return
    assert all(isinstance(yes, bool) for yes, _ in found.values())


def test_an_output_without_a_target_is_no_result(
    go: Callable[..., Result], made: FakeWorld, nets: Networks, tmp_path: Path
) -> None:
    made.tool = lambda machine, container, argv: replace(nets(machine, container, argv), stdout=b"")
    assert go("isolation").exit_code == 1
    assert "netbench-ask said nothing of tcp:" in stored(tmp_path).checks[0].fault
    assert stored(tmp_path).checks[0].outcome is Outcome.FAILED


def test_a_lost_host_ends_it_and_is_told(
    go: Callable[..., Result], made: FakeWorld, nets: Networks, tmp_path: Path
) -> None:
    def dies(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        made.machines["b"].lost = True
        return nets(machine, container, argv)

    made.tool = dies
    assert go("isolation").exit_code == 1
    found = stored(tmp_path)
    assert found.ending == "failed"
    assert "b: the connection was lost" in found.message
    assert found.outstanding


def test_an_interrupt_is_told_and_leaves_nothing(
    go: Callable[..., Result], made: FakeWorld, tmp_path: Path
) -> None:
    def interrupted(_machine: FakeMachine, _container: str, _argv: Sequence[str]) -> Completed:
        raise KeyboardInterrupt

    made.tool = interrupted
    assert go("isolation", "dns").exit_code == 130
    found = stored(tmp_path)
    assert (found.ending, found.checks) == ("interrupted", ())
    assert is_clean(made)


@pytest.mark.parametrize("patience", [stage.GONE_WITHIN, 0.0])
def test_each_check_begins_on_an_empty_stage_however_slow_the_hosts(
    go: Callable[..., Result],
    made: FakeWorld,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    patience: float,
) -> None:
    # Where removing the containers takes longer than that, it is over before the networks' turn.
    monkeypatch.setattr(stage, "GONE_WITHIN", patience)
    before = []

    def looking(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        swarm = made.machines["a"].swarm
        if swarm and argv[:2] == ("netbench-ask", "spread"):
            known = (*swarm.services.values(), *swarm.networks.values())
            before.append({one.name.split("-")[2] for one in known})
        return names(machine, container, argv)

    made.tool = looking
    assert go("dns", "balance").exit_code == 0
    assert before[0] == {"client", "plain", "dns", "balance"}


def test_networks_that_go_one_by_one_are_waited_for_longer_than_a_host_has_for_one(
    go: Callable[..., Result],
    made: FakeWorld,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "GONE_WITHIN", 0.2)
    rounds: list[set[str]] = [set()]
    remove = FakeMachine.remove

    def reluctant(machine: FakeMachine, thing: Labelled) -> None:
        if thing.kind == "network":
            if thing.object_id in rounds[-1]:
                rounds.append(set())
            if rounds[-1]:
                rounds[-1].add(thing.object_id)
                raise EngineError(machine.host.name, f"{thing.name} has active endpoints")
            rounds[-1].add(thing.object_id)
        remove(machine, thing)

    left = []

    def looking(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[:2] == ("netbench-ask", "lookup") and not left:
            swarm = made.machines["a"].swarm
            assert swarm
            left.append({one.name.split("-")[2] for one in swarm.networks.values()})
        return names(machine, container, argv)

    monkeypatch.setattr(FakeMachine, "remove", reluctant)
    made.tool = looking
    go("isolation", "dns")
    assert left == [{"dns"}]
    # A round with each of them refused but one takes POLL.
    assert len(rounds) * stage.POLL > stage.GONE_WITHIN + stage.POLL


def test_unknown_checks_and_damaged_files_are_refused(
    go: Callable[..., Result], tmp_path: Path
) -> None:
    done = go("isolationn")
    assert isinstance(done.exception, UsageError)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "verify.json").write_text('{"format": 1')
    with pytest.raises(StoreError, match="damaged"):
        load_verification(tmp_path / "w")


def test_tenants_are_two() -> None:
    assert TENANT_A != TENANT_B


@pytest.fixture
def names(made: FakeWorld) -> Names:
    found = Names()
    made.tool = found
    return found


def test_right_answers_pass_and_are_timed(
    go: Callable[..., Result], made: FakeWorld, names: Names, tmp_path: Path
) -> None:
    done = go("dns")
    assert done.exit_code == 0, done.output
    report = stored(tmp_path).checks[0].report
    assert {figure.value for figure in report.figures} == {150e-6}
    assert {"container name", "the hosts file"} <= {figure.of for figure in report.figures}
    scaled = [one for one in report.findings if one.group.startswith("scaled down")]
    assert [len(one.expected.split(", ")) for one in scaled] == [2, 2]
    assert is_clean(made)


def test_a_name_that_remembers_tasks_that_are_gone_fails(
    go: Callable[..., Result], names: Names, tmp_path: Path
) -> None:
    names.stale = True
    assert go("dns").exit_code == 1
    found = failures(stored(tmp_path).checks)
    assert len(found) == 2
    assert all("200 of 200 lookups of " in one and "scaled down" in one for one in found)


@given(st.text(max_size=60))
def test_any_lookup_or_spread_is_read_or_refused(text: str) -> None:
    for parse in (dns.parse, balance.parse):
        try:
            assert parse(text)
        except ParseError:
            continue


def test_a_missing_address_fails() -> None:
    lookups = [dns.Lookup(1e-4, ("10.0.0.1",)), dns.Lookup(1e-4, ("10.0.0.1", "10.0.0.2"))]
    found = dns.compared("g", "n", ("10.0.0.2", "10.0.0.1"), lookups)
    assert (
        "1 of 2 lookups of n gave 10.0.0.1, where 10.0.0.1, 10.0.0.2 is expected" in found.failure
    )


def test_the_spread_is_told_and_what_the_kernel_lacks_is_skipped(
    go: Callable[..., Result], names: Names, tmp_path: Path
) -> None:
    done = go("balance")
    assert done.exit_code == 0, done.output
    assert "skipped: vip: a, b, c: the kernel has no IP_VS" in done.output
    assert "dns, new connections: 33%, 33%, 33%: as even as chance" in done.output


def test_every_access_is_tried_where_the_kernel_has_all(
    go: Callable[..., Result], made: FakeWorld, names: Names, tmp_path: Path
) -> None:
    made.command = lambda _machine, argv: (
        Completed(0, ALL.encode(), b"") if argv[:2] == ("sh", "-c") and "esp4" in argv[2] else None
    )
    names.favourite = True
    asked = set()

    def looking(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[:2] == ("netbench-ask", "spread"):
            ((spec, _), *_) = names.behind(machine, argv[4])
            asked.add(
                (container.split("-")[2], "-".join(spec.name.split("-")[2:]), spec.endpoint_mode)
            )
        return names(machine, container, argv)

    made.tool = looking
    done = go("balance")
    assert done.exit_code == 0, done.output
    assert asked == {
        ("client", "dns", "dnsrr"),
        ("client", "vip", "vip"),
        # From the host's own network, as a client that has no network of Docker's.
        ("plain", "published-ingress", "vip"),
    }
    report = stored(tmp_path).checks[0].report
    assert [one.group for one in report.findings] == [
        *("dns", "dns", "vip", "vip", "published-ingress", "published-ingress")
    ]
    assert all("100%, 0%, 0%: uneven" in note for note in report.notes)
    assert not report.skipped


# By scipy.stats.chisquare.
@pytest.mark.parametrize(
    ("counts", "chance"), [((120, 90, 90), 0.049787), ((50, 100, 150, 100), 7.98918e-11)]
)
def test_the_chance_is_that_of_pearsons_test(counts: tuple[int, ...], chance: float) -> None:
    assert balance.chance_of(counts) == pytest.approx(chance, rel=1e-3)


def test_requests_that_share_a_connection_are_no_evidence_of_their_own() -> None:
    spread = balance.Spread({"x": 150, "y": 90, "z": 60}, {})
    assert balance.judged("vip", "new", spread, 300)[2].count("uneven") == 1
    # Thirty kept connections that fell 15, 9 and 6 to the tasks: p = 0.12.
    note = balance.judged("vip", "kept", spread, 30)[2]
    assert "as even as chance (chi-squared, p = 0.12)" in note


def test_failed_requests_and_strangers_fail() -> None:
    failed = balance.Spread({"x": 90, "y": 100, "z": 100}, {"no answer within 5 s": 10})
    assert "10 requests failed: no answer" in balance.judged("vip", "new", failed, 300)[0].failure
    strangers = balance.Spread({"w": 1, "x": 90, "y": 100, "z": 100}, {})
    assert "4 tasks answered" in balance.judged("vip", "new", strangers, 300)[0].failure


def test_each_driver_that_can_is_started_timed_and_ended(
    go: Callable[..., Result], made: FakeWorld, names: Names, tmp_path: Path
) -> None:
    done = go("attach")
    assert done.exit_code == 0, done.output
    report = stored(tmp_path).checks[0].report
    assert {one.group for one in report.findings} == {
        *("bridge", "bridge-default", "host", "macvlan", "overlay")
    }
    assert {one.what for one in report.skipped} == {
        *("ipvlan-l2", "ipvlan-l3", "none", "overlay-encrypted")
    }
    phases = {one.name for one in report.figures if one.of == "overlay"}
    assert phases == {*_life.PHASES, "slowest answer"}
    assert not {"network made", "network gone"} & {
        one.name for one in report.figures if one.of == "host"
    }
    assert is_clean(made)


def test_a_driver_whose_service_never_answers_fails_and_the_others_are_timed(
    go: Callable[..., Result], made: FakeWorld, names: Names, tmp_path: Path
) -> None:
    def mute(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[:2] == ("netbench-ask", "first") and "-overlay-" in container:
            return Completed(1, b"", b"netbench-ask: no answer from x within 60 s")
        return names(machine, container, argv)

    made.tool = mute
    assert go("attach").exit_code == 1
    (only,) = failures(stored(tmp_path).checks)
    assert only.startswith("attach: overlay: a: `netbench-ask first` in netbench-")
    assert "VXLAN in the kernel" in only


def test_a_lab_that_is_not_there_or_is_roots_is_refused_before_anything(
    go: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.lab.layout.STATE_ROOT", tmp_path / "none")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    done = go("failover", "--lab", "nowhere")
    assert "there is no lab nowhere" in str(done.exception)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "only root" in str(go("failover", "--lab", "nowhere").exception)
    assert not (tmp_path / "v").exists()


def beats(*answered: bool, rate: float = 20.0) -> str:
    return "".join(
        f"{1000 + number / rate:.6f} 900 {'ok x y' if good else 'no late'}\n"
        for number, good in enumerate(answered)
    )


def test_an_outage_is_from_the_fault_to_the_first_of_the_answers_that_stay() -> None:
    seen = _outage.parse(beats(*[True] * 40, False, True, False, False, *[True] * 10))
    found = _outage.outage(seen, 1001.5)
    assert (found.lost, found.requests) == (3, 54)
    assert found.first_failed == pytest.approx(0.5)
    assert found.steady == pytest.approx(0.7)
    assert _outage.outage(seen, 1004.0).lost == 0
    assert _outage.outage(_outage.parse(beats(True, False)), 1000.0).steady is None


def test_who_answered_before_and_after_a_fault_is_told_apart() -> None:
    by = ["a"] * 60 + ["b", "a", "b", "b"]
    text = "".join(f"{1000 + n / 20:.6f} 900 ok task {who}\n" for n, who in enumerate(by))
    found = _outage.outage(_outage.parse(text), 1002.0)
    assert (found.lost, found.first_failed, found.steady) == (0, None, None)
    assert found.old_last == pytest.approx(1.05)
    assert found.new_first == pytest.approx(1.0)
    # A request that was sent just before the fault may have been answered by another already.
    early = [_outage.Beat(1000.0 + n, True, who) for n, who in enumerate(["a", "a", "b", "b"])]
    soon = _outage.outage(early, 1002.5)
    assert (soon.old_last, soon.new_first) == (None, pytest.approx(0.5))
    finding, figures = _outage.told("stopped", found, 0.9, 1.1, within=35.0)
    assert finding.found == "none of 64 requests lost"
    assert not finding.failure
    assert {"old one's last answer", "another answers"} <= {one.name for one in figures}


@given(st.text(max_size=60))
def test_any_beat_is_read_or_refused(text: str) -> None:
    try:
        assert _outage.parse(text)
    except ParseError:
        return


@pytest.mark.parametrize(
    ("seen", "replaced", "right", "failure"),
    [
        (_outage.Outage(3, 40, 0.1, 1.5), 1.0, 1.2, ""),
        (_outage.Outage(0, 40, None, None), 1.0, 1.2, ""),
        (_outage.Outage(3, 40, 0.1, None), 1.0, 1.2, "requests failed to the end"),
        (_outage.Outage(3, 40, 0.1, None), None, None, "no replacement"),
        (_outage.Outage(3, 40, 0.1, 1.5), 1.0, None, "the name was not right"),
    ],
)
def test_a_service_that_does_not_come_back_fails(
    seen: _outage.Outage, replaced: float | None, right: float | None, failure: str
) -> None:
    finding, figures = _outage.told("killed", seen, replaced, right, within=35.0)
    assert failure in finding.failure
    assert bool(finding.failure) is bool(failure)
    assert [one.value for one in figures if one.unit == "requests"] == [seen.lost]


def test_kill_and_drain_are_followed_and_the_node_gets_tasks_again(
    go: Callable[..., Result], made: FakeWorld, names: Names, tmp_path: Path
) -> None:
    drained = []

    def steady(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "date":
            return Completed(0, b"1000.5\n", b"")
        if argv[:2] == ("netbench-ask", "beat"):
            return Completed(0, beats(*[True] * 20).encode(), b"")
        if argv[:2] == ("netbench-ask", "lookup"):
            swarm = made.machines["a"].swarm
            drained.append(set(swarm.drained) if swarm else None)
        return names(machine, container, argv)

    made.tool = steady
    done = go("failover")
    assert done.exit_code == 0, done.output
    report = stored(tmp_path).checks[0].report
    assert [one.group for one in report.findings] == [
        *("the task is killed, by dns", "its node is drained, by dns")
    ]
    # The manager has no tasks of its own: what it tells is needed.
    assert {"c"} in drained
    assert set() in drained
    assert {one.what for one in report.skipped} == {
        *("vip", "its host is cut off", "its engine is stopped")
    }
    assert is_clean(made)


@pytest.mark.parametrize("code", [0, 1])
def test_a_lab_host_is_cut_off_and_its_engine_stopped_and_both_undone(
    made: FakeWorld, names: Names, tmp_path: Path, code: int
) -> None:
    from bench.inventory import load_inventory
    from bench.verify import Asked, verify

    def steady(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "date":
            return Completed(0, b"1000.5\n", b"")
        if argv[:2] == ("netbench-ask", "beat"):
            return Completed(0, beats(*[True] * 20).encode(), b"")
        return names(machine, container, argv)

    made.tool = steady
    (tmp_path / "x.yaml").write_text(INVENTORY)
    inventory = load_inventory(tmp_path / "x.yaml")
    cuts = []
    engines = []
    kernel = made.command

    def scripts(machine: FakeMachine, argv: Sequence[str]) -> Completed | None:
        if argv[-1] not in (_faults.STOP, _faults.START):
            return kernel(machine, argv)
        engines.append((machine.host.name, argv[-1]))
        return Completed(0 if argv[-1] == _faults.START else code, b"", b"no such process")

    made.command = scripts
    _, found = verify(
        Asked(
            inventory=inventory,
            checks=checks.chosen(("failover",)),
            out=tmp_path,
            cut=lambda host, off: cuts.append((host, off)),
        ),
        lambda: Fleet(made.machines),
        lambda _line: None,
    )
    assert cuts == [("c", True), ("c", False)]
    assert engines == [("c", _faults.STOP), ("c", _faults.START)]
    told = "failover: its engine is stopped, by dns: c: its engine cannot be stopped"
    assert failures(found.checks) == (
        [f"{told}: no such process; see its log there"] if code else []
    )
    assert "its host is cut off, by dns" in {one.group for one in found.checks[0].report.findings}


class Starting(FakeMachine):
    """A manager whose one task is at each look what ``course`` says: its id and state."""

    looks = 0

    def __init__(self, course: Callable[[int], tuple[str, str]]) -> None:
        super().__init__(Host("a", "198.18.0.1"), FakeWorld(Networks()))
        self.course = course

    def replicas(self, label: str) -> tuple[Task, ...]:
        self.looks += 1
        key, state = self.course(self.looks)
        return (Task("x", state, "", "node-a", "c", {}, key),)

    def tasks(self, label: str) -> tuple[Task, ...]:
        return self.replicas(label)

    def addresses(self, container: str) -> dict[str, str]:
        return {"n": "10.0.0.1"}


@pytest.mark.parametrize(
    ("course", "seconds", "comes"),
    [
        (lambda look: ("t", "running" if look > 40 else f"step {look}"), 200, True),
        (lambda _look: ("t", "preparing"), 65, False),
        (lambda look: (f"t{look}", "starting"), 320, False),
    ],
    ids=["gets on", "is stuck", "begins anew for ever"],
)
def test_tasks_are_waited_for_while_they_get_on(
    course: Callable[[int], tuple[str, str]],
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    *,
    comes: bool,
) -> None:
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda _seconds: setattr(clock, "now", clock.now + 5.0)
    monkeypatch.setattr(stage, "time", clock)
    monkeypatch.setattr(stage, "MOST_TASKS", 50)
    at = stage.Stage(
        fleet=Fleet({"a": Starting(course)}),
        ready=cast("Any", None),
        swarm=Swarm("a", {"a": "node-a"}),
        run="r",
        check="c",
        port_base=1,
        keep=lambda *_: "",
        say=lambda _line: None,
    )
    if comes:
        assert at.running({"x": 1})["x"][0].addresses == {"n": "10.0.0.1"}
    else:
        with pytest.raises(DeployError, match="x does not come to 1 running tasks"):
            at.running({"x": 1})
    assert clock.now == pytest.approx(seconds, abs=10)
