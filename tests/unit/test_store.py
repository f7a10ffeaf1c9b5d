"""A run on disk: what is written is read back, and damage is named, never guessed over."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import StoreError, UsageError
from bench.model import Interval, Placement, RunEnd, RunInfo, Sample, Status, Trial
from bench.plan import planned_trials
from bench.store import FORMAT, GZIP_FROM, RunWriter, load
from bench.workloads.base import ToolOutput

from .synthetic import write_run

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=40)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", workload_names=["iperf3-tcp"], blocks=1)


def head(run: Path) -> RunInfo:
    return load(run).info


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    planned = draw(st.sampled_from(list(planned_trials(PLAN.plan))))
    return Trial(
        sequence=planned.sequence,
        block=planned.block,
        pair=planned.pair,
        cell=planned.cell,
        status=draw(st.sampled_from(Status)),
        reason=draw(TEXT),
        started=draw(NUMBERS),
        elapsed=draw(NUMBERS),
        tool=draw(NUMBERS),
        samples=tuple(draw(st.lists(st.builds(Sample, TEXT, NUMBERS), max_size=3))),
        intervals=tuple(
            draw(st.lists(st.builds(Interval, NUMBERS, NUMBERS, TEXT, NUMBERS), max_size=2))
        ),
        histogram=draw(st.none() | TEXT),
        raw=tuple(draw(st.lists(TEXT, max_size=2))),
    )


with TemporaryDirectory() as _folder:
    PLAN = head(write_run(Path(_folder) / "run", workload_names=["iperf3-tcp"], stop_after=0))


@given(
    stored=st.lists(trials(), max_size=4),
    end=st.none() | st.builds(RunEnd, TEXT, TEXT, *[NUMBERS] * 5, st.tuples(TEXT)),
    created=TEXT,
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(
    stored: list[Trial], end: RunEnd | None, created: str
) -> None:
    info = dataclasses.replace(PLAN, created=created)
    with TemporaryDirectory() as folder:
        writer = RunWriter(Path(folder) / "run", info)
        for trial in stored:
            writer.trial(trial)
        if end is not None:
            writer.end(end)
        writer.close()
        found = load(Path(folder) / "run")
    assert (found.info, found.trials, found.end) == (info, tuple(stored), end)
    assert found.notes == ()


def test_trials_cut_at_any_byte_leave_the_whole_ones(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        workload_names=["iperf3-tcp"],
        driver_names=["host", "overlay"],
        placements=[Placement.CROSS_HOST],
        blocks=1,
    )
    file = run / "trials.jsonl"
    whole, before = file.read_bytes(), load(run).trials
    assert len(before) == 2
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        found = load(run)
        expected = 0 if length < first else 1 if length < len(whole) else 2
        assert found.trials == before[:expected]
        assert bool(found.notes) == (length not in (0, first, len(whole)))


def test_a_head_or_an_end_cut_at_any_byte_is_named(run: Path) -> None:
    for name in ("run.json", "end.json"):
        file = run / name
        whole = file.read_bytes()
        for length in [*range(0, len(whole) - 1, 7), len(whole) - 1]:
            file.write_bytes(whole[:length])
            with pytest.raises(StoreError, match=name.replace(".", r"\.")) as caught:
                load(run)
            assert "\n" not in str(caught.value)
        file.write_bytes(whole)
    assert load(run).end is not None


def test_head_and_end_are_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", blocks=1, stop_after=1, ended=False)
    before = load(run)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", full)
    writer = RunWriter.__new__(RunWriter)
    writer.path = run
    with pytest.raises(StoreError, match=r"end\.json: No space left on device.*--out"):
        writer.end(RunEnd("finished", "", 1, 1, 1, 1, 1))
    assert load(run) == before


@given(place=st.integers(0), junk=st.binary(min_size=1, max_size=8))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_trials_are_named_or_read_but_never_crash(
    run: Path, place: int, junk: bytes
) -> None:
    file = run / "trials.jsonl"
    whole = file.read_bytes()
    at = place % len(whole)
    file.write_bytes(whole[:at] + junk + whole[at:])
    try:
        load(run)
    except StoreError as fault:
        assert "trials.jsonl" in str(fault)  # noqa: PT017 - either way is right, crashing is not
    finally:
        file.write_bytes(whole)


def test_a_broken_line_in_the_middle_is_named_by_its_number(run: Path) -> None:
    file = run / "trials.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"{not json}\n", *lines[2:]]))
    with pytest.raises(StoreError, match=r"trials\.jsonl:3: .*damaged"):
        load(run)


def test_a_stored_value_that_is_no_number_is_refused_on_both_ways(run: Path) -> None:
    trial = load(run).trials[0]
    file = run / "trials.jsonl"
    text = file.read_text()
    file.write_text(text.replace('"value":', '"value":1e999,"was":', 1))
    with pytest.raises(StoreError, match=r"trials\.jsonl:1"):
        load(run)
    file.write_text(text)
    writer = RunWriter(run.with_name("other"), head(run))
    for bad in (math.nan, math.inf):
        with pytest.raises(StoreError, match="not a number"):
            writer.trial(dataclasses.replace(trial, samples=(Sample("throughput", bad),)))
        interval = Interval(0, 1, "throughput", bad)
        with pytest.raises(StoreError, match="not a number"):
            writer.trial(dataclasses.replace(trial, intervals=(interval,)))
    writer.close()
    assert load(writer.path).trials == ()


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "no format number"),
        (b"{}", "no format number"),
        (b'{"format": "1"}', "no format number"),
        (b'{"format": 0}', "there is no format 0"),
        (json.dumps({"format": FORMAT + 1}).encode(), f"format {FORMAT + 1} is newer.*upgrade"),
        (json.dumps({"format": FORMAT}).encode(), "damaged"),
        (b"\xff\xfe{}", "not JSON"),
    ],
)
def test_heads_that_are_none(run: Path, head: bytes, said: str) -> None:
    (run / "run.json").write_bytes(head)
    with pytest.raises(StoreError, match=rf"run\.json: .*{said}"):
        load(run)


def test_folders_that_are_no_runs(tmp_path: Path, run: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", run / "run.json"):
        with pytest.raises(StoreError, match=r"run\.json"):
            load(path)
    (run / "trials.jsonl").unlink()
    with pytest.raises(StoreError, match=r"trials\.jsonl is missing"):
        load(run)


def test_a_folder_that_is_taken_is_left_alone(run: Path) -> None:
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    with pytest.raises(UsageError, match="already there"):
        RunWriter(run, head(run))
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_a_full_disk_is_an_error_that_names_the_file(run: Path) -> None:
    writer = RunWriter(run.with_name("full"), head(run))
    trial = load(run).trials[0]
    writer._trials.close()
    with Path("/dev/full").open("ab") as full:
        writer._trials = full
        with pytest.raises(StoreError, match=r"full: No space left on device.*make room"):
            writer.trial(trial)
        with pytest.raises(OSError, match="No space"):
            full.flush()
        full.raw.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, GZIP_FROM - 1, GZIP_FROM, GZIP_FROM + 1])
def test_raw_output_is_kept_verbatim(run: Path, size: int) -> None:
    info = head(run)
    output = ToolOutput(0, bytes(range(256)) * (size // 256 + 1), b"warning\n")
    output = dataclasses.replace(output, stdout=output.stdout[:size])
    for name in ("one", "two"):
        writer = RunWriter(run.with_name(name), info)
        names = writer.raw(list(planned_trials(info.plan))[3], output)
        writer.close()
        kept = [(writer.path / file).read_bytes() for file in names]
        assert names[0].startswith("raw/00003-")
        assert "/" not in names[0][4:]
        assert names[0].endswith(".gz") == (size >= GZIP_FROM)
        assert (gzip.decompress(kept[0]) if size >= GZIP_FROM else kept[0]) == output.stdout
        assert kept[1] == b"warning\n"
    one, two = ((run.with_name(name) / names[0]).read_bytes() for name in ("one", "two"))
    assert one == two
