"""`netbench compare`: two stored runs side by side, and the gate on what got worse."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.gate import drifting_change, fails_more, holm
from bench.analysis.likeness import differences
from bench.cli.compare import command
from bench.errors import UsageError
from bench.estimate import Logs, change
from bench.model import Better, Placement, PlannedTrial, RunInfo, Sample, Status, Trial
from bench.store import StoredRun, load

from .simulated import WORLDS
from .simulated_gate import Truth, alarms, found
from .synthetic import FACTOR, write_run

Make = Callable[..., Path]
Fate = Callable[[PlannedTrial], tuple[Status, str] | None]


def netbench(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def said(result: Result) -> str:
    """What was printed, lines that were folded put together again."""
    assert not isinstance(result.exception, Exception), result.exception
    return " ".join(result.stdout.split())


def fault(result: Result) -> UsageError:
    assert isinstance(result.exception, UsageError), result.exception
    assert "\n" not in str(result.exception)
    assert result.exception.exit_code == 2
    assert not result.stdout
    return result.exception


def cells(result: Result) -> dict[tuple[str, str, str], dict[str, Any]]:
    assert not isinstance(result.exception, Exception), result.exception
    printed = json.loads(result.stdout)
    assert printed["exit"] == result.exit_code
    return {
        (f"{one['driver']}{one['aa'] or ''}", one["placement"], one["metric"]): one
        for one in printed["cells"]
    }


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes small quick runs, each under its name."""

    def written(name: str, **choices: Any) -> Path:
        choices = {
            "driver_names": ["host", "bridge", "overlay"],
            "workload_names": ["iperf3-tcp"],
            "blocks": 12,
            "seed": len(name) + ord(name[0]),
            "created": f"2026-02-01T{len(name):02}:00:00Z",
            **choices,
        }
        return write_run(tmp_path / name, name=name, **choices)

    return written


def slower(driver: str, factor: float) -> dict[str, float]:
    return {**FACTOR, driver: FACTOR[driver] * factor}


def failing(driver: str, status: Status = Status.FAILED, every: int = 1) -> Fate:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        hit = planned.cell.driver == driver and planned.block % every == 0
        return (status, "iperf3 ended with exit code 1") if hit else None

    return fate


def rewritten(path: Path, alter: Callable[[dict[str, Any]], None]) -> Path:
    """The run at ``path`` with a head that was changed by hand."""
    head = path / "run.json"
    content = json.loads(head.read_text())
    alter(content)
    head.write_text(json.dumps(content))
    return path


# The gate.


def test_an_unchanged_run_passes_though_the_machine_is_a_third_slower_today(make: Make) -> None:
    today = {driver: 0.66 * factor for driver, factor in FACTOR.items()}
    result = netbench(make("base"), make("new", factors=today))
    assert result.exit_code == 0
    assert "none of 6 judged is credibly worse by more than 5 %" in said(result)


def test_a_slower_driver_is_found_and_no_other(make: Make) -> None:
    result = netbench(make("base"), make("new", factors=slower("overlay", 0.8)))
    assert result.exit_code == 1
    text = said(result)
    assert text.count("credibly more than 5 %") == 2
    assert "netbench: 2 of 6 judged credibly worse by more than 5 %" in text


def test_words_and_numbers_agree_with_the_truth(make: Make) -> None:
    result = netbench(
        make("base", drift=0.0, noise=0.005),
        make("new", drift=0.0, noise=0.005, factors=slower("overlay", 0.8)),
        "--json",
    )
    found = cells(result)
    overlay = found["overlay", "cross-host", "throughput"]
    low, high = overlay["change"]["ci"]
    assert low < 0.8 < high
    assert high - low < 0.03
    assert overlay["verdict"] == "credibly-worse"
    assert overlay["words"].startswith("slower by ")
    assert overlay["words"].endswith(" %), credibly more than 5 %")
    assert overlay["judged_by"] == "ratio"
    assert overlay["p"] <= overlay["p_adjusted"] < 0.05
    assert overlay["change"]["ratio"] == pytest.approx(
        overlay["new"]["ratio"] / overlay["base"]["ratio"]
    )
    host = found["host", "cross-host", "throughput"]
    assert host["judged_by"] == "value"
    assert host["verdict"] == "no-change"
    assert host["words"].startswith("no change beyond 5 %: within ±")


