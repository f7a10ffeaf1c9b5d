"""Readings of hosts: the command, its parser, what lies between two, and what trials make of it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.errors import EngineError, HostUnreachable, ParseError
from bench.gauges import around
from bench.gauges.around import Before, Gauges
from bench.gauges.attest import Attested, Attestor
from bench.gauges.links import LIST_LINKS
from bench.gauges.reading import Reading, Sources, argv, parse, read
from bench.gauges.use import busy, use
from bench.model import (
    Access,
    Cell,
    CoreUse,
    HostPair,
    Inventory,
    Passage,
    Placement,
    Plan,
    RunInfo,
    Status,
    Trial,
)
from bench.plan import make_plan
from bench.remote.api import Completed, Task
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet
from bench.store import load
from tests.unit import test_runner
from tests.unit.test_runner import Watcher, go

GOLDEN = Path(__file__).parents[1] / "golden" / "gauges"
CASES = sorted(path.stem for path in GOLDEN.glob("*.txt"))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    found = parse((GOLDEN / f"{case}.txt").read_bytes())
    assert json.loads(json.dumps(asdict(found))) == json.loads(
        (GOLDEN / f"{case}.json").read_text()
    )


def text(case: str = "old-kernel-one-core") -> str:
    return (GOLDEN / f"{case}.txt").read_text()


def test_a_process_in_the_hosts_namespace_is_not_counted_twice() -> None:
    found = parse(text("process-in-the-hosts-namespace").encode())
    assert found.counters["pid:812"] == found.counters["host"]
    assert (found.retransmits, found.drops) == (600, 40 + 3 + 2)
    apart = parse(text("process-in-the-hosts-namespace").replace("enp3s0f0np0", "eth0", 1).encode())
    assert (apart.retransmits, apart.drops) == (1200, 2 * 45)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("CLK_TCK <==\n100", "CLK_TCK <==\n", "CLK_TCK is missing"),
        ("CLK_TCK <==\n100", "CLK_TCK <==\nsh: getconf: not found", "where a number should be"),
        ("CLK_TCK <==\n100", "CLK_TCK <==\n0", "0 clock ticks"),
        ("==> /proc/stat <==", "==> /proc/star <==", "/proc/stat is missing"),
        ("cpu0 2000 10 1500", "cpu0 2000 x 1500", "'x' where a number should be"),
        ("cpu0 2000 10 1500 40000 300 20 100 50 0 0", "cpu0 2000 10", "the line 'cpu0 2000 10'"),
        ("cpu0 ", "cpuX ", "names no core"),
        ("512.07 480.90", "nan 1", "where a number should be"),
        ("==> /proc/net/dev <==", "==> /proc/net/devs <==", "/proc/net/dev is missing"),
        ("lo:1000 10 0", "lo:1000 10", "/proc/net/dev has the line"),
        ("0.07 0.03", "x 0.03", "where a number should be"),
        ("0000a1b2", "0000a1b2 zz", "softnet_stat has 'zz'"),
    ],
)
def test_what_is_no_reading_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in text()
    with pytest.raises(ParseError, match=complaint):
        parse(text().replace(old, new, 1).encode())


def test_a_damaged_namespace_is_unreadable_and_the_rest_stands() -> None:
    found = parse(text("container-on-bridge").replace("eth0:     286", "eth0:     x", 1).encode())
    assert "'x' where a number should be" in found.unreadable["pid:3582"]
    assert found.counters["host"]["eth0"] == 7649720444


@pytest.mark.parametrize(
    ("said", "counted", "why"),
    [
        ("7300\n128\nend\n", 7428, ""),
        ("end\n", 0, ""),
        ("", None, "nothing was printed"),
        ("sh: 1: ip: not found\n", None, "ip: not found"),
        ("RTNETLINK answers: Operation not permitted\n", None, "not permitted"),
        ("7300\n", None, "7300"),
    ],
)
def test_what_esp_carried_is_a_sum_or_unreadable(said: str, counted: int | None, why: str) -> None:
    found = parse((text() + "\n==> esp <==\n" + said).encode())
    if counted is None:
        assert why in found.unreadable["esp"]
        assert "esp" not in found.counters
    else:
        assert found.counters["esp"] == {"esp": counted}


# As `ip -s xfrm state` prints an association of Docker's (iproute2 6.1), its key made up.
STATE = """src 10.0.0.1 dst 10.0.0.2
\tproto esp spi 0x1f2e3d4c(523124044) reqid 13681891(0x00d0c4e3) mode transport
\treplay-window 0 seq 0x00000000 flag  (0x00000000)
\taead rfc4106(gcm(aes)) 0x5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e (160 bits) 64
\tanti-replay context: seq 0x0, oseq 0x5, bitmap 0x00000000
\tlifetime config:
\t  limit: soft (INF)(bytes), hard (INF)(bytes)
\t  limit: soft (INF)(packets), hard (INF)(packets)
\tlifetime current:
\t  7300(bytes), 5(packets)
\t  add 2026-11-23 10:00:00 use 2026-11-23 10:00:01
\tstats:
\t  replay-window 0 replay 0 failed 0
"""


def test_of_what_ip_prints_the_counts_alone_leave_the_host(tmp_path: Path) -> None:
    stand_in = tmp_path / "ip"
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{STATE}{STATE}END\n")
    stand_in.chmod(0o755)
    there = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(argv(Sources(esp=True)), capture_output=True, check=True, env=there)
    assert b"5e5e" not in done.stdout + done.stderr
    assert parse(done.stdout).counters["esp"] == {"esp": 14600}


@settings(deadline=None, max_examples=150)
@given(
    case=st.sampled_from(CASES),
    start=st.floats(0, 1),
    length=st.integers(0, 60),
    new=st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"-1", b"9" * 30, b"\n==> x <==\n", b"nan", b"1e9", b"\n", b" ", b":"]),
    ),
)
def test_damaged_readings_are_refused_or_sane(
    case: str, start: float, length: int, new: bytes
) -> None:
    data = text(case).encode()
    at = int(start * len(data))
    try:
        found = parse(data[:at] + new + data[at + length :])
    except ParseError:
        return
    assert found.cores
    assert "host" in found.counters
    json.dumps(asdict(found), allow_nan=False)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_reading(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse(data)


def test_the_command_is_a_constant_script_with_arguments() -> None:
    sources = Sources((12, 345, 12), ("/run/docker/netns/1-a b'c",))
    shell, option, script, name, *words = argv(sources, frequencies=True)
    assert (shell, option, name) == ("sh", "-c", "sh")
    assert words == ["pid:12", "pid:345", "sandbox:/run/docker/netns/1-a b'c", "frequencies"]
    assert script == argv(Sources())[2]


def test_the_command_reads_this_machine() -> None:
    command = argv(Sources((os.getpid(), 2**31 - 1), ("/nonexistent/a b'c",)), frequencies=True)
    done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    found = parse(done.stdout)
    assert len(found.cores) == len(
        [line for line in Path("/proc/stat").read_text().splitlines() if line[:3] == "cpu"][1:]
    )
    assert found.counters[f"pid:{os.getpid()}"].keys() == found.counters["host"].keys()
    assert "sandbox:/nonexistent/a b'c" in found.unreadable
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert uptime - 20 < found.at <= uptime


CORE = CoreUse(user=10.0, system=5.0, softirq=2.0, irq=1.0, steal=0.5, idle=100.0)
BEFORE = Reading(at=1000.0, cores=(CORE, CORE), load=0.1, retransmits=7, drops=3, pressure=50.0)


def test_use_is_the_difference() -> None:
    worked = CoreUse(user=11.0, system=5.5, softirq=2.25, irq=1.0, steal=1.5, idle=101.25)
    after = replace(
        BEFORE,
        at=1004.0,
        cores=(worked, CORE),
        load=2.5,
        retransmits=9,
        drops=5,
        queue_drops=4,
        pressure=51.0,
        frequency=(3e9, 2e9),
    )
    found = use("a", ("client",), BEFORE, after, "1")
    assert found.seconds == 4.0
    assert found.cores[0] == CoreUse(1.0, 0.5, 0.25, 0.0, 1.0, 1.25)
    assert found.cores[1] == CoreUse(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert (found.load, found.retransmits, found.drops) == (2.5, 2, 4)
    assert found.pressure == pytest.approx(0.25)
    assert (found.host, found.roles, found.pinned) == ("a", ("client",), "1")
    assert found.frequency == (3e9, 2e9)
    # Busy is neither idle nor stolen; ends that share a kernel are one machine.
    assert busy((found,), shared_kernel=False) == pytest.approx(1.75)
    assert busy((found, found), shared_kernel=False) == pytest.approx(3.5)
    assert busy((found, found), shared_kernel=True) == pytest.approx(1.75)
    assert busy((), shared_kernel=True) == 0


def test_use_survives_counters_that_go_back_and_kernels_without_pressure() -> None:
    back = CoreUse(user=9.0, system=6.0, softirq=2.0, irq=1.0, steal=0.5, idle=99.0)
    after = Reading(at=1001.0, cores=(back,), load=0.0, retransmits=0, drops=0)
    found = use("a", ("client", "server"), BEFORE, after)
    assert found.cores == (CoreUse(0.0, 1.0, 0.0, 0.0, 0.0, 0.0),)
    assert (found.retransmits, found.drops, found.pressure) == (0, 0, None)
    restarted = use("a", (), BEFORE, replace(BEFORE, at=3.0))
    assert restarted.seconds == 0
    assert restarted.pressure is None
    drowned = use("a", (), BEFORE, replace(BEFORE, at=1001.0, pressure=53.0))
    assert drowned.pressure == 1.0


class Proc:
    """Answers for the counters of hosts: every reading, each core has worked 1 s more and every
    interface has moved ``step`` bytes more."""

    def __init__(self, step: int = 10**9) -> None:
        self.step = step
        self.readings = 0
        self.asked: list[tuple[str, ...]] = []
        self.broken: set[str] = set()

    def __call__(self, machine: FakeMachine, words: Sequence[str]) -> Completed | None:
        if tuple(words[:3]) != argv(Sources())[:3]:
            return None
        if machine.host.name in self.broken:
            return Completed(127, b"", b"sh: 1: head: not found")
        self.readings += 1
        self.asked.append((machine.host.name, *words[4:]))
        said = text().replace("512.07", f"{512 + self.readings}.00")
        said = said.replace("cpu0 2000", f"cpu0 {2000 + 100 * self.readings}")
        said = said.replace("eth0:4294967000", f"eth0:{self.step * self.readings}")
        return Completed(
            0, said.replace("lo:1000", f"lo:{self.step * self.readings}").encode(), b""
        )


# The hosts of the runner's own tests.
hosts = test_runner.world


@pytest.fixture
def proc(hosts: FakeWorld) -> Proc:
    answers = Proc()
    hosts.command = answers
    return answers


def baseline() -> Plan:
    """The host's own network alone: macvlan is right to keep off the interface that moves here."""
    chosen = workloads.chosen(("iperf3-tcp",))
    return make_plan(
        ("a", "b", "c"), drivers.chosen(("host",)), chosen, list(Placement),
        blocks=3, duration=1, warmup=0, seed=3,
    )  # fmt: skip


