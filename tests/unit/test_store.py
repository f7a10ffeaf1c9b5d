"""A run on disk: what is written is read back, and damage is named, never guessed over."""

from __future__ import annotations

import base64
import dataclasses
import gc
import gzip
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import StoreError, UsageError
from bench.model import (
    CoreUse,
    EndUse,
    Interval,
    Passage,
    Placement,
    RunEnd,
    RunInfo,
    Sample,
    Status,
    Trial,
)
from bench.plan import planned_trials
from bench.store import CORE, END, FORMAT, GZIP_FROM, Readings, RunWriter, load
from bench.workloads.base import ToolOutput

from .synthetic import write_run

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=40)
COUNTS = st.integers(0, 2**63)
ENDS = st.builds(
    EndUse,
    host=TEXT,
    roles=st.tuples(TEXT),
    seconds=st.floats(0, 1e9),
    cores=st.lists(st.builds(CoreUse, *[NUMBERS] * 6), max_size=2).map(tuple),
    load=NUMBERS,
    retransmits=COUNTS,
    drops=COUNTS,
    pressure=st.none() | NUMBERS,
    frequency=st.lists(NUMBERS, max_size=2).map(tuple),
    pinned=TEXT,
)
PASSAGES = st.builds(Passage, TEXT, TEXT, TEXT, COUNTS)
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", workload_names=["iperf3-tcp"], blocks=1)


def head(run: Path) -> RunInfo:
    return load(run).info


def encoded(histogram: bytes) -> str:
    return base64.b64encode(histogram).decode("ascii")


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
        histogram=draw(st.none() | st.binary(max_size=30).map(encoded)),
        raw=tuple(draw(st.lists(TEXT, max_size=2))),
        ends=tuple(draw(st.lists(ENDS, max_size=2))),
        path=tuple(draw(st.lists(PASSAGES, max_size=2))),
        unattested=draw(TEXT),
    )


with TemporaryDirectory() as _folder:
    PLAN = head(write_run(Path(_folder) / "run", workload_names=["iperf3-tcp"], stop_after=0))


@given(
    stored=st.lists(trials(), max_size=4, unique_by=lambda trial: trial.sequence),
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
        assert tuple(found.trials) == tuple(stored)
        assert [found.trials[place] for place in range(len(stored))] == stored
    assert (found.info, found.end) == (info, end)
    for result, trial in zip(found.results, stored, strict=True):
        for field in dataclasses.fields(result):
            assert getattr(result, field.name) == getattr(trial, field.name)
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
    whole, before = file.read_bytes(), tuple(load(run).trials)
    assert len(before) == 2
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        found = load(run)
        expected = 0 if length < first else 1 if length < len(whole) else 2
        assert tuple(found.trials) == before[:expected]
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


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_never_written(run: Path, bad: float) -> None:
    trial = load(run).trials[0]
    end, core = trial.ends[0], trial.ends[0].cores[0]
    writer = RunWriter(run.with_name("other"), head(run))
    for wrong in (
        {"samples": (Sample("throughput", bad),)},
        {"intervals": (Interval(0, 1, "throughput", bad),)},
        {"elapsed": bad},
        {"ends": (dataclasses.replace(end, cores=(dataclasses.replace(core, steal=bad),)),)},
        # None is allowed here, and JSON would make a null of it.
        {"ends": (dataclasses.replace(end, pressure=bad),)},
    ):
        with pytest.raises(StoreError, match=r"iperf3-tcp: .*not a number"):
            writer.trial(dataclasses.replace(trial, **wrong))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"end\.json: .*not a number"):
        writer.end(RunEnd("finished", "", bad, 1, 1, 1, 1))
    writer.close()
    assert not load(writer.path).trials


@pytest.mark.parametrize(
    "wrong",
    [
        {"sequence": "1"},
        {"sequence": 1.5},
        {"reason": "\udc80"},
        {"raw": ["a list"]},
        {"histogram": "no base64!"},
        {"samples": (Sample("throughput", "fast"),)},  # type: ignore[arg-type]
        {"samples": (Sample("throughput", object()),)},  # type: ignore[arg-type]
    ],
)
def test_what_could_not_be_read_back_is_never_written(run: Path, wrong: dict[str, object]) -> None:
    trial = load(run).trials[0]
    writer = RunWriter(run.with_name("other"), head(run))
    with pytest.raises(StoreError, match=r"iperf3-tcp: .*never stored"):
        writer.trial(dataclasses.replace(trial, **wrong))  # type: ignore[arg-type]
    writer.trial(dataclasses.replace(trial, samples=(Sample("throughput", np.float64(1.5)),)))
    writer.close()
    assert [one.samples[0].value for one in load(writer.path).trials] == [1.5]