def test_the_same_change_the_other_way_round_is_faster_and_passes(make: Make) -> None:
    result = netbench(make("base", factors=slower("overlay", 0.8)), make("new"), "--json")
    assert result.exit_code == 0
    assert cells(result)["overlay", "same-host", "throughput"]["words"].startswith("faster by ")


def test_latencies_get_worse_upwards(make: Make) -> None:
    runs = [
        make(name, workload_names=["http-echo"], placements=[Placement.CROSS_HOST], factors=factors)
        for name, factors in (("base", FACTOR), ("new", slower("overlay", 0.7)))
    ]
    forth, back = cells(netbench(*runs, "--json")), cells(netbench(*reversed(runs), "--json"))
    p99 = forth["overlay", "cross-host", "latency_p99"]
    assert p99["change"]["ratio"] > 1.2
    assert p99["verdict"] == "credibly-worse"
    assert back["overlay", "cross-host", "latency_p99"]["verdict"] == "better"
    assert ("overlay", "cross-host", "latency_p90") not in forth
    every = netbench(*runs, "--json", "--all-metrics")
    assert cells(every)["overlay", "cross-host", "latency_p90"]["verdict"] == "credibly-worse"


def test_the_threshold_is_the_users(make: Make) -> None:
    runs = make("base", blocks=30), make("new", blocks=30, factors=slower("overlay", 0.9))
    assert netbench(*runs, "--threshold", "5%").exit_code == 1
    generous = netbench(*runs, "--threshold", "0.25")
    assert generous.exit_code == 0
    assert "no change beyond 25 %" in said(generous)


def test_a_host_network_that_is_slower_itself_is_worse_unless_only_drivers_are_judged(
    make: Make,
) -> None:
    today = {driver: 0.7 * factor for driver, factor in FACTOR.items()}
    runs = make("base", drift=0.0), make("new", drift=0.0, factors=today)
    result = netbench(*runs, "--json")
    assert result.exit_code == 1
    worse = {key[0] for key, cell in cells(result).items() if cell["regression"]}
    assert worse == {"host"}
    assert netbench(*runs, "--drivers-only").exit_code == 0


def test_what_is_too_noisy_is_not_called_unchanged(make: Make) -> None:
    result = netbench(make("base", noise=0.2), make("new", noise=0.2))
    assert result.exit_code == 0
    assert "too noisy to tell: ±" in said(result)
    assert "no change beyond" not in said(result)
    wild = said(netbench(make("base2", noise=1.0), make("new2", noise=1.0)))
    assert re.search(r"too noisy to tell: [\d.]+ times either way", wild)


def test_a_cells_copies_are_shown_and_not_judged(make: Make) -> None:
    result = netbench(make("base", aa=1), make("new", aa=1, factors=slower("host", 0.3)), "--json")
    copy = cells(result)["host1", "cross-host", "throughput"]
    assert copy["verdict"] == "not-judged"
    assert copy["change"]["ratio"] == pytest.approx(1, abs=0.1)
    assert copy["p"] is None


@pytest.mark.parametrize("every", [1, 2])
def test_a_copy_that_fails_fails_no_gate(make: Make, every: int) -> None:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        hit = planned.cell.aa and planned.block % every == 0
        return (Status.FAILED, "iperf3 ended with exit code 1") if hit else None

    result = netbench(make("base", aa=1), make("new", aa=1, fate=fate), "--json")
    assert cells(result)["host1", "cross-host", "throughput"]["verdict"] == "not-judged"
    assert result.exit_code == 0