def head(trial: Trial) -> tuple[str, ...]:
    return tuple(end.host for end in trial.ends)


def samples(trial: Trial) -> dict[str, float]:
    return {sample.metric: sample.value for sample in trial.samples}


def test_trials_carry_what_both_ends_did_and_what_it_cost(
    hosts: FakeWorld,
    proc: Proc,
    tmp_path: Path,
) -> None:
    outcome = go(hosts, tmp_path, plan=baseline())
    run = load(outcome.path)
    assert outcome.counts[Status.COMPLETED] == len(run.trials)
    for trial in run.trials:
        same = trial.cell.placement is Placement.SAME_HOST
        assert head(trial) == (
            (trial.pair.server,) if same else (trial.pair.client, trial.pair.server)
        )
        assert [end.roles for end in trial.ends] == (
            [("client", "server")] if same else [("client",), ("server",)]
        )
        # 1e9 bit/s for 1 s are an eighth of a GB.
        worked = sum(core.user for end in trial.ends for core in end.cores)
        assert worked > 0
        assert samples(trial)["cpu_per_gb"] == pytest.approx(8 * worked)
    assert outcome.end.reading > 0
    assert "cpu_per_gb" in {metric.name for metric in run.info.metrics["iperf3-tcp"]}


def test_a_unit_of_http_costs_what_both_stretches_took(
    hosts: FakeWorld, proc: Proc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = GOLDEN.parent / "http-echo" / "good"
    tool, execute = hosts.tool, FakeMachine.exec
    allowed: list[float] = []

    def measuring(machine: FakeMachine, container: str, words: Sequence[str]) -> Completed:
        if words[0] != "netbench-http-load":
            return tool(machine, container, words)
        return Completed(0, (case / "stdout").read_bytes(), (case / "stderr").read_bytes())

    def timed(
        self: FakeMachine, container: str, argv: Sequence[str], *, timeout: float
    ) -> Completed:
        if argv[0] == "netbench-http-load":
            allowed.append(timeout)
        return execute(self, container, argv, timeout=timeout)

    hosts.tool = measuring
    monkeypatch.setattr(FakeMachine, "exec", timed)
    plan = make_plan(
        ("a", "b", "c"), drivers.chosen(("host",)), workloads.chosen(("http-echo",)),
        list(Placement), blocks=3, duration=2, warmup=1, seed=3,
    )  # fmt: skip
    run = load(go(hosts, tmp_path, plan=plan).path)
    assert {trial.status for trial in run.trials} == {Status.COMPLETED}
    for trial in run.trials:
        worked = sum(core.user for end in trial.ends for core in end.cores)
        # 84,402 a second for 1 + 2 s, and 88,012 for 0.5 + 1 s.
        assert samples(trial)["cpu_per_krequest"] == pytest.approx(1000 * worked / 385224)
    # 2 s after 1 s, then 1 s after 0.5 s; and ten seconds to begin and to end.
    assert run.info.working == {"http-echo": 4.5}
    assert allowed == [14.5] * 6


def test_the_hosts_are_read_right_around_the_tool(
    hosts: FakeWorld,
    proc: Proc,
    tmp_path: Path,
) -> None:
    order: list[str] = []
    tool, command = hosts.tool, hosts.command

    def execute(machine: FakeMachine, container: str, words: Sequence[str]) -> Completed:
        order.extend(["tool"] if "--json" in words else [])
        return tool(machine, container, words)

    def ask(machine: FakeMachine, words: Sequence[str]) -> Completed | None:
        answer = command(machine, words)
        order.extend(["reading"] if answer is not None else [])
        return answer

    hosts.tool, hosts.command = execute, ask
    run = load(go(hosts, tmp_path, plan=baseline()).path)
    for trial in run.trials:
        count = len(trial.ends)
        assert order[: 2 * count + 1] == ["reading"] * count + ["tool"] + ["reading"] * count
        del order[: 2 * count + 1]
    assert not order


def test_ends_that_share_a_kernel_are_both_kept_and_cost_once(
    hosts: FakeWorld,
    proc: Proc,
    tmp_path: Path,
) -> None:
    every = tuple(machine.host for machine in hosts.machines.values())
    inventory = Inventory(Path("x.yaml"), every, shared_kernel=True)
    run = load(go(hosts, tmp_path, plan=baseline(), inventory=inventory).path)
    for trial in run.trials:
        worked = sum(core.user for core in trial.ends[0].cores)
        assert samples(trial)["cpu_per_gb"] == pytest.approx(8 * worked)
    assert any(len(trial.ends) == 2 for trial in run.trials)


def test_a_host_that_cannot_be_read_fails_no_trial_and_is_told_once(
    hosts: FakeWorld,
    proc: Proc,
    tmp_path: Path,
) -> None:
    proc.broken.add("b")
    watcher = Watcher()
    outcome = go(hosts, tmp_path, watcher, plan=baseline())
    run = load(outcome.path)
    assert outcome.counts[Status.COMPLETED] == len(run.trials)
    for trial in run.trials:
        concerned = "b" in {trial.pair.client_for(trial.cell.placement), trial.pair.server}
        assert bool(trial.ends) is not concerned
        assert ("cpu_per_gb" in samples(trial)) is not concerned
        assert not concerned or trial.unattested
    told = [line for line in watcher.stages if line.startswith("not read: b: ")]
    assert len(told) == 1
    assert "head: not found" in told[0]


def test_bytes_that_went_another_way_fail_the_trial(
    hosts: FakeWorld,
    tmp_path: Path,
) -> None:
    hosts.command = Proc(step=0)
    run = load(go(hosts, tmp_path, plan=baseline()).path)
    lost = [
        trial
        for trial in run.trials
        if trial.cell.driver == "host" and trial.cell.placement is Placement.CROSS_HOST
    ]
    assert lost
    for trial in lost:
        assert trial.status is Status.FAILED
        assert trial.reason.startswith("path not taken: ")
        assert not trial.samples
        assert trial.ends


def test_a_pinned_run_says_so_in_its_ends(
    hosts: FakeWorld,
    proc: Proc,
    tmp_path: Path,
) -> None:
    def pinned(info: RunInfo, trial: Trial) -> set[str]:
        assert info.plan.pin == "auto"
        return {end.pinned for end in trial.ends}

    plan = replace(baseline(), pin="auto")
    run = load(go(hosts, tmp_path, plan=plan).path)
    for trial in run.trials:
        same = trial.cell.placement is Placement.SAME_HOST
        assert pinned(run.info, trial) == ({"1:0"} if same else {""})


class Replacing(FakeMachine):
    """A host whose containers of macvlan are those of ``round``: Swarm replaced the ones before."""

    round = 1

    def of(self, name: str) -> str:
        return f"{name}.{self.round}" if "macvlan" in name else name

    def tasks(self, label: str) -> tuple[Task, ...]:
        return tuple(
            replace(one, container_id=self.of(one.service)) for one in super().tasks(label)
        )

    def addresses(self, container: str) -> Mapping[str, str]:
        return super().addresses(container.partition(".")[0])

    def pid(self, container: str) -> int:
        return super().pid(container.partition(".")[0]) + 1000 * self.round

    def exec(self, container: str, argv: Sequence[str], *, timeout: float) -> Completed:
        name = container.partition(".")[0]
        if container != self.of(name):
            raise EngineError(self.host.name, f"No such container: {container}")
        if tuple(argv) != LIST_LINKS:
            return super().exec(name, argv, timeout=timeout)
        infos = [{"family": "inet", "local": one} for one in self.addresses(name).values()]
        links = [{"ifname": "eth0", "mtu": 1500, "addr_info": infos}]
        return Completed(0, json.dumps(links).encode(), b"")


def test_a_replaced_container_is_found_before_the_tool_starts_and_held_to_its_cpus(
    hosts: FakeWorld, proc: Proc, tmp_path: Path
) -> None:
    machines = {name: Replacing(one.host, hosts) for name, one in hosts.machines.items()}
    hosts.machines.update(machines)

    def read_out(machine: FakeMachine, words: Sequence[str]) -> Completed | None:
        found = proc(machine, words)
        if found is None:
            return None
        assert isinstance(machine, Replacing)
        alive = [word[4:] for word in words[4:] if word.startswith(f"pid:{1 + machine.round}")]
        moved = f"Inter-|\n face |\n eth0:{10**9 * proc.readings}{' 0' * 15}\n"
        said = "".join(f"\n==> /proc/{pid}/net/dev <==\n{moved}" for pid in alive)
        return replace(found, stdout=found.stdout + said.encode())

    def swap(trial: Trial) -> None:
        if trial.block == 1:
            for machine in machines.values():
                machine.round = 2

    hosts.command = read_out
    plan = replace(test_runner.open_ended(names=("macvlan",)), stopping=None, blocks=3, pin="0:1")
    outcome = go(hosts, tmp_path, Watcher(swap), plan=plan)
    assert outcome.counts[Status.FAILED] == 0
    held = {name for machine in machines.values() for name in machine.pinned if "macvlan" in name}
    assert {name.rpartition(".")[2] for name in held} == {"1", "2"}


def test_a_lost_host_is_not_mistaken_for_an_unreadable_one() -> None:
    world = FakeWorld(lambda *_: Completed(0, b"", b""))
    machine = world.host("a")
    machine.lost = True
    with pytest.raises(HostUnreachable):
        read(machine, Sources())


def test_a_process_that_is_gone_is_said() -> None:
    world = FakeWorld(lambda *_: Completed(0, b"", b""), command=Proc())
    assert read(world.host("a"), Sources((77,))).unreadable == {"pid:77": "no such process"}


@dataclass
class LateCard:
    """An attestor to whom the counters fall short in the first ``looks`` looks."""

    looks: int
    seen: int = 0

    def sources(self, cell: Cell, pair: HostPair) -> dict[str, Sources]:
        return {"a": Sources()}

    def attest(self, *_: object) -> Attested:
        self.seen += 1
        passages = (Passage("a", "data interface", "eth0", self.seen),)
        return Attested(passages, "" if self.seen > self.looks else f"look {self.seen}")


@pytest.mark.parametrize(
    ("looks", "seen", "complaint", "moved"), [(0, 1, "", 1), (1, 2, "", 2), (9, 2, "look 1", 1)]
)
def test_counters_that_are_late_are_looked_at_once_more(
    monkeypatch: pytest.MonkeyPatch, looks: int, seen: int, complaint: str, moved: int
) -> None:
    monkeypatch.setattr(around, "LATE", 0.0)
    monkeypatch.setattr(around, "read", lambda *_, **__: BEFORE)
    card = LateCard(looks)
    world = FakeWorld(tool=lambda *_: Completed(0, b"", b""))
    gauges = Gauges(Fleet({"a": world.host("a")}), cast("Attestor", card), pytest.fail)
    cell = Cell("host", Access.DIRECT, Placement.CROSS_HOST, "iperf3-tcp")
    before = gauges.before(cell, HostPair("a", "a"))
    found = gauges.attest(gauges.after(before), 1e9)
    assert (card.seen, found.complaint, found.passages[0].moved) == (seen, complaint, moved)


def test_a_container_whose_process_is_gone_is_noticed() -> None:
    cell, pair = Cell("host", Access.DIRECT, Placement.SAME_HOST, "iperf3-tcp"), HostPair("a", "a")
    gone = replace(BEFORE, unreadable={"pid:7": "no such process"})
    closed = replace(BEFORE, unreadable={"sandbox:/run/x": "Operation not permitted"})
    assert Before(cell, pair, {}, {"a": BEFORE, "b": gone}).outdated
    assert not Before(cell, pair, {}, {"a": BEFORE, "b": closed}).outdated
