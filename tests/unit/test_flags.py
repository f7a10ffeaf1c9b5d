"""Flags: each is raised by what it is for, says so in numbers, and keeps quiet otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.cpu import cpu_use
from bench.analysis.flags import Flag, Kind, Severity, find
from bench.analysis.flags.course import Course
from bench.analysis.flags.shape import holm, levels, step, trend
from bench.analysis.flags.traffic import moved
from bench.analysis.load import cpu_list
from bench.analysis.summary import summarise
from bench.analysis.verdict import Kind as Judged
from bench.model import (
    CoreUse,
    EndUse,
    HostPair,
    PathFacts,
    Placement,
    PlannedTrial,
    Sample,
    Status,
    Trial,
)
from bench.store import StoredRun, load
from bench.units import human

from .synthetic import as_format_1, ends, write_run

RESTED = CoreUse(user=0.1, system=0.1, softirq=0.0, irq=0.0, steal=0.0, idle=3.82)
FULL = CoreUse(user=0.3, system=2.9, softirq=0.75, irq=0.0, steal=0.0, idle=0.07)


def stored(path: Path, **options: object) -> StoredRun:
    chosen: dict[str, object] = {
        "driver_names": ["host", "overlay"],
        "workload_names": ["iperf3-tcp"],
        "placements": [Placement.CROSS_HOST],
        "hosts": ["a", "b"],
        "blocks": 12,
        "drift": 0.03,
        "shared_kernel": False,
    }
    return load(write_run(path / "run", **(chosen | options)))  # type: ignore[arg-type]


def flags(run: StoredRun) -> tuple[Flag, ...]:
    return find(run, summarise(run))


def only(found: tuple[Flag, ...], kind: Kind) -> Flag:
    assert [flag.kind for flag in found] == [kind], found
    return found[0]


def using(*cores: CoreUse, **of_end: object) -> Callable[[Trial], Trial]:
    """A change that gives every end of every trial these cores, and the rest of ``of_end``."""

    def change(trial: Trial) -> Trial:
        told = tuple(replace(end, cores=cores, **of_end) for end in trial.ends)  # type: ignore[arg-type]
        return replace(trial, ends=told)

    return change


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 12, 40])
def test_a_quiet_run_has_no_flag(tmp_path: Path, blocks: int) -> None:
    assert flags(stored(tmp_path, blocks=blocks, hosts=["a", "b", "c"], aa=1, drift=0.0)) == ()


def test_what_was_not_read_is_not_flagged(tmp_path: Path) -> None:
    path = stored(tmp_path, change=using(FULL, FULL, pressure=0.9)).path
    assert {flag.kind for flag in flags(load(path))} == {Kind.CORE_FULL, Kind.PRESSURE}
    assert flags(load(as_format_1(path))) == ()


def test_a_run_without_a_value_has_no_flag(tmp_path: Path) -> None:
    assert flags(stored(tmp_path, fate=lambda planned: (Status.FAILED, "no route"))) == ()
    assert flags(stored(tmp_path / "cut", stop_after=0)) == ()


# ---- the course over the blocks -------------------------------------------------------------


def test_a_step_says_where_how_far_and_after_how_many_bytes(tmp_path: Path) -> None:
    run = stored(tmp_path, shape=lambda planned: 0.5 if planned.block >= 7 else 1.0)
    steps = [flag for flag in flags(run) if flag.kind is Kind.STEP]
    assert [flag.subject for flag in steps] == ["host, cross-host, TCP throughput"]
    said = steps[0].evidence
    assert re.search(r"fell from [89]\.\d+ Gbit/s to 4\.\d+ Gbit/s \(-\d\d %\)", said)
    assert "at block 8 of 12" in said
    before = moved(run, 7)
    own = sum(
        trial.samples[0].value * 4 / 8
        for trial in run.trials
        if trial.block < 7 and "a" in (trial.pair.client, trial.pair.server)
    )
    assert before["a"] == pytest.approx(own)
    assert human(own, "B") in said


def test_a_step_of_one_driver_alone_is_in_its_ratio(tmp_path: Path) -> None:
    def shape(planned: PlannedTrial) -> float:
        return 1.6 if planned.cell.driver == "overlay" and planned.block >= 4 else 1.0

    found = flags(stored(tmp_path, shape=shape))
    steps = [flag for flag in found if flag.kind is Kind.STEP]
    assert [flag.subject for flag in steps] == ["overlay, cross-host, TCP throughput"]
    assert "of the host network's value in the same block" in steps[0].evidence
    assert "moved across hosts" not in steps[0].evidence


def test_a_trend_is_no_step(tmp_path: Path) -> None:
    run = stored(tmp_path, blocks=24, drift=0.0, noise=0.03, shape=lambda one: 0.97**one.block)
    kinds = {flag.kind for flag in flags(run)}
    assert kinds & {Kind.STEP, Kind.TREND}
    assert Kind.BIMODAL not in kinds


def test_hosts_that_differ_are_no_step(tmp_path: Path) -> None:
    speed = {"a": 1.0, "b": 0.6, "c": 1.4}
    run = stored(
        tmp_path,
        hosts=["a", "b", "c"],
        blocks=15,
        drift=0.01,
        shape=lambda planned: speed[planned.pair.client],
    )
    assert not {flag.kind for flag in flags(run)} & {Kind.STEP, Kind.TREND, Kind.BASELINE_MOVED}


def test_all_pairs_of_hosts_are_moved_to_one_middle(tmp_path: Path) -> None:
    run = stored(tmp_path)
    row, (one, other) = summarise(run).cells[0], (HostPair("a", "b"), HostPair("b", "a"))
    shares = np.tile([1.0, 10.0], 6)
    course = Course(row, shares, shares, np.arange(12), (one, other) * 6)
    assert np.ptp(course.logs) == pytest.approx(0)


def test_two_levels_are_counted_and_named(tmp_path: Path) -> None:
    slow = {1, 2, 5, 8, 9}
    run = stored(
        tmp_path,
        shape=lambda one: 0.6 if one.cell.driver == "overlay" and one.block in slow else 1.0,
    )
    flag = only(flags(run), Kind.BIMODAL)
    assert flag.subject == "overlay, cross-host, TCP throughput"
    assert re.match(
        r"of 12 blocks 7 around [67]\.\d+ Gbit/s \(0\.7\d of the host network\) "
        r"and 5 around [34]\.\d+ Gbit/s \(0\.4\d of the host network\)",
        flag.evidence,
    )


def test_two_levels_of_the_baseline_are_told_once(tmp_path: Path) -> None:
    slow = {1, 2, 5, 8, 9}
    run = stored(
        tmp_path,
        drift=0.01,
        driver_names=["host", "overlay", "macvlan"],
        shape=lambda one: 0.6 if one.cell.driver == "host" and one.block in slow else 1.0,
    )
    found = [flag for flag in flags(run) if flag.kind is Kind.BIMODAL]
    assert [flag.subject for flag in found] == ["host, cross-host, TCP throughput"]
    moves = [flag for flag in flags(run) if flag.kind is Kind.BASELINE_MOVED]
    assert re.search(r"more than 20 % in 9 of 10 steps .* worst [+-]\d\d %", moves[0].evidence)


@pytest.mark.parametrize(
    ("blocks", "slow", "told"),
    [(12, 5, True), (12, 11, False), (40, 20, False)],
    ids=["there and back", "once", "once there and back in many blocks"],
)
def test_one_stumble_of_the_baseline_in_many_blocks_is_no_flag(
    tmp_path: Path,
    blocks: int,
    slow: int,
    told: bool,  # noqa: FBT001
) -> None:
    run = stored(
        tmp_path, blocks=blocks, drift=0.0, shape=lambda one: 0.6 if one.block == slow else 1.0
    )
    assert (Kind.BASELINE_MOVED in {flag.kind for flag in flags(run)}) == told


def test_a_baseline_that_moved_is_told_by_a_workloads_first_metric_alone(tmp_path: Path) -> None:
    run = stored(
        tmp_path,
        workload_names=["http-echo"],
        shape=lambda one: 0.5 if one.block in (2, 5, 6) else 1.0,
    )
    found = [flag.subject for flag in flags(run) if flag.kind is Kind.BASELINE_MOVED]
    assert found == ["host, cross-host, HTTP requests"]


def test_two_levels_that_are_two_hosts_say_so(tmp_path: Path) -> None:
    run = stored(tmp_path, drift=0.01, shape=lambda one: 0.5 if one.pair.client == "b" else 1.0)
    found = [flag for flag in flags(run) if flag.kind is Kind.BIMODAL]
    assert "the lower is that of b to a: the hosts differ" in found[0].evidence


# ---- hosts ----------------------------------------------------------------------------------


def test_steal_is_told_by_host(tmp_path: Path) -> None:
    stolen = replace(RESTED, steal=0.6, idle=3.22)

    def change(trial: Trial) -> Trial:
        told = tuple(
            replace(end, cores=(stolen if end.host == "a" and trial.block < 3 else RESTED,))
            for end in trial.ends
        )
        return replace(trial, ends=told)

    flag = only(flags(stored(tmp_path, change=change)), Kind.STEAL)
    assert flag.subject == "host a"
    assert "in 6 of 24 trials, 0.0 % in the median one, 14.9 % in the worst" in flag.evidence


@pytest.mark.parametrize(("shared", "whose"), [(False, "client on a"), (True, "this machine")])
def test_a_full_core_is_named(tmp_path: Path, shared: bool, whose: str) -> None:  # noqa: FBT001
    def change(trial: Trial) -> Trial:
        if trial.cell.driver == "host":
            return using(RESTED, RESTED)(trial)
        client, server = trial.ends
        cores = (RESTED, FULL)
        told = (
            replace(client, cores=cores),
            replace(server, cores=cores if shared else (RESTED, RESTED)),
        )
        return replace(trial, ends=told)

    flag = only(flags(stored(tmp_path, change=change, shared_kernel=shared)), Kind.CORE_FULL)
    assert flag.severity is Severity.WARNING
    assert flag.subject == "overlay, cross-host, iperf3-tcp"
    assert flag.evidence.startswith("in 12 of 12 trials; ")
    assert f"{whose}" in flag.evidence
    assert "core 1: 98.8 % busy, mostly system" in flag.evidence


def test_what_a_core_idles_while_a_longer_tool_works_is_rest(tmp_path: Path) -> None:
    """A tool that works for 3.8 s of 4.02 has 0.22 s at its ends, and one of 4 s has 0.02."""
    half_idle = CoreUse(user=0.1, system=3.7, softirq=0.0, irq=0.0, steal=0.0, idle=0.2)
    run = stored(tmp_path, change=using(half_idle, RESTED))
    assert flags(run) == ()
    shorter = replace(run, info=replace(run.info, working={"iperf3-tcp": 3.8}))
    assert {flag.kind for flag in flags(shorter)} == {Kind.CORE_FULL}
    other = replace(run, info=replace(run.info, working={"http-echo": 3.8}))
    assert flags(other) == ()


def test_of_a_pinned_end_its_own_cores_count(tmp_path: Path) -> None:
    run = stored(tmp_path, change=using(RESTED, FULL, pinned="0"))
    assert flags(run) == ()
    run = stored(tmp_path / "own", change=using(RESTED, FULL, pinned="0-1"))
    # What holds up every cell is told once.
    flag = only(flags(run), Kind.CORE_FULL)
    assert flag.subject == "all 2 cells, cross-host, iperf3-tcp"
    assert flag.evidence.startswith("in 24 of 24 trials; client on a, b, core 1 (pinned): ")


def test_each_end_of_one_host_has_its_cores(tmp_path: Path) -> None:
    run = stored(
        tmp_path,
        placements=[Placement.SAME_HOST],
        shared_kernel=True,
        change=using(FULL, RESTED, pinned="1:0"),
    )
    assert all("; server, core 0 (pinned)" in f.evidence for f in flags(run))
    assert {flag.kind for flag in flags(run)} == {Kind.CORE_FULL}


def test_pressure_and_losses(tmp_path: Path) -> None:
    run = stored(tmp_path, change=using(RESTED, pressure=0.7, retransmits=50_000, drops=9_000))
    found = {flag.kind: flag for flag in flags(run)}
    assert set(found) == {Kind.PRESSURE, Kind.RETRANSMITS, Kind.DROPS}
    assert "70 % of the median trial" in found[Kind.PRESSURE].evidence
    assert re.search(r"sent again: \d\.?\d? % of those", found[Kind.RETRANSMITS].evidence)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("", ()), ("0", (0,)), ("0-2,5", (0, 1, 2, 5)), ("x", ()), ("1-", (1,)), ("-1", ())],
)
def test_cpu_lists(text: str, cpus: tuple[int, ...]) -> None:
    assert cpu_list(text) == cpus


# ---- what cannot be -------------------------------------------------------------------------


def test_a_zero_is_an_alarm(tmp_path: Path) -> None:
    def change(trial: Trial) -> Trial:
        if trial.cell.driver == "overlay" and trial.block in (2, 3):
            return replace(trial, samples=(Sample("throughput", 0.0), *trial.samples[1:]))
        return trial

    flag = only(flags(stored(tmp_path, change=change)), Kind.ZERO)
    assert (flag.severity, flag.subject) == (
        Severity.ALARM,
        "overlay, cross-host, TCP throughput",
    )
    assert "2 of 12 completed trials" in flag.evidence


@pytest.mark.parametrize(
    ("driver", "mtu", "gigabits", "above"),
    [
        ("host", 1500, 9.50, False),
        ("host", 1500, 9.52, True),
        ("overlay", 1500, 9.17, False),
        ("overlay", 1500, 9.19, True),
        ("host", 9000, 9.98, False),
        ("host", 9000, 10.1, True),
    ],
)
def test_no_driver_is_faster_than_the_line(
    tmp_path: Path,
    driver: str,
    mtu: int,
    gigabits: float,
    above: bool,  # noqa: FBT001
) -> None:
    """(MTU - 52) / (MTU + 38) of the line, 0.9415 of it at 1500; with VXLAN 0.9090; 1 % more is
    forgiven."""

    def change(trial: Trial) -> Trial:
        rate = gigabits * 1e9 if trial.cell.driver == driver else 7e9
        return replace(trial, samples=(Sample("throughput", rate), *trial.samples[1:]))

    run = stored(tmp_path, change=change, link_speed=10e9)
    hosts = tuple(replace(host, data_mtu=mtu) for host in run.info.hosts)
    run = replace(run, info=replace(run.info, hosts=hosts, paths=()))
    found = [flag for flag in flags(run) if flag.kind is Kind.LINE_RATE]
    assert bool(found) == above
    if above:
        assert found[0].severity is Severity.ALARM
        assert "12 of 12 trials" in found[0].evidence
        assert "a line of 10.0 Gbit/s can carry 9." in found[0].evidence


def test_a_smaller_mtu_on_the_path_lowers_the_bound(tmp_path: Path) -> None:
    run = stored(tmp_path, link_speed=10e9, factors={"host": 1.0, "overlay": 0.97}, drift=0.0)
    assert not [flag for flag in flags(run) if flag.kind is Kind.LINE_RATE]
    narrow = (PathFacts("overlay", "a", "client container", "eth0", 600),)
    run = replace(run, info=replace(run.info, paths=narrow))
    found = [flag for flag in flags(run) if flag.kind is Kind.LINE_RATE]
    assert [flag.subject for flag in found] == ["overlay, cross-host, TCP throughput"]


def test_what_beats_the_host_network_is_to_be_explained(tmp_path: Path) -> None:
    flag = only(flags(stored(tmp_path, factors={"host": 1.0, "overlay": 1.2})), Kind.BEATS_HOST)
    assert flag.subject == "overlay, cross-host, TCP throughput"
    assert re.match(r"1\.\d\d \(1\.\d\d.1\.\d\d\) of the host network in 12 blocks", flag.evidence)


def test_what_beats_the_host_network_by_a_hair_needs_no_explanation(tmp_path: Path) -> None:
    factors = {"host": 1.0, "overlay": 1.015}
    run = stored(tmp_path, factors=factors, drift=0.0, noise=0.002)
    leads = {metric for _, metric in summarise(run).headlines}
    judged = {row.verdict.kind for row in summarise(run).cells if row.metric in leads}
    assert Judged.BETTER in judged
    assert flags(run) == ()


def test_paths_that_were_not_taken_or_not_seen(tmp_path: Path) -> None:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        lost = planned.cell.driver == "overlay" and planned.block < 2
        return (Status.FAILED, "path not taken: vxlan on a counted 0 B") if lost else None

    run = stored(tmp_path, fate=fate, change=lambda trial: replace(trial, unattested="not root"))
    found = {(flag.kind, flag.subject): flag for flag in flags(run)}
    alarm = found.pop((Kind.PATH_NOT_TAKEN, "overlay, cross-host, iperf3-tcp"))
    assert (alarm.severity, alarm.evidence) == (
        Severity.ALARM,
        "in 2 trials, which failed: vxlan on a counted 0 B",
    )

    # Each trial counts other bytes: still it is one flag a cell.
    def each(planned: PlannedTrial) -> tuple[Status, str] | None:
        lost = fate(planned)
        return lost and (lost[0], f"path not taken: vxlan on a counted {planned.block} B")

    (alarm,) = flags(stored(tmp_path / "each", fate=each))
    assert alarm.evidence.startswith("in 2 trials, which failed: for example vxlan on a counted ")
    assert found[Kind.UNATTESTED, "overlay, cross-host"].evidence == "10 of 10 trials: not root"
    assert found[Kind.UNATTESTED, "host, cross-host"].evidence == "12 of 12 trials: not root"


# ---- the statistics -------------------------------------------------------------------------


def test_the_tests_are_those_of_scipy() -> None:
    random = np.random.default_rng(3)
    for count in (6, 11, 40):
        values = random.normal(size=count) + np.arange(count) / count
        found = trend(values)
        assert found is not None
        assert found.p == pytest.approx(stats.spearmanr(values, np.arange(count)).pvalue)
        change = step(values)
        assert change is not None
        own = stats.ttest_ind(values[: change.at], values[change.at :]).pvalue
        assert change.p == pytest.approx(min(1.0, float(own) * (count - 5)))
    assert trend(np.arange(6.0)).p == pytest.approx(2 / 720)  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [8, 12, 30])
@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential", "laplace"])
def test_one_level_is_rarely_taken_for_two(count: int, kind: str) -> None:
    random = np.random.default_rng(8)
    draws = getattr(random, kind)(size=(1500, count))
    assert sum(levels(row) is not None for row in draws) < 0.01 * 1500


@pytest.mark.parametrize("count", [8, 12, 30])
@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential", "standard_t"])
def test_steps_and_trends_are_rarely_found_in_noise(count: int, kind: str) -> None:
    random = np.random.default_rng(9)
    drawn = getattr(random, kind)
    draws = drawn(3, size=(1000, count)) if kind == "standard_t" else drawn(size=(1000, count))
    for look in (step, trend):
        alarms = sum((found := look(row)) is not None and found.p < 0.001 for row in draws)
        assert alarms <= 10, look  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [10, 20])
def test_levels_and_steps_far_apart_are_found(count: int) -> None:
    random = np.random.default_rng(10)
    places = np.arange(count)
    jumps = random.normal(size=(200, count)) + 12 * (places % 3 == 0)
    assert sum(levels(row) is not None for row in jumps) > 190
    for at in (3, count // 2):
        rises = random.normal(size=(200, count)) + 12 * (places >= at)
        found = [step(row) for row in rises]
        assert sum(one is not None and one.p < 1e-4 and one.at == at for one in found) > 190
        assert not any(levels(row) for row in rises)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.001, 0.02], 0.05) == [True, True, True]
    assert holm([0.04, 0.001, 0.03], 0.05) == [False, True, False]
    assert holm([], 0.05) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), max_size=30))
def test_any_numbers_give_a_defined_answer(values: list[float]) -> None:
    series = np.array(values)
    for found in (step(series), trend(series)):
        assert found is None or 0 <= found.p <= 1
    split = levels(series)
    assert split is None or len(split.upper) == len(values)


# ---- what it costs --------------------------------------------------------------------------


def test_cores_are_counted_by_end_or_once_by_machine(tmp_path: Path) -> None:
    run = stored(tmp_path)
    planned = PlannedTrial(0, 0, run.trials[0].pair, run.trials[0].cell)
    client, server = ends(planned)
    for one, end in zip(cpu_use(run)[:2], (client, server), strict=True):
        assert one.end == end.roles[0]
        assert one.trials == 12
        assert one.of == 2
        assert one.cores == pytest.approx(_busy(end) / end.seconds)
        assert one.low == pytest.approx(one.high)
        assert one.spent.steal == pytest.approx(12 * sum(core.steal for core in end.cores))
    shared = cpu_use(replace(run, info=replace(run.info, shared_kernel=True)))
    assert [one.end for one in shared] == ["this machine"] * 2
    assert shared[0].cores == pytest.approx(_busy(client) / client.seconds)


def _busy(end: EndUse) -> float:
    return sum(core.user + core.system + core.softirq + core.irq for core in end.cores)