def test_what_may_be_nothing_is_not_credibly_worse(make: Make) -> None:
    """One line, which nothing corrects: its p-value has one side, and its interval two."""
    runs = [
        make(name, driver_names=["host"], placements=[Placement.CROSS_HOST], drift=0.0, **choices)
        for name, choices in (("base", {}), ("new", {"factors": slower("host", 0.95)}))
    ]
    result = netbench(*runs, "--threshold", "0.01%", "--json")
    host = cells(result)["host", "cross-host", "throughput"]
    low, high = host["change"]["ci"]
    assert low < 1 < high
    assert host["p_adjusted"] < 0.05
    assert (host["verdict"], result.exit_code) == ("too-noisy", 0)


# What no longer works.


@pytest.mark.parametrize(
    ("status", "verdict"), [(Status.FAILED, "newly-failed"), (Status.SKIPPED, "newly-skipped")]
)
def test_a_driver_that_no_longer_works_fails_the_gate(
    make: Make, status: Status, verdict: str
) -> None:
    runs = make("base"), make("new", fate=failing("overlay", status))
    result = netbench(*runs, "--json")
    assert result.exit_code == 1
    overlay = cells(result)["overlay", "cross-host", "throughput"]
    assert overlay["verdict"] == verdict
    assert overlay["change"] is None
    assert overlay["new"]["median"] is None
    text = said(netbench(*runs))
    assert f"overlay, cross-host, iperf3-tcp: {overlay['words']}: iperf3 ended with exit" in text
    back = netbench(*reversed(runs), "--json")
    assert back.exit_code == 0
    assert cells(back)["overlay", "cross-host", "throughput"]["verdict"] == "works-now"


def test_failing_clearly_more_often_fails_the_gate_and_now_and_then_does_not(make: Make) -> None:
    base = make("base")
    often = netbench(base, make("often", fate=failing("overlay", every=2)))
    assert often.exit_code == 1
    assert "fails more often: 0 of 12, now 6 of 12" in said(often)
    rarely = netbench(base, make("rarely", fate=failing("overlay", every=7)))
    assert rarely.exit_code == 0


def test_a_zero_is_a_failure_and_no_value(make: Make) -> None:
    def nothing_came(trial: Trial) -> Trial:
        if trial.cell.driver != "overlay":
            return trial
        return replace(trial, samples=(Sample("throughput", 0.0), Sample("retransmits", 0.0)))

    result = netbench(make("base"), make("new", change=nothing_came), "--json")
    assert result.exit_code == 1
    assert cells(result)["overlay", "cross-host", "throughput"]["verdict"] == "newly-failed"


def test_a_run_that_never_got_to_a_cell_does_not_pass_it(make: Make) -> None:
    result = netbench(make("base"), make("new", stop_after=0))
    assert result.exit_code == 1
    assert "newly failed: not reached" in said(result)


def test_without_a_baseline_drivers_are_not_judged_and_the_baseline_fails(make: Make) -> None:
    result = netbench(make("base"), make("new", fate=failing("host")), "--json")
    assert result.exit_code == 1
    found = cells(result)
    assert found["host", "cross-host", "throughput"]["verdict"] == "newly-failed"
    assert found["overlay", "cross-host", "throughput"]["verdict"] == "nothing-to-compare"


def test_a_baseline_missing_in_some_blocks_leaves_the_others(make: Make) -> None:
    result = netbench(make("base"), make("new", fate=failing("host", every=6)), "--json")
    overlay = cells(result)["overlay", "cross-host", "throughput"]
    assert overlay["new"]["pairs"] == 10
    assert overlay["p"] is not None


def test_other_cells_are_named_and_do_not_fail(make: Make) -> None:
    runs = make("base", driver_names=["host", "bridge"]), make("new", driver_names=["host"])
    result = netbench(*runs, "--json")
    assert result.exit_code == 0
    assert cells(result)["bridge", "cross-host", "throughput"]["verdict"] == "only-in-base"
    back = cells(netbench(*reversed(runs), "--json"))
    assert back["bridge", "cross-host", "throughput"]["verdict"] == "only-in-new"


