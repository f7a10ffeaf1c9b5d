"""`netbench asv export`: what asv itself then makes of stored runs, and its git repository."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.results import Results, iter_results
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli.asv import command
from bench.errors import GitError, NetbenchError, StoreError, UsageError
from bench.history import repository
from bench.history.commits import commits
from bench.history.sequence import read_heads
from bench.model import Checkout, Placement, PlannedTrial, Status
from bench.store import load

from .many_runs import nights
from .synthetic import write_run

CROSS = "iperf3-tcp.cross-host"
AS_TIME = f"{CROSS}.throughput_as_seconds_per_GB"
TO_HOST = f"{CROSS}.throughput_times_host"


def netbench(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def exported(into: Path, *words: object) -> Result:
    result = netbench("export", *words, "--into", into)
    assert not isinstance(result.exception, Exception), result.exception
    return result


def fault(result: Result) -> NetbenchError:
    assert isinstance(result.exception, NetbenchError), result.exception
    assert "\n" not in str(result.exception)
    return result.exception


def git(at: Path, *words: str, **environment: str) -> str:
    who = {
        f"GIT_{one}_{what}": "x@y" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        ["git", *words],
        cwd=at,
        env={**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def results(into: Path) -> list[Results]:
    return sorted(iter_results(str(into / "results")), key=lambda one: int(one.date))


def value(of: Results, benchmark: str, treatment: str) -> Any:
    (treatments,) = of.get_result_params(benchmark)
    return of.get_result_value(benchmark, [treatments])[treatments.index(treatment)]


def samples(of: Results, benchmark: str, treatment: str) -> Any:
    (treatments,) = of.get_result_params(benchmark)
    return of.get_result_samples(benchmark, [treatments])[treatments.index(treatment)]


def test_asv_reads_what_was_measured_a_sample_a_block_and_rates_as_times(tmp_path: Path) -> None:
    (run,) = nights(tmp_path / "runs", 1)
    exported(tmp_path / "asv", tmp_path / "runs")
    (found,) = results(tmp_path / "asv")
    rates = {
        trial.block: sample.value
        for trial in load(run).results
        for sample in trial.samples
        if (trial.cell.driver, sample.metric) == ("overlay", "throughput")
    }
    times = [8e9 / rates[block] for block in sorted(rates)]
    assert samples(found, AS_TIME, "overlay/direct") == pytest.approx(times)
    assert value(found, AS_TIME, "overlay/direct") == pytest.approx(float(np.median(times)))
    (stats, *_) = found.get_result_stats(AS_TIME, [["overlay/direct"]])
    assert stats["repeat"] == len(rates) == 4
    assert value(found, TO_HOST, "overlay/direct") == pytest.approx(1 / 0.74, rel=0.15)


def test_every_benchmark_is_described_for_asv_with_its_version_and_treatments(
    tmp_path: Path,
) -> None:
    nights(tmp_path / "runs", 2, workload_names=["iperf3-tcp", "http-echo"])
    exported(tmp_path / "asv", tmp_path / "runs")
    conf = Config.load(str(tmp_path / "asv" / "asv.conf.json"))
    conf.results_dir = str(tmp_path / "asv" / "results")
    known = Benchmarks.load(conf)
    assert known[AS_TIME]["unit"] == "seconds"
    assert known[AS_TIME]["params"] == [["host/direct", "bridge/published-host", "overlay/direct"]]
    assert known[TO_HOST]["params"] == [["bridge/published-host", "overlay/direct"]]
    assert "http-echo.cross-host.requests_as_seconds_per_1000" in known
    assert "http-echo.cross-host.latency_p99" in known
    assert all(one["version"] for one in known.values())
    (newest, _) = results(tmp_path / "asv")
    assert newest.get_result_keys(known) == set(known)


def test_skipped_is_nan_failed_is_null_and_what_was_not_planned_is_not_there(
    tmp_path: Path,
) -> None:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        if planned.cell.driver == "bridge":
            return Status.SKIPPED, "no br_netfilter"
        return (Status.FAILED, "refused") if planned.cell.driver == "overlay" else None

    nights(tmp_path / "runs", 1, fate=fate)
    exported(tmp_path / "asv", tmp_path / "runs")
    (found,) = results(tmp_path / "asv")
    for benchmark in (AS_TIME, TO_HOST):
        assert math.isnan(value(found, benchmark, "bridge/published-host"))
        assert value(found, benchmark, "overlay/direct") is None
    (treatments,) = found.get_result_params(AS_TIME)
    assert "macvlan/direct" not in treatments


def test_the_same_runs_have_the_same_hashes_in_whatever_order_and_with_whatever_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nights(tmp_path / "runs", 4)
    exported(tmp_path / "one", *made)
    head = git(tmp_path / "one" / "repo", "rev-parse", "main")
    # Three first, the second one late, elsewhere, at another time, by somebody else.
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\nname=Else\n[commit]\ngpgsign=true\n[init]\ndefaultBranch=x\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    exported(tmp_path / "two", made[3], made[0], made[2])
    assert len(results(tmp_path / "two")) == 3
    exported(tmp_path / "two", made[3], made[1], made[0], made[2])
    monkeypatch.delenv("GIT_DIR")
    assert git(tmp_path / "two" / "repo", "rev-parse", "main") == head
    assert len(results(tmp_path / "two")) == 4
    assert {one.commit_hash for one in results(tmp_path / "two")} == set(
        git(tmp_path / "one" / "repo", "rev-list", "main").split()
    )


def test_commits_say_what_changed_and_new_kernels_and_engines_are_tags(tmp_path: Path) -> None:
    def special(night: int) -> dict[str, Any]:
        facts = {
            "engine": "20.10.24" if night < 3 else "26.1.5",
            "data_mtu": 1500 - 50 * (night > 3),
        }
        return {"facts": facts, "note": "new  switch" if night == 1 else ""}

    made = nights(tmp_path / "runs", 5, special=special)
    exported(tmp_path / "asv", tmp_path / "runs")
    repo = tmp_path / "asv" / "repo"
    assert git(repo, "tag").split() == ["engine-26.1.5-20260104-0300"]
    log = git(repo, "log", "--reverse", "--format=%s%n%b%x00").split("\0")
    assert "first run" in log[0]
    assert "Note: new  switch" in log[1]
    assert "Nothing changed" in log[2]
    assert "Docker engine: 20.10.24 -> 26.1.5" in log[3]
    assert "MTU of the data network: 1500 bytes -> 1450 bytes" in log[4]
    assert git(repo, "log", "-1", "--format=%aI %cI").split() == ["2026-01-05T03:00:00+00:00"] * 2
    assert "-lab1 engine: 20.10.24" in git(repo, "diff", "main~2", "main~1")
    # Without the run that had it first, the next one is the change.
    exported(tmp_path / "asv", *made[:3], made[4])
    assert git(repo, "tag").split() == ["engine-26.1.5-20260105-0300"]


def test_other_hosts_are_another_machine_and_their_changes_their_own(tmp_path: Path) -> None:
    def special(night: int) -> dict[str, Any]:
        other = night % 2 == 1
        return {
            "hosts": ["vm1", "vm2"] if other else ["lab1", "lab2", "lab3"],
            "facts": {"kernel": "6.12.1" if other else "6.1.0"},
        }

    nights(tmp_path / "runs", 4, special=special)
    told = exported(tmp_path / "asv", tmp_path / "runs").stdout
    machines = [one.name for one in (tmp_path / "asv" / "results").iterdir() if one.is_dir()]
    assert len(machines) == 2
    assert all(f"machine: {name}" in told for name in machines)
    assert not git(tmp_path / "asv" / "repo", "tag")
    assert "Changed" not in git(tmp_path / "asv" / "repo", "log", "--format=%B")


def test_a_corrupt_run_is_named_and_left_out_and_strict_says_so_in_the_exit_code(
    tmp_path: Path,
) -> None:
    _, bad, _ = nights(tmp_path / "runs", 3)
    (bad / "trials.jsonl").write_text("{]\n")
    result = exported(tmp_path / "asv", tmp_path / "runs")
    assert result.exit_code == 0
    assert str(bad) in result.stderr
    assert len(results(tmp_path / "asv")) == 2
    assert exported(tmp_path / "asv", tmp_path / "runs", "--strict").exit_code == 1
    for run in (tmp_path / "runs").iterdir():
        (run / "run.json").write_text("")
    assert isinstance(fault(netbench("export", tmp_path / "runs")), UsageError)


def test_a_run_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    (run,) = nights(tmp_path / "runs", 1)
    shutil.copytree(run, tmp_path / "runs" / "copy")
    told = exported(tmp_path / "asv", tmp_path / "runs", "--strict")
    assert f"taken once: {tmp_path / 'runs' / 'night00'}: is the same run" in told.stderr
    assert told.exit_code == 0
    assert len(results(tmp_path / "asv")) == 1


@pytest.mark.parametrize("folder", ["nothing", "none", "empty"])
def test_an_empty_set_is_a_usage_error(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none" / "asv").mkdir(parents=True)
    found = fault(netbench("export", tmp_path / folder))
    assert isinstance(found, UsageError)
    assert str(tmp_path / folder) in str(found)


def test_what_an_export_has_not_made_is_not_replaced(tmp_path: Path) -> None:
    nights(tmp_path / "runs", 1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("words")
    assert isinstance(
        fault(netbench("export", tmp_path / "runs", "--into", tmp_path / "mine")), UsageError
    )
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_results_of_another_asv_version_are_made_anew(tmp_path: Path) -> None:
    nights(tmp_path / "runs", 2)
    exported(tmp_path / "asv", tmp_path / "runs")
    before = {path: path.read_bytes() for path in (tmp_path / "asv" / "results").rglob("*.json")}
    for path in before:
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": 99}))
    exported(tmp_path / "asv", tmp_path / "runs")
    assert {path: path.read_bytes() for path in before} == before


def test_an_asv_of_another_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights(tmp_path / "runs", 1)
    monkeypatch.setattr(Results, "api_version", 3)
    found = fault(netbench("export", tmp_path / "runs", "--into", tmp_path / "asv"))
    assert isinstance(found, StoreError)
    assert "format 3" in str(found)
    assert not (tmp_path / "asv").exists()


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights(tmp_path / "runs", 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = fault(netbench("export", tmp_path / "runs", "--into", tmp_path / "asv"))
    assert isinstance(found, GitError)
    assert "git is not installed" in str(found)
    assert list((tmp_path / "asv").iterdir()) == []


def commit(repo: Path, when: str) -> str:
    git(
        repo,
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        when,
        GIT_AUTHOR_DATE=when,
        GIT_COMMITTER_DATE=when,
    )
    return git(repo, "rev-parse", "HEAD")


def test_runs_go_on_the_commits_of_the_users_repository(tmp_path: Path) -> None:
    infra = tmp_path / "infra"
    infra.mkdir()
    git(infra, "init", "-q", "-b", "trunk")
    first = commit(infra, "2026-01-02T00:00:00Z")
    second = commit(infra, "2026-01-03T12:00:00Z")
    git(infra, "tag", "v2")

    def special(night: int) -> dict[str, Any]:
        # The last night was measured with the first commit checked out, and says so.
        return {"checkout": Checkout(first)} if night == 4 else {}

    made = nights(tmp_path / "runs", 5, special=special)
    told = exported(tmp_path / "asv", tmp_path / "runs", "--commit-from", infra)
    assert f"left out: {made[0]}: is older than every commit" in told.stderr
    found = {
        one.commit_hash: samples(one, AS_TIME, "host/direct") for one in results(tmp_path / "asv")
    }
    assert {name: len(its) for name, its in found.items()} == {first: 8 + 4, second: 4}
    repo = tmp_path / "asv" / "repo"
    assert git(repo, "rev-parse", "main", "v2").split() == [second, second]
    # Nothing in the user's repository has changed.
    assert git(infra, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/trunk",
        "refs/tags/v2",
    ]


def test_a_commit_that_is_not_in_the_repository_is_named(tmp_path: Path) -> None:
    infra = tmp_path / "infra"
    infra.mkdir()
    git(infra, "init", "-q")
    commit(infra, "2025-01-02T00:00:00Z")
    nights(tmp_path / "runs", 2, special=lambda n: {"checkout": Checkout("ab" * 20)} if n else {})
    told = exported(tmp_path / "asv", tmp_path / "runs", "--commit-from", infra)
    assert "abababababab" in told.stderr
    assert len(results(tmp_path / "asv")) == 1
    (tmp_path / "plain").mkdir()
    assert isinstance(
        fault(
            netbench(
                "export",
                tmp_path / "runs",
                "--into",
                tmp_path / "b",
                "--commit-from",
                tmp_path / "plain",
            )
        ),
        GitError,
    )


def test_a_run_from_before_notes_and_checkouts_is_exported(tmp_path: Path) -> None:
    path = write_run(tmp_path / "runs" / "old", blocks=3, placements=[Placement.CROSS_HOST])
    head = json.loads((path / "run.json").read_text())
    del head["note"], head["checkout"]
    (path / "run.json").write_text(json.dumps(head))
    assert exported(tmp_path / "asv", path).exit_code == 0


@settings(max_examples=15, deadline=None)
@given(
    engine=st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    note=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=80),
)
def test_whatever_a_run_says_of_itself_becomes_a_commit(
    tmp_path_factory: pytest.TempPathFactory, engine: str, note: str
) -> None:
    before = read_heads([_template(tmp_path_factory)]).runs[0]
    host = replace(before.info.hosts[0], engine=engine)
    info = replace(before.info, run="later", note=note, hosts=(host, *before.info.hosts[1:]))
    after = replace(before, info=info, created=before.created + timedelta(days=1))
    repo = tmp_path_factory.mktemp("repo") / "repo"
    hashes = repository.write(repo, commits([before, after]))
    assert git(repo, "rev-list", "--reverse", "main").split() == list(hashes)
    assert note.strip() in git(repo, "log", "-1", "--format=%B")
    assert len(git(repo, "tag").splitlines()) == (engine != before.info.hosts[0].engine)
    git(repo, "fsck", "--strict")


def _template(factory: pytest.TempPathFactory) -> Path:
    """One run for all examples."""
    made = factory.getbasetemp() / "template"
    if not made.exists():
        nights(made, 1)
    return made / "night00"


def test_the_reflog_knows_what_was_checked_out_when(tmp_path: Path) -> None:
    infra = tmp_path / "infra"
    infra.mkdir()
    git(infra, "init", "-q", "-b", "trunk")
    first = commit(infra, "2026-01-01T00:00:00Z")
    second = commit(infra, "2026-01-02T12:00:00Z")
    # Back to the first for a night, and forth again.
    git(infra, "checkout", "-q", first, GIT_COMMITTER_DATE="2026-01-03T12:00:00Z")
    git(infra, "checkout", "-q", "trunk", GIT_COMMITTER_DATE="2026-01-04T12:00:00Z")
    nights(tmp_path / "runs", 5)
    exported(tmp_path / "asv", tmp_path / "runs", "--commit-from", infra)
    found = {
        one.commit_hash: len(samples(one, AS_TIME, "host/direct"))
        for one in results(tmp_path / "asv")
    }
    # Nights 1, 2 and 4 of January on the first, with four blocks each; 3 and 5 on the second.
    assert found == {first: 12, second: 8}
