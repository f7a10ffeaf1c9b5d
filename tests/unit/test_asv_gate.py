"""`netbench asv gate`: what it finds in a sequence of runs, what it leaves alone, and how often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.cli.asv import command
from bench.errors import UsageError
from bench.history.steps import scan
from bench.history.variances import common
from bench.model import PlannedTrial, Status

from .many_runs import nights


def gate(*words: object) -> Result:
    result = CliRunner().invoke(command, ["gate", *map(str, words)])
    assert not isinstance(result.exception, Exception), result.exception
    return result


def told(*words: object) -> dict[str, Any]:
    result = gate(*words, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["exit"] == result.exit_code
    return found


def slower(since: int, driver: str = "overlay", by: float = 0.8) -> Any:
    return lambda night: {"changes": {driver: by} if night >= since else {}}


def test_a_step_is_found_with_its_cell_its_run_its_size_and_what_was_new(tmp_path: Path) -> None:
    def special(night: int) -> dict[str, Any]:
        late = night >= 11
        return {
            "changes": {"overlay": 0.75} if late else {},
            "facts": {"kernel": "6.12.1" if late else "6.1.0"},
            "note": "rolled out 6.12" if night == 11 else "",
        }

    nights(tmp_path, 14, special=special)
    result = gate(tmp_path)
    assert result.exit_code == 1
    assert "overlay/direct cross-host iperf3-tcp: TCP throughput, next to host: slower by" in (
        result.stdout
    )
    new = "new in 20260112-030000-0003: note: rolled out 6.12; kernel: 6.1.0 -> 6.12.1"
    assert new in result.stdout
    (worse,) = told(tmp_path)["worse"]
    assert worse["since"].startswith("20260112")
    assert (worse["runs_before"], worse["runs_after"]) == (11, 3)
    low, high = worse["ci"]
    assert 0.7 < low < 0.75 < high < 0.8
    assert worse["judged_by"] == "ratio"


def test_nothing_new_passes_and_so_does_what_got_better(tmp_path: Path) -> None:
    nights(tmp_path / "same", 12)
    assert told(tmp_path / "same")["worse"] == []
    nights(tmp_path / "better", 12, special=slower(9, by=1.4))
    found = told(tmp_path / "better")
    assert (found["exit"], found["judged"]) == (0, 3)


def test_less_than_the_threshold_passes_however_sure(tmp_path: Path) -> None:
    nights(tmp_path, 16, special=slower(10, by=0.93), spread=0.001, noise=0.002)
    assert told(tmp_path, "--threshold", "10%")["worse"] == []
    (worse,) = told(tmp_path, "--threshold", "5%")["worse"]
    assert worse["ratio"] == pytest.approx(0.93, abs=0.01)


def test_what_was_mended_is_no_news(tmp_path: Path) -> None:
    nights(
        tmp_path,
        14,
        special=lambda night: {"changes": {"overlay": 0.7} if night in {11, 12} else {}},
    )
    assert told(tmp_path)["exit"] == 0


def test_a_second_fall_is_found_after_a_first_was_mended(tmp_path: Path) -> None:
    bad = {*range(6, 10), 18, 19, 20}
    nights(
        tmp_path, 21, special=lambda night: {"changes": {"overlay": 0.75} if night in bad else {}}
    )
    (worse,) = told(tmp_path)["worse"]
    assert worse["since"].startswith("20260119")


def test_host_itself_is_judged_by_its_value_unless_told_otherwise(tmp_path: Path) -> None:
    def special(night: int) -> dict[str, Any]:
        return {"shape": (lambda _planned: 0.6) if night >= 11 else (lambda _planned: 1.0)}

    nights(tmp_path, 14, special=special, drift=0.01)
    (worse,) = told(tmp_path)["worse"]
    assert (worse["driver"], worse["judged_by"]) == ("host", "value")
    assert told(tmp_path, "--drivers-only")["exit"] == 0


def failing(driver: str, status: Status) -> Any:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        return (status, "no route") if planned.cell.driver == driver else None

    return fate


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED])
def test_a_cell_that_newly_fails_fails_the_gate(tmp_path: Path, status: Status) -> None:
    nights(
        tmp_path, 8, special=lambda night: {"fate": failing("bridge", status)} if night >= 6 else {}
    )
    found = told(tmp_path)
    assert found["exit"] == 1
    (broken,) = found["broken"]
    assert (broken["driver"], broken["status"], broken["reason"]) == ("bridge", status, "no route")
    assert broken["since"].startswith("20260107")
    assert f"newly {status}: bridge/published-host" in gate(tmp_path).stdout


def test_what_never_worked_and_what_is_no_longer_asked_for_pass(tmp_path: Path) -> None:
    nights(tmp_path / "never", 8, fate=failing("bridge", Status.FAILED))
    assert told(tmp_path / "never")["exit"] == 0
    nights(
        tmp_path / "gone",
        8,
        special=lambda night: {"driver_names": ["host", "overlay"]} if night == 7 else {},
    )
    found = told(tmp_path / "gone")
    assert (found["exit"], [one["driver"] for one in found["gone"]]) == (0, ["bridge"])
    assert "not measured by the newest run" in gate(tmp_path / "gone").stdout


def test_too_few_runs_do_not_pass(tmp_path: Path) -> None:
    nights(tmp_path, 5)
    result = gate(tmp_path)
    assert result.exit_code == 2
    assert "nothing could be judged in 5 runs" in result.stderr
    assert CliRunner().invoke(command, ["gate", str(tmp_path), "--window", "5"]).exit_code == 2


def test_a_new_cell_is_judged_when_there_is_enough_of_it(tmp_path: Path) -> None:
    def special(night: int) -> dict[str, Any]:
        return {"driver_names": ["host", "overlay", *(["macvlan"] if night >= 5 else [])]}

    made = nights(tmp_path, 11, special=special)
    assert told(*made[:10])["judged"] == 2
    assert told(*made)["judged"] == 3


def test_runs_of_other_hosts_and_of_another_way_are_left_alone(tmp_path: Path) -> None:
    nights(tmp_path / "old", 8, special=slower(5, by=0.6), hosts=["vm1", "vm2"])
    made = nights(tmp_path / "new", 9, seed=5)
    for run in made[:2]:
        head = json.loads((run / "run.json").read_text())
        head["plan"]["duration"] = 30
        (run / "run.json").write_text(json.dumps(head))
    found = told(tmp_path / "new", tmp_path / "old")
    assert (found["runs"], found["exit"]) == (7, 0)
    result = gate(tmp_path / "new", tmp_path / "old")
    assert "left out: 2 runs with other --duration" in result.stdout
    (other,) = [line for line in result.stdout.splitlines() if line.startswith("not judged")]
    name = other.rpartition(" ")[2]
    assert told(tmp_path / "new", tmp_path / "old", "--machine", name)["exit"] == 1
    wrong = CliRunner().invoke(command, ["gate", str(tmp_path / "new"), "--machine", "vm9"])
    assert isinstance(wrong.exception, UsageError)
    assert "vm9" in str(wrong.exception)


def test_a_corrupt_run_is_named_and_fails_a_strict_gate(tmp_path: Path) -> None:
    made = nights(tmp_path, 9)
    (made[4] / "run.json").write_text("{")
    assert str(made[4]) in gate(tmp_path).stderr
    assert gate(tmp_path).exit_code == 0
    assert gate(tmp_path, "--strict").exit_code == 1


def noisy(cells: int, runs: int, spread: float, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(0, spread, (cells, runs))


def found_in(histories: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    steps = [step for step in scan(list(histories)) if step is not None]
    return min(step.p for step in steps) * len(steps) < 0.005


def test_the_rule_keeps_its_rates() -> None:
    """docs/regressions.md has them for more gates; here the bounds are four deviations away."""
    alarms = sum(found_in(noisy(32, 30, 0.05, seed)) for seed in range(200))
    assert alarms <= 6
    hits = 0
    for seed in range(100):
        histories = noisy(32, 30, 0.05, 1000 + seed)
        histories[0, -3:] -= np.log(0.8)
        hits += scan([*histories])[0].p * 32 < 0.005  # type: ignore[union-attr]
    assert hits >= 93


def test_many_like_variances_are_worth_more_than_one() -> None:
    random = np.random.default_rng(1)
    df = np.full(200, 10.0)
    like = common(random.chisquare(df) / df, df)
    assert like.variance == pytest.approx(1, rel=0.1)
    assert like.df > 50
    # Variances that themselves vary as a scaled inverse chi-square with 6 degrees of freedom.
    apart = common(stats.f(10, 6).rvs(2000, random_state=2), np.full(2000, 10.0))
    assert apart.df == pytest.approx(6, rel=0.25)
    assert apart.variance == pytest.approx(1, rel=0.15)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-20, 20), min_size=0, max_size=25).map(np.array), min_size=0, max_size=6
    )
)
def test_any_histories_come_to_steps_that_are_numbers(histories: list[Any]) -> None:
    for history, step in zip(histories, scan(histories), strict=True):
        assert (step is None) == (history.size < 6)
        if step is not None:
            assert 0 <= step.p <= 1
            assert step.newest + step.before <= history.size
            assert np.isfinite([step.change, step.reach]).all()