def test_metrics_that_have_zeros_have_no_change(make: Make) -> None:
    def clean(trial: Trial) -> Trial:
        samples = [one for one in trial.samples if one.metric != "retransmits"]
        return replace(trial, samples=(*samples, Sample("retransmits", 0.0)))

    result = netbench(make("base", change=clean), make("new"), "--json", "--all-metrics")
    overlay = cells(result)["overlay", "cross-host", "retransmits"]
    assert overlay["verdict"] == "nothing-to-compare"
    assert overlay["change"] is None


# Bad input.


def test_one_block_is_too_few_to_tell_and_no_pass(make: Make) -> None:
    result = netbench(make("base"), make("new", blocks=1))
    assert result.exit_code == 2
    assert "too few blocks: 1 of 6" in result.stdout
    assert "nothing could be judged: measure 6 blocks or more" in result.stderr


@pytest.mark.parametrize("blocks", [1, 5])
def test_with_too_few_blocks_nothing_is_called_worse(make: Make, blocks: int) -> None:
    result = netbench(make("base"), make("new", blocks=blocks, factors=slower("overlay", 0.2)))
    assert result.exit_code == 2
    assert "credibly" not in result.stdout.partition("Before you trust this")[0]


def test_six_blocks_find_a_halved_driver(make: Make) -> None:
    runs = make("base", blocks=6), make("new", blocks=6, factors=slower("overlay", 0.4))
    assert netbench(*runs).exit_code == 1


def test_what_is_no_run_is_said_in_one_line(make: Make, tmp_path: Path) -> None:
    base = make("base")
    assert "nothing: there is no such folder" in str(fault(netbench(base, tmp_path / "nothing")))
    assert "run.json" in str(fault(netbench(tmp_path, base)))
    damaged = make("damaged")
    with (damaged / "trials.jsonl").open("ab") as file:
        file.write(b"{}\n")
    assert "trials.jsonl:73" in str(fault(netbench(base, damaged)))


def test_a_newer_format_asks_for_a_newer_netbench(make: Make) -> None:
    new = rewritten(make("new"), lambda head: head.update(format=99))
    assert "upgrade netbench" in str(fault(netbench(make("base"), new)))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_stored_value_that_is_not_a_number_is_refused(make: Make, value: str) -> None:
    new = make("new")
    trials = new / "trials.jsonl"
    lines = trials.read_text().splitlines(keepends=True)
    number = json.loads(lines[4])["samples"][0]["value"]
    lines[4] = lines[4].replace(json.dumps(number), value, 1)
    assert value in lines[4]
    trials.write_text("".join(lines))
    assert "trials.jsonl:5" in str(fault(netbench(make("base"), new)))


def test_runs_without_a_cell_in_common_cannot_be_compared(make: Make) -> None:
    runs = [
        make(name, placements=[placement])
        for name, placement in (("base", Placement.SAME_HOST), ("new", Placement.CROSS_HOST))
    ]
    assert "no cell in common" in str(fault(netbench(*runs)))


def test_the_same_run_twice_is_compared_and_remarked(make: Make) -> None:
    run = make("base")
    result = netbench(run, run)
    assert result.exit_code == 0
    assert "BASE and NEW are the same run" in result.stderr


@pytest.mark.parametrize("share", ["-5%", "100%", "5", "nan", "0", "five"])
def test_a_threshold_that_is_none_is_a_usage_error(make: Make, share: str) -> None:
    result = netbench(make("base"), make("new"), f"--threshold={share}")
    assert result.exit_code == 2
    assert "--threshold" in result.stderr


# Machines that differ.


