"""The worked example of docs/regressions.md, on the real runs that it was made of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli.asv import command
from bench.history.sequence import read, runs_at
from benchmarks import regressions, repeated_runs, two_engines

PAGE = Path(__file__).parents[2] / "docs" / "regressions.md"


@pytest.fixture(scope="module")
def example() -> Iterator[Path]:
    with two_engines.unpacked() as runs:
        yield runs


def netbench(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def test_the_gate_says_what_the_page_says(example: Path) -> None:
    result = netbench("gate", example)
    shown = [line.removeprefix("    ") for line in PAGE.read_text().splitlines()]
    for line in result.stdout.splitlines():
        assert line in shown


def test_the_change_of_engine_is_the_one_tag(example: Path, tmp_path: Path) -> None:
    done = netbench("export", example, "--into", tmp_path / "asv", "--strict")
    assert done.exit_code == 0, done.output
    assert "1 machine" in done.stdout
    tags = ("git", "-C", str(tmp_path / "asv" / "repo"), "tag")
    (tag,) = subprocess.run(tags, check=True, capture_output=True, text=True).stdout.split()
    assert tag.startswith("engine-26.1.5")
    assert tag in PAGE.read_text()
    told = (*tags[:-1], "log", "-1", "--format=%B", tag)
    message = subprocess.run(told, check=True, capture_output=True, text=True).stdout
    assert f"Note: {two_engines.NOTE}" in message
    assert "Docker engine: 20.10.24+dfsg1 -> 26.1.5+dfsg1" in message


def test_runs_with_nothing_new_raise_no_alarm(example: Path) -> None:
    before, after = repeated_runs.stretches(read(runs_at([example])).runs)
    assert (len(before), len(after)) == (7, 7)
    assert not repeated_runs.alarmed(before)
    assert not repeated_runs.alarmed(after)


def test_the_tables_of_repeated_runs_are_the_pages(example: Path) -> None:
    told = "\n".join(repeated_runs.tables(read(runs_at([example])).runs, 200))
    assert f"{repeated_runs.MARKS[0]}\n{told}\n\n{repeated_runs.MARKS[1]}" in PAGE.read_text()


def test_an_archive_is_the_same_for_the_same_runs(example: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        two_engines.pack(example, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with two_engines.unpacked(tmp_path / "one") as again:
        for run in example.iterdir():
            assert json.loads((again / run.name / "run.json").read_text())["run"]
        assert sorted(one.name for one in again.iterdir()) == sorted(
            one.name for one in example.iterdir()
        )


def test_a_page_without_the_marks_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- b -->\nold\n<!-- c -->\nd\n")
    monkeypatch.setattr(regressions, "DOCUMENT", page)
    regressions.replace_between("<!-- b -->\n", "<!-- c -->\n", "new")
    assert page.read_text() == "a\n<!-- b -->\n\nnew\n\n<!-- c -->\nd\n"
    with pytest.raises(SystemExit, match="is not there"):
        regressions.replace_between("<!-- x -->\n", "<!-- c -->\n", "new")
    assert "new" in page.read_text()
