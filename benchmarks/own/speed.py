"""Parsing, reading, analysis, charts, an export and a gate over many runs, and the command's start.

asv calls ``setup_cache`` once and gives its result to the others; ``time_`` is measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from history_speed import Maker, cells
from report_speed import write

from bench import workloads
from bench.analysis.flags import find
from bench.analysis.summary import summarise
from bench.charts import draw
from bench.history.export import export
from bench.history.gate import gate
from bench.history.sequence import read, read_heads, runs_at
from bench.store import load
from bench.workloads.base import ToolOutput

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
TRIALS = 2_000
NIGHTS = 20


class Parsing:
    """Every good case of the tools' output that the tests have."""

    params = tuple(sorted(workloads.known()))
    param_names = ("workload",)
    version = "1"

    def setup(self, workload: str) -> None:
        self.parse = workloads.known()[workload].parse
        self.outputs = [
            ToolOutput(0, (case / "stdout").read_bytes(), (case / "stderr").read_bytes())
            for case in sorted((GOLDEN / workload).iterdir())
            if '"samples"' in (case / "expected.json").read_text()
        ]

    def time_parse(self, _workload: str) -> None:
        for output in self.outputs:
            self.parse(output)


class Reading:
    """One run of 2,000 trials."""

    version = "1"

    def setup_cache(self) -> Path:
        folder = Path.cwd() / "run"
        write(folder, TRIALS)
        return folder

    def setup(self, folder: Path) -> None:
        self.run = load(folder)
        self.summary = summarise(self.run)

    def time_load(self, folder: Path) -> None:
        load(folder)

    def time_summarise(self, _folder: Path) -> None:
        summarise(self.run)

    def time_flags(self, _folder: Path) -> None:
        find(self.run, self.summary)

    def time_draw(self, _folder: Path) -> None:
        with TemporaryDirectory() as into:
            draw(self.summary, Path(into))


class History:
    """Twenty runs of sixteen cells."""

    version = "1"

    def setup_cache(self) -> Path:
        folder = Path.cwd() / "runs"
        maker = Maker(folder, cells(16))
        for night in range(NIGHTS):
            maker.write(night)
        return folder

    def setup(self, folder: Path) -> None:
        self.paths = runs_at([folder])
        self.runs = read(self.paths).runs

    def time_export(self, _folder: Path) -> None:
        with TemporaryDirectory() as into:
            export(read_heads(self.paths).runs, Path(into) / "asv")

    def time_gate(self, _folder: Path) -> None:
        gate(self.runs, 0.05, 30)


class Start:
    """The command, from nothing to its help."""

    version = "1"

    def time_help(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "bench", "--help"], check=True, stdout=subprocess.DEVNULL
        )