def test_runs_of_different_machines_are_compared_only_across(make: Make) -> None:
    def other(head: dict[str, Any]) -> None:
        for host in head["hosts"]:
            host["kernel"] = "6.12.0"
        head["hosts"][1]["cpus"] = 8

    base, new = make("base"), rewritten(make("new"), other)
    refused = netbench(base, new)
    assert "--across" in str(fault(refused))
    assert "kernel: 6.1.0-30-amd64 in BASE, 6.12.0 in NEW" in refused.stderr
    assert "CPUs of lab2: 2 in BASE, 8 in NEW" in refused.stderr
    across = netbench(base, new, "--across")
    assert across.exit_code == 0
    assert across.stdout.startswith("These runs differ in what matters\n")
    assert "kernel: 6.1.0-30-amd64 in BASE, 6.12.0 in NEW" in across.stdout
    listed = json.loads(netbench(base, new, "--across", "--json").stdout)["differences"]
    assert {"CPUs of lab2", "kernel"} == {one["what"] for one in listed}


def told(run: Path) -> RunInfo:
    stored: StoredRun = load(run)
    return stored.info


@pytest.mark.parametrize(
    ("what", "alter"),
    [
        ("number of hosts", lambda info: replace(info, hosts=info.hosts[:2])),
        ("hosts", lambda info: replace(info, shared_kernel=False)),
        ("CPU model", lambda info: with_host(info, cpu_model="Other CPU")),
        ("memory", lambda info: with_host(info, memory=9 << 30)),
        ("architecture", lambda info: with_host(info, architecture="aarch64")),
        ("Docker engine", lambda info: with_host(info, engine="28.0.1")),
        ("operating system", lambda info: with_host(info, os="Debian GNU/Linux 13")),
        ("MTU of the data network", lambda info: with_host(info, data_mtu=9000)),
        ("link speed", lambda info: with_host(info, link_speed=25e9)),
        ("link emulation", lambda info: with_host(info, emulated_link="delay 10 ms")),
        ("tuning", lambda info: with_host(info, tuning=("gro=off",))),
        ("measured part of a trial", lambda info: with_plan(info, duration=9)),
        ("warm-up of a trial", lambda info: with_plan(info, warmup=9)),
        (
            "time of the tool of iperf3-tcp",
            lambda info: replace(info, working={"iperf3-tcp": 5.5, "ftp": 9.0}),
        ),
        ("CPU pinning (--pin)", lambda info: with_plan(info, pin="0:1")),
        (
            "version of iperf3",
            lambda info: replace(info, image=replace(info.image, tools={"iperf3": "3.99"})),
        ),
        (
            "metric throughput of iperf3-tcp",
            lambda info: replace(
                info,
                metrics={
                    "iperf3-tcp": tuple(
                        replace(one, better=Better.LOWER) for one in info.metrics["iperf3-tcp"][:1]
                    )
                },
            ),
        ),
    ],
)
def test_what_matters(make: Make, what: str, alter: Callable[[RunInfo], RunInfo]) -> None:
    info = told(make("base", link_speed=10e9))
    assert differences(info, info) == ()
    found = differences(info, alter(info))
    assert [(one.what, one.matters) for one in found] == [(what, True)]


def with_host(info: RunInfo, **facts: Any) -> RunInfo:
    return replace(info, hosts=tuple(replace(host, **facts) for host in info.hosts))


def with_plan(info: RunInfo, **choices: Any) -> RunInfo:
    return replace(info, plan=replace(info.plan, **choices))


def test_what_does_not_matter(make: Make) -> None:
    info = told(make("base"))
    assert differences(info, with_host(info, memory=int(8.2 * 2**30))) == ()
    assert differences(info, with_host(info, link_speed=1e9, cpu_model="")) == ()
    moved = replace(
        info,
        run="other",
        hosts=tuple(
            replace(host, name=f"vm{place}", data_address=f"10.9.0.{place}")
            for place, host in enumerate(info.hosts)
        ),
    )
    assert differences(info, moved) == ()
    (version,) = differences(info, replace(info, netbench="9.9"))
    assert not version.matters
    order = replace(info, hosts=tuple(reversed(with_host(info, os="same").hosts)))
    assert differences(with_host(info, os="same"), order) == ()


