"""Every golden case of the real tools' output (tests/golden/WORKLOAD/CASE) through its parser."""

import json
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram

from bench import workloads
from bench.errors import ParseError
from bench.workloads.base import ToolOutput, Workload

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = [
    pytest.param(workload, folder, id=f"{name}/{folder.name}")
    for name, workload in sorted(workloads.known().items())
    for folder in sorted((GOLDEN / name).glob("*/"))
]


def output_of(folder: Path) -> ToolOutput:
    return ToolOutput(
        int((folder / "exit").read_text()),
        (folder / "stdout").read_bytes(),
        (folder / "stderr").read_bytes(),
    )


def test_every_workload_has_a_good_and_a_bad_case() -> None:
    for name in workloads.known():
        expected = [
            json.loads(file.read_text()) for file in (GOLDEN / name).glob("*/expected.json")
        ]
        assert any("samples" in case for case in expected), name
        assert any("error" in case for case in expected), name


@pytest.mark.parametrize(("workload", "folder"), CASES)
def test_golden(workload: Workload, folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    workload = workloads.named(expected.get("workload", workload.name))
    output = output_of(folder)
    if "error" in expected:
        with pytest.raises(ParseError) as caught:
            workload.parse(output)
        assert expected["error"] in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    found = workload.parse(output)
    samples = {sample.metric: sample.value for sample in found.samples}
    assert samples == pytest.approx(expected["samples"], rel=1e-6)
    rows = [[row.start, row.end, row.value, row.warmup] for row in found.intervals]
    assert [row[3] for row in rows] == [row[3] for row in expected.get("intervals", [])]
    for row, want in zip(rows, expected.get("intervals", []), strict=True):
        assert row == pytest.approx(want)
    steps = [[one.offered, one.goodput, one.loss, one.paced] for one in found.steps]
    assert len(steps) == len(expected.get("steps", []))
    for step, want in zip(steps, expected.get("steps", []), strict=True):
        assert step == pytest.approx(want)
    for name in ("payload", "work"):
        if name in expected:
            assert getattr(found, name) == pytest.approx(expected[name])
    if "histogram_count" in expected:
        assert found.histogram is not None
        histogram = HdrHistogram.decode(found.histogram)
        assert histogram.get_total_count() == expected["histogram_count"]
        assert histogram.get_max_value() == pytest.approx(expected["histogram_max"], rel=1e-3)
    else:
        assert found.histogram is None
