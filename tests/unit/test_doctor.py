"""What the doctor makes of what was seen: golden cases for every rule, and its ways of looking."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli.doctor import command
from bench.doctor import (
    Examination,
    Finding,
    Sure,
    diagnose,
    examine,
    host_probe,
    known,
    peer_probe,
)
from bench.doctor import look as looking
from bench.doctor.seen import Flow, HostLook, Peer, Place
from bench.errors import HostError
from bench.remote.api import Completed
from tests.unit.test_facts_check import Clock, Machine, World

GOLDEN = Path(__file__).parents[1] / "golden" / "doctor"
CASES = sorted(path for path in GOLDEN.glob("*.json") if path.stem != "healthy")
HEALTHY = json.loads((GOLDEN / "healthy.json").read_text())
PROBES = Path(looking.__file__).parent


def seen(changes: dict[str, Any] | None = None) -> Examination:
    """What was seen of three healthy hosts, with what lies at these places replaced."""
    found = copy.deepcopy(HEALTHY)
    for place, value in (changes or {}).items():
        *way, last = place.split("/")
        at: Any = found
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if isinstance(at, list):
            at[int(last)] = value
        else:
            at[last] = value
    return msgspec.convert(found, Examination)


def test_healthy_hosts_have_no_findings() -> None:
    assert diagnose(seen()) == ()


@pytest.mark.parametrize("case", [pytest.param(path, id=path.stem) for path in CASES])
def test_what_was_seen_makes_these_findings(case: Path) -> None:
    told = json.loads(case.read_text())
    found = [asdict(one) for one in diagnose(seen(told["changes"]))]
    assert found == told["findings"]


def test_every_rule_has_a_golden_case_and_says_what_it_is() -> None:
    ruled = {one["rule"] for path in CASES for one in json.loads(path.read_text())["findings"]}
    assert ruled == set(known())
    for name, rule in known().items():
        assert rule.name == name
        assert rule.title


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
def test_whatever_was_seen_is_judged(data: st.DataObject) -> None:
    names = ("why1", "why2", "why3")
    base = seen()
    small = st.integers(0, 10**6)
    flows = st.builds(
        Flow,
        source=st.sampled_from(names),
        target=st.sampled_from((*names, "gone")),
        interval=st.just(0.1),
        taken=st.lists(small, max_size=20).map(tuple),
    )
    looks = st.builds(
        HostLook,
        cores=st.just(base.hosts["why1"].cores),
        peers=st.lists(
            st.sampled_from(base.hosts["why1"].peers).map(
                lambda one: replace(one, answered=0, ttl=None, rtt=None)
            ),
            max_size=3,
        ).map(tuple),
        conntrack=st.none(),
    )
    hosts = data.draw(st.dictionaries(st.sampled_from(names), looks))
    drawn = replace(base, hosts=hosts, flows=tuple(data.draw(st.lists(flows, max_size=4))))
    for one in diagnose(drawn):
        assert one.evidence
        assert one.advice
        assert one.sure in Sure


def test_findings_are_surest_first() -> None:
    both = {
        "hosts/why1/keepalive": 7200,
        "hosts/why1/balancers": [
            {"namespace": "lb_x", "services": 2, "tcp": 900, "udp": 300},
        ],
        "places/why2/swarm_address": "198.19.0.9",
    }
    assert [one.sure for one in diagnose(seen(both))] == [Sure.CERTAIN, Sure.POSSIBLE]


class Patient(Machine):
    """A host of the check's tests that answers the doctor's probes, too."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        if argv[:2] == ("python3", "-") and b"part of the doctor" in stdin[:80]:
            return self.probed(str(argv[2]), json.loads(argv[3]), stdin)
        if argv[:2] == ("sh", "-c") and "speed" in argv[2]:
            # An interface without a device of its own.
            return Completed(1, b"", b"")
        return super().run(argv, stdin=stdin, timeout=timeout)

    def probed(self, mode: str, config: dict[str, Any], script: bytes) -> Completed:
        assert isinstance(self.world, Ward)
        said = self.world.says.get(self.name, {})
        if mode == "serve":
            answer: object = {"listening": True}
        elif mode == "send":
            taken = [60_000_000 + 9_000_000 * (place % 4) for place in range(15)]
            answer = {"bytes": taken, "load": 0.4}
        elif b"looks at a host itself" in script:
            answer = {"cores": [], "unread": ["IPVS: Operation not permitted"], **said}
        else:
            peers = [
                asdict(Peer(one["name"], one["address"], "", "eth0", self.address, 12, 12))
                for one in config["peers"]
            ]
            answer = {"peers": peers, "resolvers": [], "unread": []}
        if self.name in self.world.mute:
            return Completed(1, b"", b"python3: not found\n")
        return Completed(0, json.dumps(answer).encode(), b"")


