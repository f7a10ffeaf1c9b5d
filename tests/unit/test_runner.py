"""A run from plan to stored result on hosts in memory: what it stores, and how it ends."""

import itertools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

import pytest

from bench import drivers, images, workloads
from bench.errors import HostUnreachable, ImageError, RemoteTimeout, StoreError, UsageError
from bench.model import (
    Access,
    Checkout,
    Inventory,
    Placement,
    Plan,
    PlannedTrial,
    Status,
    Stopping,
    Trial,
)
from bench.plan import make_plan
from bench.remote.api import Completed
from bench.remote.fake import FakeMachine, FakeWorld
from bench.remote.fleet import Fleet
from bench.runner import Outcome, Request, execute
from bench.store import load
from bench.toolbox.build import Archive
from bench.watch import Standing

NAMES = ("a", "b", "c")


def iperf3_report(bits_per_second: float) -> bytes:
    interval = {"sum": {"start": 0, "end": 1, "bits_per_second": bits_per_second, "omitted": False}}
    return json.dumps(
        {
            "start": {},
            "intervals": [interval],
            "end": {
                "sum_received": {"bits_per_second": bits_per_second, "bytes": 1, "seconds": 1},
                "sum_sent": {"retransmits": 0, "bits_per_second": bits_per_second},
            },
            "server_output_json": {"intervals": [interval]},
        }
    ).encode()