def altered(run: Path, line: int, **changes: object) -> None:
    """Give fields of one line of trials.jsonl other values, named as in ``samples__0__value``."""
    file = run / "trials.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    trial = json.loads(lines[line - 1])
    for name, value in changes.items():
        *way, last = (int(step) if step.isdecimal() else step for step in name.split("__"))
        inner = trial
        for step in way:
            inner = inner[step]
        inner[last] = value
    lines[line - 1] = json.dumps(trial) + "\n"
    file.write_text("".join(lines))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # Python's json writes NaN and Infinity, as many tools do.
        ({"samples__0__value": math.nan}, "malformed"),
        ({"samples__0__value": math.inf}, "malformed"),
        ({"elapsed": -math.inf}, "malformed"),
        ({"intervals__0__end": math.nan}, "malformed"),
        ({"ends__0__cores__0__user": math.nan}, "malformed"),
        (
            {"samples__0__value": "9e9"},
            r"Expected `float`, got `str` - at `\$\.samples\[0\]\.value`",
        ),
        ({"samples__0__value": True}, "Expected `float`, got `bool`"),
        ({"samples__0__value": None}, "Expected `float`, got `null`"),
        ({"samples__0": {"metric": "throughput"}}, "missing required field `value`"),
        ({"sequence": 1.5}, "Expected `int`, got `float`"),
        ({"status": "fine"}, r"Invalid enum value 'fine' - at `\$\.status`"),
        ({"cell__access": "by-air"}, "Invalid enum value 'by-air'"),
        ({"cell__driver": "carrier-pigeon"}, "carrier-pigeon/.* is no cell of the run's plan"),
        ({"cell__aa": 10**30}, "is no cell of the run's plan"),
        ({"block": -1}, "block -1 is none of the plan's 1"),
        ({"block": 1}, "block 1 is none of the plan's 1"),
        ({"sequence": -1}, "trial -1 is none of the plan's 8"),
        ({"sequence": 10**30}, "is none of the plan's 8"),
        ({"sequence": 0}, "trial 0 is in line 1 already"),
        ({"ends__0__seconds": -0.5}, "took -0.5 s"),
        ({"ends__0__drops": 10**400}, "a count that is too large"),
        ({"histogram": 1}, "Expected `bytes . null`, got `int`"),
        ({"histogram": "no base64!"}, r"Invalid base64 encoded string - at `\$\.histogram`"),
    ],
)
def test_a_line_that_cannot_be_is_refused_by_number(
    run: Path, changes: dict[str, object], said: str
) -> None:
    altered(run, 3, **changes)
    with pytest.raises(
        StoreError, match=rf"trials\.jsonl:3: .*{said}.*; the file is damaged"
    ) as it:
        load(run)
    assert "\n" not in str(it.value)
    assert gc.isenabled()


def test_a_number_too_large_for_a_float_is_none(run: Path) -> None:
    file = run / "trials.jsonl"
    for huge in ("1e999", "-1e999", "9" * 400):
        text = file.read_text()
        file.write_text(text.replace('"value":', f'"value":{huge},"was":', 1))
        with pytest.raises(StoreError, match=r"trials\.jsonl:1: Number out of range"):
            load(run)
        file.write_text(text)


def test_a_run_of_format_1_is_read_with_what_it_has() -> None:
    """As netbench 0.1 wrote it on a lab of two hosts: no A/A cells, nothing read around trials."""
    found = load(GOLDEN / "run-format-1")
    assert found.info.format == 1
    assert (found.notes, len(found.trials)) == ((), 16)
    assert {str(trial.status) for trial in found.trials} == {"completed"}
    assert {trial.cell for trial in found.trials} == set(found.info.plan.cells)
    assert not any(cell.aa for cell in found.info.plan.cells)
    assert (found.info.plan.stopping, found.info.plan.pin, found.info.paths) == (None, "off", ())
    # Every tool worked for as long as the plan says.
    plan = found.info.plan
    assert found.info.working == {}
    assert found.info.worked("http-echo") == plan.duration + plan.warmup
    first = found.trials[0]
    assert first.samples[0] == Sample("requests", 25589.0)
    assert (first.ends, first.path, first.unattested) == ((), (), "")
    assert found.end is not None
    assert (found.end.wall, found.end.blocks) == (36.91895815099997, 0)
    assert sum(one is not None for one in found.histograms) == 8


def test_trials_are_read_when_asked_for(run: Path) -> None:
    found = load(run)
    trials = tuple(found.trials)
    assert (len(trials), trials[-1].sequence) == (8, 7)
    assert found.trials == trials
    assert found.trials != trials[:-1]
    assert found.trials[-1] == trials[-1]
    assert found.trials[2:5] == trials[2:5]
    assert trials[3] in found.trials
    with pytest.raises(IndexError):
        found.trials[8]
    held = dataclasses.replace(found, trials=trials)
    assert held.results == found.results
    assert found.readings.end_trials
    assert columns(held.readings) == columns(found.readings)
    assert list(held.histograms) == list(found.histograms)