class Ward(World):
    """Three healthy hosts; ``says`` is what probes tell otherwise, ``mute`` those without Python
    for the doctor."""

    def __init__(self) -> None:
        super().__init__()
        self.machines = {
            name: Patient(name, self, f"198.18.0.{number}")
            for number, name in enumerate(("a", "b", "c"), 1)
        }
        self.says: dict[str, dict[str, Any]] = {}
        self.mute: set[str] = set()

    def examine(self) -> Examination:
        self.heard = {name: [] for name in self.machines}
        return examine(self.inventory, self.reach)


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch) -> Ward:
    monkeypatch.setattr("bench.facts.preflight.time", Clock())
    return Ward()


def test_three_healthy_hosts_are_seen_whole(ward: Ward) -> None:
    found = ward.examine()
    assert diagnose(found) == ()
    assert set(found.hosts) == set(found.places) == {"a", "b", "c"}
    assert found.places["b"] == Place(
        "b", "198.18.0.2", "eth0", 1500, "198.18.0.0/24", (), "", manager=False
    )
    assert [(one.source, one.target) for one in found.flows] == [("a", "b"), ("b", "c"), ("c", "a")]
    assert found.flows[0].rates[0] == 8 * 69_000_000 / 0.2
    assert [peer.name for peer in found.hosts["a"].peers] == ["b", "c"]
    assert found.hosts["a"].unread == ("IPVS: Operation not permitted",)


def test_a_host_that_cannot_be_looked_at_is_a_finding_and_the_others_are_seen(ward: Ward) -> None:
    ward.mute = {"b"}
    found = ward.examine()
    assert set(found.hosts) == {"a", "c"}
    (one,) = diagnose(found)
    assert (one.rule, one.where) == ("hosts", "b")
    assert "failed: python3: not found" in one.what
    assert "nothing was tried from b" in one.advice
    assert [flow.fault == "" for flow in found.flows] == [False, False, True]


def test_an_answer_that_is_none_is_a_finding(ward: Ward) -> None:
    ward.says["c"] = {"keepalive": "long"}
    (one,) = diagnose(ward.examine())
    assert one.where == "c"
    assert "printed something else" in one.what


def test_a_host_out_of_reach_is_a_finding(ward: Ward) -> None:
    ward.unreachable = {"c": HostError("c", "connection refused", "see that sshd runs")}
    found = diagnose(ward.examine())
    assert [(one.rule, one.where, one.advice) for one in found] == [
        ("hosts", "c", "see that sshd runs")
    ]


def test_ports_that_are_shut_leave_no_bulk_data(ward: Ward) -> None:
    ports = {
        (one.protocol, one.port) for one in ward.check().ports if one.port not in (2377, 7946, 4789)
    }
    for protocol, port in ports:
        ward.shut["a", "b", protocol, port] = "blocked"
    found = ward.examine()
    assert found.flows[0].fault == "no port of netbench's is open there"
    assert not found.flows[1].fault