def working(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
    """Tools as they behave on a network that works."""
    if argv[0] == "netbench-probe":
        return Completed(0, answering(machine, argv[1], int(argv[2])), b"")
    if argv[0] == "iperf3":
        return Completed(0, iperf3_report(1e9), b"")
    return Completed(0, b"", b"")


def answering(machine: FakeMachine, address: str, port: int) -> bytes:
    """The task that listens on an address and port of the fake world."""
    for other in machine.world.machines.values():
        swarm = other.swarm
        for spec in swarm.services.values() if swarm else ():
            owner = next(h for h in machine.world.machines.values() if node(h) == spec.node_id)
            if "-server-" not in spec.name:
                continue
            at_host = owner.host.address == address and (
                port in spec.published.values()
                or (spec.network == "host" and str(port) in spec.command)
            )
            if at_host or address in owner.addresses(spec.name).values():
                return spec.name.encode()
    return b"nobody"


def node(machine: FakeMachine) -> str:
    state = machine.facts().swarm
    return state.node_id


class Watcher:
    """Progress that remembers, and may act on a trial's end."""

    def __init__(self, on_end: Callable[[Trial], None] | None = None) -> None:
        self.stages: list[str] = []
        self.trials: list[Trial] = []
        self.standings: list[Standing] = []
        self.on_end = on_end

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def begin(self, plan: Plan) -> None:
        self.stages.append("trials")

    def standing(self, standing: Standing) -> None:
        self.standings.append(standing)

    def starting(self, planned: PlannedTrial) -> None: ...

    def ended(self, trial: Trial) -> None:
        self.trials.append(trial)
        if self.on_end:
            self.on_end(trial)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeWorld:
    path = tmp_path / "image"
    path.write_text("sha256:toolbox")
    archive = Archive(path, "sha256:toolbox", "netbench-toolbox:x", {"iperf3": "3.18-2"}, "amd64")
    monkeypatch.setattr(images, "ensure_archive", lambda _progress: archive)
    made = FakeWorld(working)
    for name in NAMES:
        made.host(name)
    return made


def plan_of(name: str, accesses: Sequence[Access] = ()) -> Plan:
    """Two blocks of a workload, or of several values of a parameter of it."""
    return make_plan(
        NAMES,
        drivers.chosen(()),
        workloads.chosen((name,)),
        list(Placement),
        blocks=2,
        duration=1,
        warmup=0,
        seed=3,
        accesses=accesses,
    )


def go(
    world: FakeWorld, tmp_path: Path, watcher: Watcher | None = None, **changes: object
) -> Outcome:
    plan = plan_of("iperf3-tcp")
    hosts = tuple(world.machines[name].host for name in NAMES)
    request = Request(
        **{  # type: ignore[arg-type]
            "inventory": Inventory(Path("x.yaml"), hosts),
            "plan": plan,
            "out": tmp_path / "results",
            "name": "r",
        }
        | changes
    )
    return execute(request, lambda: Fleet(world.machines), watcher or Watcher())


def is_clean(world: FakeWorld) -> bool:
    return not any(machine.swarm or machine.own for machine in world.machines.values())


def test_a_whole_run_is_stored_and_leaves_nothing(world: FakeWorld, tmp_path: Path) -> None:
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "finished"
    assert outcome.end.outstanding == ()
    assert outcome.counts[Status.COMPLETED] == 16
    assert is_clean(world)
    run = load(outcome.path)
    assert [t.sequence for t in run.trials] == list(range(16))
    assert {t.samples[0].value for t in run.trials} == {1e9}
    assert run.end == outcome.end
    assert set(run.info.networks) == {"host", "bridge", "overlay", "macvlan"}
    assert run.info.image.tools == {"iperf3": "3.18-2"}
    assert "SWMTKN" not in (outcome.path / "run.json").read_text()


def test_the_note_and_the_inventorys_commit_are_kept(world: FakeWorld, tmp_path: Path) -> None:
    checkout = Checkout("ab" * 20, changed=True)
    info = load(go(world, tmp_path, note="new switch", checkout=checkout).path).info
    assert (info.note, info.checkout) == ("new switch", checkout)


def test_the_image_is_sent_only_to_hosts_that_lack_it(world: FakeWorld, tmp_path: Path) -> None:
    world.machines["a"].images["sha256:toolbox"] = {}
    watcher = Watcher()
    go(world, tmp_path, watcher)
    assert "sending the toolbox image to b, c" in watcher.stages


def test_a_host_of_another_architecture_is_refused_by_name(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.machines["b"].architecture = "aarch64"
    with pytest.raises(ImageError, match=r"b: is aarch64, and the toolbox image .* is x86_64"):
        go(world, tmp_path)


def test_a_driver_that_an_engine_refuses_is_skipped_and_the_others_run(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.machines["a"].refuses.add("macvlan")
    run = load(go(world, tmp_path).path)
    skipped = {t.cell.driver for t in run.trials if t.status is Status.SKIPPED}
    assert skipped == {"macvlan"}
    assert all(
        "not supported" in t.reason and "more than one MAC" in t.reason
        for t in run.trials
        if t.status is Status.SKIPPED
    )
    assert sum(t.status is Status.COMPLETED for t in run.trials) == 12


def test_a_path_that_does_not_work_is_skipped_but_only_that_one(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.PROBE_WITHIN", 0.0)

    def filtered(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "netbench-probe" and "macvlan-client-1" in container:
            return Completed(1, b"", b"no answer within 3 s")
        return working(machine, container, argv)

    world.tool = filtered
    run = load(go(world, tmp_path).path)
    skipped = [t for t in run.trials if t.status is Status.SKIPPED]
    assert [(t.cell.driver, t.cell.placement, t.pair.client) for t in skipped] == [
        ("macvlan", Placement.CROSS_HOST, "a")
    ]
    assert "no answer within 3 s" in skipped[0].reason
    assert "more than one MAC address" in skipped[0].reason


def test_a_host_tries_no_more_paths_at_once_than_it_has_processors(
    world: FakeWorld, tmp_path: Path
) -> None:
    at_work: Counter[str] = Counter()
    most: Counter[str] = Counter()
    counting = Lock()

    def counted(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] != "netbench-probe":
            return working(machine, container, argv)
        name = machine.host.name
        with counting:
            at_work[name] += 1
            most[name] = max(most[name], at_work[name])
        time.sleep(0.02)
        with counting:
            at_work[name] -= 1
        return working(machine, container, argv)

    world.tool = counted
    assert go(world, tmp_path).end.outcome == "finished"
    assert set(most) == set(NAMES)
    assert max(most.values()) <= world.machines["a"].cpus


def test_an_answer_from_the_wrong_server_is_not_measured(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.PROBE_WITHIN", 0.0)

    def hijacked(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "netbench-probe" and "overlay" in container:
            return Completed(0, b"somebody-else", b"")
        return working(machine, container, argv)

    world.tool = hijacked
    run = load(go(world, tmp_path).path)
    overlay = [t for t in run.trials if t.cell.driver == "overlay"]
    assert {t.status for t in overlay} == {Status.SKIPPED}
    assert "was answered by 'somebody-else'" in overlay[0].reason


def test_a_tool_that_fails_or_hangs_fails_its_trial_and_nothing_else(
    world: FakeWorld, tmp_path: Path
) -> None:
    def sick(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if "--json" in argv and "overlay" in container:
            return Completed(1, b'{"error": "unable to connect to server"}', b"")
        if "--json" in argv and "macvlan" in container:
            raise RemoteTimeout(
                machine.host.name, "iperf3 did not end within 11 s", stdout=b"{\n  [ 5]  half\n\n"
            )
        return working(machine, container, argv)

    world.tool = sick
    outcome = go(world, tmp_path)
    run = load(outcome.path)
    failed = {t.cell.driver: t.reason for t in run.trials if t.status is Status.FAILED}
    assert failed["overlay"] == "iperf3: unable to connect to server"
    assert "did not end within 11 s; it last said '[ 5] half'" in failed["macvlan"]
    hung = next(t for t in run.trials if t.cell.driver == "macvlan" and t.status is Status.FAILED)
    assert [(outcome.path / raw).read_bytes() for raw in hung.raw] == [b"{\n  [ 5]  half\n\n"]
    assert outcome.counts == {Status.COMPLETED: 8, Status.SKIPPED: 0, Status.FAILED: 8}
    assert not [t for t in run.trials if t.status is Status.FAILED and t.samples]
    assert outcome.end.outcome == "finished"


def test_pairs_at_once_have_containers_of_their_own_and_are_summed(
    world: FakeWorld, tmp_path: Path
) -> None:
    used: set[tuple[str, str]] = set()

    def tool(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if "--json" in argv:
            port = argv[argv.index("--port") + 1]
            used.add((container, port))
            return Completed(0, iperf3_report(1e9 if port.startswith("13") else 2e9), b"")
        return working(machine, container, argv)

    world.tool = tool
    accesses = (Access.DIRECT, Access.VIP, Access.PUBLISHED_HOST)
    outcome = go(world, tmp_path, plan=plan_of("iperf3-tcp:pairs=1/3", accesses))
    run = load(outcome.path)
    assert outcome.end.outcome == "finished", outcome.end.message
    of_three = [one for one in run.trials if one.cell.workload == "iperf3-tcp:pairs=3"]
    for trial in of_three:
        if trial.cell.access is Access.VIP:
            assert trial.status is Status.SKIPPED
            assert trial.reason == "several pairs at once are not measured by vip"
            continue
        assert trial.status is Status.COMPLETED, trial.reason
        found = {one.metric: one.value for one in trial.samples}
        assert found["throughput"] == pytest.approx(
            found["slowest_pair"] + 2 * found["fastest_pair"]
        )
        said = (outcome.path / trial.raw[0]).read_bytes()
        assert [said.count(f"== pair {number} ==".encode()) for number in (1, 2, 3)] == [1, 1, 1]
    # Three clients, each with a server on ports of its own, published ones included.
    assert {port for _, port in used} >= {"15201", "14201", "13201", "13301", "13501"}
    assert len({container for container, port in used if port == "13201"}) >= 3
    assert not {container for container, port in used if port == "13201"} & {
        container for container, port in used if port == "15201"
    }
    names = [name for name in run.info.metrics if name.startswith("iperf3-tcp")]
    assert names == ["iperf3-tcp", "iperf3-tcp:pairs=3"]


def test_a_pair_that_fails_fails_the_trial_and_is_named(world: FakeWorld, tmp_path: Path) -> None:
    def tool(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if "--json" in argv and "14201" in argv:
            return Completed(1, b'{"error": "the server is busy"}', b"")
        return working(machine, container, argv)

    world.tool = tool
    outcome = go(world, tmp_path, plan=plan_of("iperf3-tcp:pairs=2"))
    (reason,) = {one.reason for one in load(outcome.path).trials if one.cell.driver == "host"}
    assert reason == "pair 2 of 2: iperf3: the server is busy"


def test_a_lost_host_ends_the_run_with_what_was_measured(world: FakeWorld, tmp_path: Path) -> None:
    def lose(trial: Trial) -> None:
        if trial.sequence == 2:
            world.machines["c"].lost = True

    watcher = Watcher(lose)
    outcome = go(world, tmp_path, watcher)
    run = load(outcome.path)
    assert outcome.end.outcome == "failed"
    assert outcome.end.message.startswith("c: ")
    assert any(line.startswith("c: ") for line in outcome.end.outstanding)
    assert len(run.trials) >= 3
    assert world.machines["a"].swarm is None
    assert world.machines["b"].swarm is None
    assert not world.machines["a"].own


def test_ctrl_c_keeps_what_was_measured_and_cleans(world: FakeWorld, tmp_path: Path) -> None:
    def press(trial: Trial) -> None:
        if trial.sequence == 4:
            raise KeyboardInterrupt

    outcome = go(world, tmp_path, Watcher(press))
    assert outcome.end.outcome == "interrupted"
    assert len(load(outcome.path).trials) == 5
    assert is_clean(world)


def test_a_fault_of_our_own_is_raised_but_only_once_the_hosts_are_clean(
    world: FakeWorld, tmp_path: Path
) -> None:
    def stumble(trial: Trial) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go(world, tmp_path, Watcher(stumble))
    assert is_clean(world)
    end = load(tmp_path / "results" / "r").end
    assert end is not None
    assert end.outcome == "failed"


def test_a_taken_folder_is_refused_before_any_host_is_asked(
    world: FakeWorld, tmp_path: Path
) -> None:
    (tmp_path / "results" / "r").mkdir(parents=True)
    watcher = Watcher()
    with pytest.raises(UsageError, match="is already there"):
        go(world, tmp_path, watcher)
    assert watcher.stages == []


def test_an_unreachable_host_stops_the_run_before_anything_is_created(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.machines["b"].lost = True
    with pytest.raises(HostUnreachable, match="b: "):
        go(world, tmp_path)
    assert is_clean(world)
    assert not (tmp_path / "results" / "r").exists()


def test_an_existing_swarm_is_used_and_stays(world: FakeWorld, tmp_path: Path) -> None:
    world.machines["b"].swarm_init("198.18.0.2", {})
    token = world.machines["b"].worker_token()
    for name in ("a", "c"):
        machine = world.machines[name]
        machine.swarm_join(machine.host.address, "198.18.0.2", token)
    outcome = go(world, tmp_path)
    assert outcome.counts[Status.COMPLETED] == 16
    swarm = world.machines["b"].swarm
    assert swarm is not None
    assert set(swarm.members) == {"a", "b", "c"}
    assert not swarm.services
    assert not swarm.networks


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (("a",), "b: is in no swarm, but a is"),
        (("b", "c"), "a: is in no swarm, but b is"),
    ],
)
def test_hosts_that_are_not_in_one_swarm_are_refused_by_name(
    world: FakeWorld, tmp_path: Path, inside: tuple[str, ...], says: str
) -> None:
    first, *others = inside
    world.machines[first].swarm_init("x", {})
    for name in others:
        world.machines[name].swarm_join("x", "y", world.machines[first].worker_token())
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "failed"
    assert says in outcome.end.message
    assert {n for n, m in world.machines.items() if m.swarm} == set(inside)


def test_a_swarm_that_another_run_left_is_not_mistaken_for_the_users(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.machines["a"].swarm_init("x", {"netbench.run": "20260101-000000-abcdef"})
    outcome = go(world, tmp_path)
    assert "netbench clean" in outcome.end.message
    assert world.machines["a"].swarm is not None


def test_a_workload_whose_own_server_does_not_answer_is_skipped(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.PROBE_WITHIN", 0.0)

    def shut(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "iperf3" and "--bytes" in argv and "bridge" in container:
            return Completed(1, b"", b"iperf3: error - unable to connect to server")
        return working(machine, container, argv)

    world.tool = shut
    run = load(go(world, tmp_path).path)
    bridge = [t for t in run.trials if t.cell.driver == "bridge"]
    assert {t.status for t in bridge} == {Status.SKIPPED}
    assert "unable to connect to server" in bridge[0].reason


def test_without_a_baseline_there_is_no_run(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.PROBE_WITHIN", 0.0)

    def shut(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "netbench-probe" and "host-client" in container:
            return Completed(1, b"", b"connection refused")
        return working(machine, container, argv)

    world.tool = shut
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "failed"
    assert "the baseline, host, does not work" in outcome.end.message
    assert "connection refused" in outcome.end.message
    assert not load(outcome.path).trials
    assert is_clean(world)


def test_a_service_that_is_refused_skips_its_driver(world: FakeWorld, tmp_path: Path) -> None:
    world.machines["a"].refuses_services.add("overlay-server-2")
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "finished"
    run = load(outcome.path)
    assert {t.cell.driver for t in run.trials if t.status is Status.SKIPPED} == {"overlay"}
    assert is_clean(world)


def test_overlay_is_not_measured_over_another_network_than_the_baseline(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.machines["a"].swarm_init("198.18.0.1", {})
    token = world.machines["a"].worker_token()
    world.machines["b"].swarm_join("192.0.2.2", "198.18.0.1", token)
    world.machines["c"].swarm_join("198.18.0.3", "198.18.0.1", token)
    run = load(go(world, tmp_path).path)
    skipped = {t.cell.driver: t.reason for t in run.trials if t.status is Status.SKIPPED}
    assert list(skipped) == ["overlay"]
    assert "b is in the swarm with the address 192.0.2.2" in skipped["overlay"]


def test_a_join_that_goes_on_by_itself_is_undone(world: FakeWorld, tmp_path: Path) -> None:
    world.machines["c"].join_hangs = True
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "failed"
    assert "TCP 2377 of a (198.18.0.1) must be open to c" in outcome.end.message
    assert not world.machines["c"].pending
    assert is_clean(world)
    assert "SWMTKN" not in outcome.end.message


def test_a_slow_answer_after_a_failed_trial_does_not_end_the_run(
    world: FakeWorld, tmp_path: Path
) -> None:
    def slow(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "sh":
            raise RemoteTimeout(machine.host.name, "sh did not end within 5 s")
        if argv[0] == "iperf3" and "--json" in argv and "overlay" in container:
            return Completed(1, b'{"error": "unable to connect to server"}', b"")
        return working(machine, container, argv)

    world.tool = slow
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "finished"
    assert outcome.counts[Status.FAILED] == 4


def test_after_a_failed_trial_the_next_waits_until_the_server_answers_again(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.POLL", 0.0)
    # How many more probes the server leaves without an answer; nothing before the first trial.
    down: list[int] = []

    def fragile(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        trial = argv[0] == "iperf3" and "--json" in argv
        if trial and "overlay" in container and not down:
            down.append(3)
        if not ("overlay" in container and sum(down) and (trial or argv[0] == "netbench-probe")):
            return working(machine, container, argv)
        down[0] -= not trial
        return Completed(1, b"", b"connection refused")

    world.tool = fragile
    assert go(world, tmp_path).counts[Status.FAILED] == 1
    assert down == [0]


def test_a_server_without_an_address_is_never_replaced_by_another(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.probe.PROBE_WITHIN", 0.0)
    monkeypatch.setattr(FakeMachine, "addresses", lambda _self, _container: {})
    run = load(go(world, tmp_path).path)
    status = {(t.cell.driver, t.cell.placement): t.status for t in run.trials}
    assert status["overlay", Placement.CROSS_HOST] is Status.SKIPPED
    assert status["bridge", Placement.SAME_HOST] is Status.SKIPPED
    assert status["host", Placement.CROSS_HOST] is Status.COMPLETED


@pytest.mark.parametrize("fault", [SystemExit(1), BrokenPipeError(), OSError(28, "No space")])
def test_a_watcher_that_breaks_ends_its_watching_and_not_the_run(
    world: FakeWorld, tmp_path: Path, fault: BaseException
) -> None:
    def leave(_trial: Trial) -> None:
        raise fault

    watcher = Watcher(leave)
    outcome = go(world, tmp_path, watcher)
    assert outcome.end.outcome == "finished"
    assert len(watcher.trials) == 1
    assert is_clean(world)


def test_a_second_signal_does_not_stop_the_clean_up(world: FakeWorld, tmp_path: Path) -> None:
    def press_twice(_trial: Trial) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    outcome = go(world, tmp_path, Watcher(press_twice))
    assert outcome.end.outcome == "interrupted"
    assert is_clean(world)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_cannot_be_written_ends_the_run_and_the_hosts_are_clean(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("raw: No space left on device", "make room")

    monkeypatch.setattr("bench.store.RunWriter.raw", full)
    outcome = go(world, tmp_path)
    assert outcome.end.outcome == "failed"
    assert "No space left on device" in outcome.end.message
    assert is_clean(world)


def test_a_place_that_cannot_be_written_to_is_told_before_any_host_is_asked(
    world: FakeWorld, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    watcher = Watcher()
    with pytest.raises(StoreError, match="file"):
        go(world, tmp_path, watcher, out=tmp_path / "file" / "results")
    assert watcher.stages == []


def open_ended(
    target: float | None = 0.05, budget: float = 600.0, names: tuple[str, ...] = ("overlay",)
) -> Plan:
    return make_plan(
        NAMES,
        drivers.chosen(names),
        workloads.chosen(("iperf3-tcp",)),
        list(Placement),
        duration=1,
        warmup=0,
        seed=3,
        aa=None,
        stopping=Stopping(target, budget, 6),
    )


def uneven(world: FakeWorld, noisy: str, share: float) -> None:
    """Tools whose result is the same each time, but for one service's, which alternates."""
    turn = itertools.count()

    def tool(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "iperf3" and "--json" in argv and noisy in container:
            return Completed(0, iperf3_report(1e9 * (1 + share * (-1) ** next(turn))), b"")
        return working(machine, container, argv)

    world.tool = tool


def test_a_run_with_a_target_ends_when_every_cell_is_narrow(
    world: FakeWorld, tmp_path: Path
) -> None:
    watcher = Watcher()
    outcome = go(world, tmp_path, watcher, plan=open_ended())
    run = load(outcome.path)
    assert (outcome.end.outcome, outcome.end.blocks) == ("finished", 6)
    assert outcome.end.message == "every cell within ±5 % after 6 blocks"
    assert run.end == outcome.end
    assert run.info.plan.stopping == Stopping(0.05, 600.0, 6)
    # Two cells of two placements, and one of them again as A/A.
    assert Counter(trial.block for trial in run.trials) == dict.fromkeys(range(6), 5)
    assert {t.cell.aa for t in run.trials if t.cell.driver == "host"} == {0, 1}
    assert [s.settled for s in watcher.standings] == [0] * 6
    assert {s.cells for s in watcher.standings} == {3}
    lefts = [s.left for s in watcher.standings]
    assert lefts == sorted(lefts, reverse=True)
    assert is_clean(world)


def test_cells_that_are_settled_rest_while_the_others_go_on(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uneven(world, "overlay-client", 0.2)
    plan = replace(open_ended(names=("overlay", "macvlan")), blocks=9)
    outcome = go(world, tmp_path, plan=plan)
    trials = load(outcome.path).trials
    late = {trial.cell.driver for trial in trials if trial.block >= 6}
    assert late == {"host", "overlay"}
    assert sum(t.cell.driver == "macvlan" for t in trials) == 12
    assert outcome.end.blocks == 9
    assert "not yet within ±5 %: overlay/direct" in outcome.end.message
    # Each trial keeps the number that it has in the whole plan: resting leaves gaps.
    assert [t.sequence for t in trials] == sorted({t.sequence for t in trials})


def clocked(monkeypatch: pytest.MonkeyPatch, world: FakeWorld, seconds: float) -> None:
    """A clock that stands still but for the tools, each of which takes ``seconds``."""
    now = [1000.0]

    def tool(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "iperf3" and "--json" in argv:
            now[0] += seconds
        return working(machine, container, argv)

    monkeypatch.setattr("bench.runner.time", SimpleNamespace(monotonic=lambda: now[0]))
    world.tool = tool


def test_a_budget_ends_a_run_before_a_block_that_would_break_it(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, world, 2.0)
    outcome = go(world, tmp_path, plan=open_ended(target=None, budget=100.0))
    # 10 s a block, and 10 s are kept for the clean-up.
    assert outcome.end.message == "the budget of 100 s ended after 9 blocks"
    assert (outcome.end.outcome, outcome.end.wall) == ("finished", 90.0)
    assert outcome.counts[Status.COMPLETED] == 45


def test_a_block_that_turns_slow_is_cut_short_rather_than_the_budget_broken(
    world: FakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, world, 30.0)
    outcome = go(world, tmp_path, plan=open_ended(budget=100.0))
    assert outcome.end.wall <= 120.0
    assert outcome.end.blocks == 1
    assert 0 < outcome.counts[Status.COMPLETED] < 5
    assert outcome.end.message.startswith("the budget of 100 s ended after 1 block; not yet within")
    assert is_clean(world)


def test_a_run_without_an_end_of_its_own_can_be_interrupted(
    world: FakeWorld, tmp_path: Path
) -> None:
    def press(trial: Trial) -> None:
        if trial.block == 2:
            raise KeyboardInterrupt

    outcome = go(world, tmp_path, Watcher(press), plan=open_ended())
    assert (outcome.end.outcome, outcome.end.message) == ("interrupted", "interrupted")
    assert outcome.end.blocks == 3
    assert len(load(outcome.path).trials) == 11
    assert is_clean(world)


def test_a_run_without_an_end_of_its_own_ends_with_a_lost_host(
    world: FakeWorld, tmp_path: Path
) -> None:
    def lose(trial: Trial) -> None:
        if trial.block == 1:
            world.machines["b"].lost = True

    outcome = go(world, tmp_path, Watcher(lose), plan=open_ended())
    assert outcome.end.outcome == "failed"
    assert outcome.end.message.startswith("b: ")
    assert 1 <= outcome.end.blocks <= 3


def test_a_driver_that_is_skipped_does_not_keep_a_run_going(
    world: FakeWorld, tmp_path: Path
) -> None:
    world.machines["a"].refuses.add("macvlan")
    outcome = go(world, tmp_path, plan=open_ended(names=("overlay", "macvlan")))
    assert outcome.end.blocks == 6
    assert outcome.end.message.startswith("every cell but 2 that could not be measured within")
    assert outcome.counts[Status.SKIPPED] == 12


def test_an_aa_cell_takes_the_very_containers_of_the_baseline(
    world: FakeWorld, tmp_path: Path
) -> None:
    used: dict[str, int] = Counter()

    def tool(machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "iperf3" and "--json" in argv:
            used[container] += 1
        return working(machine, container, argv)

    world.tool = tool
    plan = make_plan(
        NAMES,
        drivers.chosen(("host",)),
        workloads.chosen(("iperf3-tcp",)),
        list(Placement),
        blocks=3,
        duration=1,
        warmup=0,
        seed=3,
        aa=1,
    )
    outcome = go(world, tmp_path, plan=plan)
    assert outcome.counts == {Status.COMPLETED: 12, Status.SKIPPED: 0, Status.FAILED: 0}
    assert outcome.end.blocks == 3
    assert outcome.end.message == ""
    # Three hosts, one client service each: a same-host and a cross-host cell, each measured twice.
    assert list(used.values()) == [4, 4, 4]
    assert all("-host-client-" in name for name in used)