def test_settings_of_interfaces_are_told_and_do_not_matter(make: Make) -> None:
    info = told(make("base"))
    assert info.paths
    assert info.paths[0].offloads
    changed = tuple(
        replace(path, offloads={name: not on for name, on in path.offloads.items()})
        for path in info.paths
    )
    found = differences(info, replace(info, paths=changed))
    assert found
    assert not any(one.matters for one in found)
    assert all(one.what.startswith("offloads of ") for one in found)


# The statistics.


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_corrects_between_nothing_and_bonferroni(levels: list[float]) -> None:
    adjusted = holm(levels)
    for p, corrected in zip(levels, adjusted, strict=True):
        assert p <= corrected <= min(1.0, p * len(levels))
    order = np.argsort(levels, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_blocks_that_resemble_their_neighbours_widen_the_baselines_interval() -> None:
    random = np.random.default_rng(3)
    fresh = [Logs(random.normal(0, 0.05, 40)) for _ in range(2)]
    walk = [Logs(np.cumsum(random.normal(0, 0.05, 40))) for _ in range(2)]
    plain, widened = change(*fresh), drifting_change(*fresh)
    assert plain.se is not None
    assert widened.se is not None
    assert plain.se <= widened.se < 1.6 * plain.se
    plain, widened = change(*walk), drifting_change(*walk)
    assert plain.interval is not None
    assert widened.interval is not None
    assert math.log(widened.interval[1] / widened.interval[0]) > 2 * math.log(
        plain.interval[1] / plain.interval[0]
    )


def test_host_pairs_that_differ_are_no_drift() -> None:
    random = np.random.default_rng(4)
    groups = np.repeat([0, 1], 10)
    values = [random.normal(0, 0.01, 20) + groups for _ in range(2)]
    as_one = drifting_change(*(Logs(one) for one in values))
    as_pairs = drifting_change(*(Logs(one, groups) for one in values))
    ratio = [
        (found.se or 0) / (change(*(Logs(one, which) for one in values)).se or 1)
        for found, which in ((as_one, None), (as_pairs, groups))
    ]
    assert ratio[0] > 3
    assert ratio[1] < 1.5


def test_more_failures_are_found_by_their_number() -> None:
    assert fails_more(12, 0, 12, 0) == 1.0
    assert fails_more(12, 0, 6, 6) == pytest.approx(0.00686, abs=1e-4)
    assert fails_more(6, 6, 12, 0) == 1.0
    assert fails_more(12, 0, 11, 1) > 0.4


@pytest.mark.parametrize("world", ["drift", "bursts"])
def test_the_gate_seldom_fires_without_cause(world: str) -> None:
    assert alarms(WORLDS[world], Truth(), 12, 40) <= 0.05
    # On the very edge of the threshold, where the risk is greatest: 5 %, give or take chance.
    assert alarms(WORLDS[world], Truth(all=-0.05), 12, 100, hosts=False) <= 0.10


def test_the_gate_finds_what_it_is_for() -> None:
    assert found(WORLDS["calm"], 0.2, 12, 30) >= 0.9
    assert found(WORLDS["drift"], 0.2, 12, 30) >= 0.7
    assert found(WORLDS["drift"], 0.2, 12, 30) > found(WORLDS["drift"], 0.1, 12, 30)


def test_a_slow_day_is_no_drivers_fault() -> None:
    truth = Truth(today=-0.3)
    assert alarms(WORLDS["drift"], truth, 12, 30, hosts=False) <= 0.05


def test_uncorrected_the_same_gate_would_fire_far_too_often() -> None:
    random = np.random.default_rng(5)
    fired = 0
    for _ in range(200):
        # Sixteen cells on the edge: their p-values are even between 0 and 1.
        levels = random.random(16).tolist()
        fired += min(levels) < 0.05
        assert min(holm(levels)) == pytest.approx(min(1.0, 16 * min(levels)))
    assert fired > 80