def columns(readings: Readings) -> tuple[object, ...]:
    """All columns, a pressure that is not known as -1: not a number equals nothing."""
    values = [-1.0 if math.isnan(one) else one for one in readings.end_values]
    return (
        *(readings.end_trials, readings.end_whos, readings.whos, values, readings.core_values),
        *(readings.passage_trials, readings.passage_whats, readings.whats, readings.moved),
    )


@given(st.lists(st.tuples(st.lists(ENDS, max_size=2), st.lists(PASSAGES, max_size=2)), max_size=4))
@settings(max_examples=60, deadline=None)
def test_readings_have_all_that_was_read(read: list[tuple[list[EndUse], list[Passage]]]) -> None:
    trial = load(GOLDEN / "run-format-1").trials[0]
    trials = [dataclasses.replace(trial, ends=tuple(ends), path=tuple(p)) for ends, p in read]
    found = Readings(trials)
    values, cores = list(found.end_values), list(found.core_values)
    ends = []
    for who in found.end_whos:
        seconds, pressure, retransmits, drops, count = values[: len(END)]
        of = [cores[len(CORE) * core : len(CORE) * (core + 1)] for core in range(int(count))]
        values, cores = values[len(END) :], cores[len(CORE) * int(count) :]
        known = None if math.isnan(pressure) else pressure
        ends.append((*found.whos[who], seconds, known, retransmits, drops, of))
    assert (values, cores) == ([], [])
    assert list(zip(found.end_trials, ends, strict=True)) == [
        (
            place,
            (
                *(end.host, end.roles, end.pinned, end.seconds, end.pressure),
                *(float(end.retransmits), float(end.drops)),
                [list(dataclasses.astuple(core)) for core in end.cores],
            ),
        )
        for place, trial in enumerate(trials)
        for end in trial.ends
    ]
    moved = zip(found.passage_trials, found.passage_whats, found.moved, strict=True)
    assert [(place, *found.whats[what], count) for place, what, count in moved] == [
        (place, one.host, one.where, one.interface, float(one.moved))
        for place, trial in enumerate(trials)
        for one in trial.path
    ]


def test_trials_that_a_file_no_longer_has_are_named(run: Path) -> None:
    found = load(run)
    file = run / "trials.jsonl"
    whole = file.read_bytes()
    with file.open("ab") as more:
        more.write(whole.splitlines(keepends=True)[0] + b"{half a li")
    assert len(list(found.trials)) == len(found.histograms) == 8
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
    with pytest.raises(StoreError, match=r"trials\.jsonl: was cut while it was read"):
        list(found.trials)
    with pytest.raises(StoreError, match=r"trials\.jsonl:8: "):
        found.trials[7]
    file.unlink()
    with pytest.raises(StoreError, match=r"trials\.jsonl: No such file"):
        list(found.trials)
    with pytest.raises(StoreError, match=r"trials\.jsonl: No such file"):
        found.trials[0]
    assert [result.sequence for result in found.results] == list(range(8))


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
        (b'{"format": true}', "no format number"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
    ],
)
def test_heads_that_are_none(run: Path, head: bytes, said: str) -> None:
    (run / "run.json").write_bytes(head)
    with pytest.raises(StoreError, match=rf"run\.json: .*{said}"):
        load(run)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"duration": 3', '"duration": NaN', r"run\.json:LINE: .*malformed"),
        ('"duration": 3', '"duration": Infinity', r"run\.json:LINE: .*malformed"),
        ('"duration": 3', '"duration": 1e999', r"run\.json: Number out of range.*plan\.duration"),
        ('"duration": 3', '"duration": 0', r"run\.json: plan\.duration is below 1"),
        ('"blocks": 1', '"blocks": 0', r"run\.json: plan\.blocks is below 1"),
        ('"warmup": 1', '"warmup": -1', r"run\.json: plan\.warmup is below 0"),
        ('"better": "higher"', '"better": "wider"', r"run\.json: Invalid enum value 'wider'"),
    ],
)
def test_a_head_that_cannot_be_is_named(run: Path, old: str, new: str, said: str) -> None:
    file = run / "run.json"
    text = file.read_text()
    assert old in text
    line = text[: text.index(old)].count("\n") + 1
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(StoreError, match=said.replace("LINE", str(line)) + ".*damaged"):
        load(run)


def test_folders_that_are_no_runs(tmp_path: Path, run: Path) -> None:
    with pytest.raises(StoreError, match=r"run\.json is missing"):
        load(tmp_path)
    for path in (tmp_path / "absent", run / "run.json"):
        with pytest.raises(StoreError, match=f"{path.name}: there is no such folder"):
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