def test_the_command_exits_by_what_was_found(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text("all: {hosts: {a: {ansible_host: 198.18.0.1}}}\n")
    monkeypatch.setattr("bench.doctor.examine", lambda _: ward.examine())
    well = CliRunner().invoke(command, ["-i", str(inventory)], standalone_mode=False)
    assert well.return_value == 0
    assert "healthy; 3 hosts looked at" in well.stdout
    assert "not looked at on a: IPVS: Operation not permitted" in well.stdout
    ward.shut["a", "b", "udp", 4789] = "sent"
    ill = CliRunner().invoke(command, ["-i", str(inventory)], standalone_mode=False)
    assert ill.return_value == 1
    assert "1. a -> b: UDP 4789 is blocked (VXLAN" in ill.stdout
    assert "   sure   certain" in ill.stdout
    assert "direction, b to a, is open" in " ".join(ill.stdout.split())
    ill = CliRunner().invoke(command, ["-i", str(inventory), "--json"], standalone_mode=False)
    assert json.loads(ill.stdout)["findings"][0]["rule"] == "ports"


def probe(name: str, mode: str, config: dict[str, Any]) -> Any:
    """A probe as it runs on a host: from standard input, in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-", mode, json.dumps(config)],
        input=(PROBES / name).read_bytes(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_the_probes_say_what_can_be_read_here() -> None:
    here = probe("host_probe.py", "look", {"interface": "lo", "seconds": 0.1, "peers": []})
    found = msgspec.convert(here, HostLook)
    assert len(found.cores) == os.cpu_count()
    assert all(0 <= core.busy <= 1 for core in found.cores)
    assert {one.where for one in found.checksums} >= {"host, TCP", "host, UDP"}
    assert found.keepalive
    peers = probe("peer_probe.py", "look", {"interface": "lo", "peers": []})
    tried = msgspec.convert(peers, HostLook)
    assert set(tried.offloads) == {"tx-checksum", "tso", "gso"} or tried.unread


def test_bulk_data_is_counted_where_it_arrives() -> None:
    # Of loopback's addresses one that nothing else listens on.
    config = {"address": "127.71.3.9", "port": 18_293, "seconds": 0.5, "interval": 0.1}
    assert probe("bulk_probe.py", "serve", config) == {"listening": True}
    told = probe("bulk_probe.py", "send", config)
    assert len(told["bytes"]) >= 4
    assert sum(told["bytes"]) > 0
    assert 0 < told["load"] <= 1


def test_a_finding_is_one_line() -> None:
    one = Finding("dns", "a", "slow", Sure.CERTAIN, "seen", "do")
    assert str(one) == "a: slow (certain): seen; do"


STAT = """entries  clashres found new invalid ignore delete delete_list insert insert_failed drop \
early_drop icmp_error  expect_new expect_create expect_delete search_restart
0000009e  00000000 00000000 00000000 00000007 00000000 00000000 00000000 00000000 00000000 \
0000000a 00000002 00000000  00000000 00000000 00000000 00000000
0000009e  00000000 00000000 00000000 00000007 00000000 00000000 00000000 00000000 00000000 \
00000001 00000000 00000000  00000000 00000000 00000000 00000000
"""
SNMP = """Tcp: RtoAlgorithm InSegs InErrs InCsumErrors
Tcp: 1 61179 3 2
Udp: InDatagrams NoPorts InCsumErrors
Udp: 235 1 0
"""


def printing(monkeypatch: pytest.MonkeyPatch, module: Any, texts: dict[str, str]) -> None:
    """Have a probe read these files, and find these words printed by commands."""
    monkeypatch.setattr(module, "_text", lambda path: texts.get(path, ""))
    monkeypatch.setattr(module, "_run", lambda *argv: texts.get(" ".join(argv), ""))


def test_what_conntrack_dropped_is_summed_over_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    net = "/proc/sys/net/netfilter/nf_conntrack"
    files = {"/proc/net/stat/nf_conntrack": STAT, f"{net}_count": "158\n", f"{net}_max": "262144\n"}
    printing(monkeypatch, host_probe, files)
    assert host_probe._conntrack_drops() == 10 + 2 + 1
    assert host_probe._conntrack() == {"count": 158, "most": 262144, "dropped": 0}
    printing(monkeypatch, host_probe, {})
    assert host_probe._conntrack_drops() == 0
    assert host_probe._conntrack() is None


def test_counters_of_protocols_are_read() -> None:
    found = host_probe._protocols(SNMP)
    assert (found["Tcp.InCsumErrors"], found["Tcp.InSegs"]) == (2, 61179)
    assert found["Udp.InCsumErrors"] == 0


def test_the_engines_files_are_held_against_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (
        "Limit                     Soft Limit           Hard Limit           Units\n"
        "Max processes             unlimited            unlimited            processes\n"
        "Max open files            1024                 524288               files\n"
    )
    texts = {
        "/run/docker.pid": f"{os.getpid()}",
        f"/proc/{os.getpid()}/limits": limits,
        "/proc/sys/fs/file-nr": "2093\t0\t9223372036854775807\n",
    }
    printing(monkeypatch, host_probe, texts)
    own, every = host_probe._files()
    assert (own["process"], own["most"]) == ("dockerd", 1024)
    assert own["used"] > 2
    assert every == {"process": "all processes", "used": 2093, "most": 9223372036854775807}


def test_what_holds_packets_back_is_told_from_plain_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "qdisc noqueue 0: root refcnt 2 \n"
        "qdisc tbf 8001: root refcnt 2 rate 100Mbit burst 32Kb lat 50ms \n"
    )
    printing(monkeypatch, peer_probe, {"tc qdisc show dev eth0": said})
    found = peer_probe._queueing("eth0")
    assert found == ["qdisc tbf 8001: root refcnt 2 rate 100Mbit burst 32Kb lat 50ms"]


def test_routes_and_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ping = (
        "PING 198.18.0.2 (198.18.0.2) 56(84) bytes of data.\n"
        "64 bytes from 198.18.0.2: icmp_seq=1 ttl=63 time=0.500 ms\n"
        "64 bytes from 198.18.0.2: icmp_seq=3 ttl=63 time=0.040 ms\n"
        "64 bytes from 198.18.0.2: icmp_seq=3 ttl=63 time=0.900 ms (DUP!)\n"
        "\n--- 198.18.0.2 ping statistics ---\n"
        "3 packets transmitted, 2 received, +1 duplicates, 33% packet loss, time 405ms\n"
    )
    texts = {
        "ping -n -c 12 -i 0.2 -W 1 198.18.0.2": ping,
        "ip route get 198.18.0.2": "198.18.0.2 via 198.18.0.9 dev eth1 src 198.18.0.1 uid 0\n",
        "/etc/resolv.conf": "# nameserver 1.2.3.4\nnameserver 198.18.0.53\nnameserver fd00::1\n",
    }
    printing(monkeypatch, peer_probe, texts)
    told = peer_probe._ping("198.18.0.2")
    assert told == {"sent": 3, "answered": 2, "rtt": 0.0005, "ttl": 63}
    route = peer_probe._route("198.18.0.2")
    assert route == {
        "address": "198.18.0.2",
        "via": "198.18.0.9",
        "interface": "eth1",
        "source": "198.18.0.1",
    }
    assert peer_probe._resolvers() == ["198.18.0.53"]
    nothing = peer_probe._ping("198.18.0.3")
    assert (nothing["sent"], nothing["ttl"], nothing["rtt"]) == (0, None, None)


def test_shares_of_cores_are_of_what_passed_between() -> None:
    before = [[100, 0, 50, 1000, 10, 0, 5, 2]]
    after = [[110, 0, 60, 1060, 10, 0, 15, 12]]
    (core,) = host_probe._shares(before, after)
    assert core == {"busy": 0.3, "softirq": 0.1, "steal": 0.1}
