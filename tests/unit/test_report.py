"""`netbench report`: what a stored run says, to people and to programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from markdown_it import MarkdownIt
from rich.console import Console

from bench.analysis.flags import find
from bench.analysis.summary import summarise
from bench.cli.report import command
from bench.errors import NetbenchError, StoreError, UsageError
from bench.model import Placement, PlannedTrial, Status, Stopping
from bench.report import ReportPaths, render_table, write_report
from bench.report.setup import method
from bench.report.table import PLAIN_WIDTH
from bench.report.words import missing
from bench.store import FORMAT, StoredRun, load
from bench.units import DASH, NOTHING

from .synthetic import as_format_1, write_run

NASTY = "<script>alert(1)</script> | [x](http://evil) `rm` **b** \x1b[31mred\x1b[0m {{ 7*7 }}\nnext"


def netbench(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def fault(result: Result) -> NetbenchError:
    assert isinstance(result.exception, NetbenchError), result.exception
    assert "\n" not in str(result.exception)
    assert not result.stdout
    return result.exception


def troubled(planned: PlannedTrial) -> tuple[Status, str] | None:
    cell = planned.cell
    if cell.driver == "macvlan" and cell.placement is Placement.CROSS_HOST:
        return Status.SKIPPED, NASTY
    if cell.driver == "overlay" and cell.workload == "http-echo":
        return Status.FAILED, "h2load ended with exit code 1"
    return None


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[StoredRun, ReportPaths]:
    """A run with everything in it, and its report: drawn once, as it takes a second."""
    path = tmp_path_factory.mktemp("results") / "run"
    run = load(
        write_run(path, blocks=6, fate=troubled, outstanding=("lab2: network nb-overlay",), aa=1)
    )
    run = dataclasses.replace(run, notes=("a note about <b>reading</b>",))
    return run, write_report(run)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A run that is quick to report: nothing to compare, so no charts."""
    return write_run(
        tmp_path / "results" / "small",
        driver_names=["host"],
        workload_names=["iperf3-tcp"],
        blocks=1,
    )


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_the_html_stands_alone(reported: tuple[StoredRun, ReportPaths]) -> None:
    text = reported[1].html.read_text()
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "@import" not in text
    assert "url(" not in text
    sources = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == len(reported[1].charts) == 6
    for attributes in sources:
        assert (attributes["src"] or "").startswith("data:image/svg+xml;base64,")
        assert attributes["alt"]
    assert not any({"href", "srcset"} & set(attributes) for _, attributes in page.tags)


def test_what_hosts_and_tools_said_is_escaped(reported: tuple[StoredRun, ReportPaths]) -> None:
    paths = reported[1]
    page = Page(paths.html.read_text())
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    for path in (paths.html, paths.markdown):
        assert "\x1b" not in path.read_text()
        assert "<script>" not in path.read_text()
    rendered = (
        MarkdownIt("commonmark", {"html": True}).enable("table").render(paths.markdown.read_text())
    )
    read = Page(rendered)
    assert not {"script", "a", "b"} & {tag for tag, _ in read.tags}
    assert "<script>alert(1)</script> | [x](http://evil) `rm` **b**" in read.text
    assert "a note about <b>reading</b>" in read.text


def test_the_markdown_has_whole_tables_and_pictures_that_exist(
    reported: tuple[StoredRun, ReportPaths],
) -> None:
    paths = reported[1]
    text = paths.markdown.read_text()
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert (paths.folder / picture).stat().st_size > 10_000
    assert text.count("![") == 6
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    page = Page(rendered)
    # Overviews, flags, results, latencies, CPU; then method, hosts, tools, networks, paths.
    assert rendered.count("<table>") == 2 + 1 + 4 + 1 + 1 + 5 + 1
    assert "|" not in re.sub(r"<script>.*?\*\*b\*\*", "", page.text)
    assert "\n\n\n" not in text


@pytest.mark.parametrize("kind", ["html", "markdown"])
def test_both_pages_say_all_of_it(reported: tuple[StoredRun, ReportPaths], kind: str) -> None:
    run, paths = reported
    text = getattr(paths, kind).read_text()
    if kind == "markdown":
        text = MarkdownIt("commonmark").enable("table").render(text)
    said = Page(text).text
    for part in (
        run.info.run,
        "4 Docker network drivers (host, bridge, overlay, macvlan) on 3 hosts",
        "TCP throughput, cross-host: bridge (published-host) 0.9",
        "macvlan skipped",
        "overlay failed",
        "of host, slower by",
        "Can this run be believed?",
        "two measurements of the same thing differ by",
        "would likely be missed here",
        "What was noticed",
        "What it costs in CPU",
        "this machine",
        "off: not held to any",
        "4.4 s, 1.1 % of the wall time, never while a tool ran",
        "Interfaces on the paths",
        "TSO",
        "Paths attested",
        "data interface ",
        "The hosts share one kernel (lab)",
        "Could not be removed: lab2: network nb-overlay",
        "macvlan, cross-host, iperf3-tcp and http-echo: 12 trials skipped: <script>",
        "overlay, same-host and cross-host, http-echo: 12 trials failed: h2load ended",
        "TCP throughput (Gbit/s)",
        "HTTP latency p99.9 (ms)",
        "Latencies of all trials together (ms)",
        "120,000",
        "6.1.0-30-amd64",
        "20.10.24+dfsg1",
        "198.18.0.11 (eth0)",
        "1500",
        "3.18",
        "6 min 35 s",
        "5 min 32 s, 84 % of it",
        "Seed of the order",
    ):
        assert part in said, part


def test_a_tool_that_works_longer_than_a_trial_measures_is_told(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run"))
    summary = summarise(run)
    usual = "3 s measured after 1 s of warm-up, one at a time"
    assert dict(method(run.info, run.end, summary))["Trial"] == usual
    info = dataclasses.replace(run.info, working={"iperf3-tcp": 4.0, "http-echo": 5.5})
    told = dict(method(info, run.end, summary))["Trial"]
    assert told == f"{usual}; http-echo 1.5 s more"


def test_a_cut_off_run_says_so(tmp_path: Path) -> None:
    path = write_run(
        *(tmp_path / "run",),
        workload_names=["iperf3-tcp"],
        placements=[Placement.CROSS_HOST],
        stop_after=9,
        ended=False,
    )
    with (path / "trials.jsonl").open("ab") as file:
        file.write(b'{"sequence": 9, "blo')
    result = netbench(path)
    assert result.exception is None, result.exception
    for said in (result.stdout, (path / "report.html").read_text()):
        assert "netbench was killed before this run ended" in said
        assert "9 of 20 planned trials were carried out" in said
        assert "the last line was cut off" in said


def test_a_run_that_was_stopped_says_how(small: Path, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", driver_names=["host"], blocks=1, stop_after=1)
    said = netbench(path).stdout
    assert "Note: This run ended early, interrupted: stopped by the user." in said
    assert "Note" not in netbench(small).stdout


@pytest.mark.parametrize("stop", [0, None])
def test_a_run_without_a_value_is_reported_without_charts(tmp_path: Path, stop: int | None) -> None:
    path = write_run(
        tmp_path / "run",
        blocks=1,
        stop_after=stop,
        fate=lambda planned: (Status.FAILED, "no route to host"),
    )
    result = netbench(path)
    assert result.exception is None, result.exception
    assert ("no route to host" in result.stdout) == (stop is None)
    assert "<img" not in (path / "report.html").read_text()
    assert "Nothing could be compared" in (path / "report.md").read_text()


def test_the_table_fits_its_width_and_holds_the_numbers(
    reported: tuple[StoredRun, ReportPaths],
) -> None:
    for width in (PLAIN_WIDTH, 80):
        console = Console(width=width, file=io.StringIO(), highlight=False)
        summary = summarise(reported[0])
        console.print(render_table(summary, find(reported[0], summary)))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= width
        span = rf"\d+\.\d+{DASH}\d+\.\d+"
        verdict = rf"slower by \d+ %( \(\d+{DASH}\d+ %\))?"
        assert re.search(rf"overlay +0\.\d\d +{verdict} +\d+\.\d+ +{span} +6/6", text)
        assert re.search(rf"macvlan +{NOTHING} +skipped +{NOTHING} +{NOTHING} +0/6", text)
        assert re.search(rf"host +baseline +\d+\.\d+ +{span} +6/6", text)
        assert re.search(r"host \(A/A\) +(0\.9|1\.0)\d ", text)
    assert max(map(len, text.splitlines())) > 60


def test_few_blocks_come_with_a_warning(tmp_path: Path, small: Path) -> None:
    assert "too few for intervals" in netbench(small).stdout
    five = write_run(tmp_path / "five", driver_names=["host"], workload_names=["iperf3-tcp"])
    assert "Some cells have only 5 trials" in netbench(five).stdout
    six = write_run(
        tmp_path / "six", driver_names=["host"], workload_names=["iperf3-tcp"], blocks=6
    )
    assert "trials" not in netbench(six).stdout


def both(path: Path, *words: object) -> str:
    """What the terminal and the HTML page of a run say, one after the other."""
    result = netbench(path, *words)
    assert result.exception is None, result.exception
    return result.stdout + Page((path / "report.html").read_text()).text


def test_a_run_of_format_1_is_reported_without_what_it_has_not(tmp_path: Path) -> None:
    path = as_format_1(write_run(tmp_path / "run", workload_names=["iperf3-tcp"], blocks=6))
    said = both(path)
    assert "slower by" in said
    for absent in ("What it costs in CPU", "Paths attested", "Interfaces on the paths", "A/A"):
        assert absent not in said
    assert "None" not in said


def test_an_adaptive_run_says_what_it_was_to_reach_and_who_rested(tmp_path: Path) -> None:
    path = write_run(
        tmp_path / "run",
        driver_names=["host", "bridge", "overlay"],
        workload_names=["iperf3-tcp"],
        placements=[Placement.CROSS_HOST],
        blocks=9,
        stopping=Stopping(0.05, 900.0, 6),
        resting=lambda planned: planned.cell.driver == "bridge" and planned.block >= 7,
        message="every cell within ±5 % after 9 blocks",
        pin="auto",
    )
    said = both(path)
    assert re.search(r"bridge \(published-host\).* 7/7\n", said)
    assert re.search(r"overlay .* 9/9\n", said)
    for part in (
        "9 blocks of 3 cells",
        "25 trials carried out",
        "until every headline ratio's interval is within ±5 %; budget 15 min",
        "no cell settled before 6 blocks",
        "bridge (published-host), cross-host, iperf3-tcp after 7 of 9 blocks",
        "every cell within ±5 % after 9 blocks",
        "held to different ones",
        "At rest",
    ):
        assert part in said, part
    assert "planned trials" not in said


def test_many_copies_are_told_in_short_in_the_terminal(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", driver_names=["host", "overlay"], blocks=6, aa=1)
    result = netbench(path)
    said = " ".join(result.stdout.split())
    assert "8 headline metrics of the host network were measured twice (A/A)" in said
    assert "would likely be missed here" in said
    found = json.loads(netbench(path, "--json").stdout)["aa"]
    assert len(found) == 8
    assert {copy["driver"] for copy in found} == {"host"}
    for copy in found:
        low, high = copy["ratio_ci"]
        assert copy["covers_1"] == (low <= 1 <= high)
        assert copy["smallest_effect"] > max(high / copy["ratio"], copy["ratio"] / low) - 1 > 0
    page = Page((path / "report.html").read_text()).text
    assert page.count("two measurements of the same thing differ by") == 8


def test_blocks_without_a_baseline_are_counted(tmp_path: Path) -> None:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        lost = planned.cell.driver == "host" and planned.block in (1, 4)
        return (Status.FAILED, "refused") if lost else None

    path = write_run(
        tmp_path / "run",
        driver_names=["host", "overlay"],
        workload_names=["iperf3-tcp"],
        placements=[Placement.CROSS_HOST],
        blocks=8,
        fate=fate,
    )
    said = " ".join(both(path).split())
    assert "1 cell had values in blocks without one of the baseline, up to 2 blocks" in said
    cells = json.loads(netbench(path, "--json").stdout)["cells"]
    overlay = [one for one in cells if (one["driver"], one["metric"]) == ("overlay", "throughput")]
    assert [(one["pairs"], one["completed"]) for one in overlay] == [(6, 8)]


def test_reasons_that_differ_in_their_figures_are_told_once(tmp_path: Path) -> None:
    def fate(planned: PlannedTrial) -> tuple[Status, str] | None:
        if planned.cell.driver != "bridge":
            return None
        return Status.FAILED, f"lost for {planned.block + 7}% of the time, {planned.block}.5 MB"

    lines = missing(summarise(load(write_run(tmp_path / "run", fate=fate, blocks=3))))
    assert len(lines) == len({line.split(":")[0] for line in lines})
    assert all(re.search(r"trials failed: for example: lost for \d+% of", one) for one in lines)


def test_one_block_only_is_said_to_be_too_few(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", workload_names=["iperf3-tcp"], blocks=1, aa=1)
    said = both(path)
    assert "too few blocks: 1 of 6" in said
    assert "too few for intervals" in " ".join(said.split())
    assert "1 of the 6 blocks that a verdict takes" in " ".join(said.split())
    assert "95 % intervals" not in (path / "report.md").read_text().split("![")[1]


def test_json_is_alone_on_standard_output_and_writes_no_page(small: Path) -> None:
    before = sorted(small.rglob("*"))
    result = netbench(small, "--json")
    summary = json.loads(result.stdout)
    assert summary["run"] == load(small).info.run
    names = {"throughput", "retransmits", "cpu_per_gb"}
    assert {cell["metric"] for cell in summary["cells"]} == names
    assert {cell["ci"] for cell in summary["cells"]} == {None}
    assert sorted(small.rglob("*")) == before


def test_csv_holds_every_sample(small: Path, tmp_path: Path) -> None:
    run = load(small)
    result = netbench(small, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == sum(len(trial.samples) for trial in run.trials) == 6
    assert [float(row["value"]) for row in rows] == [
        sample.value for trial in run.trials for sample in trial.samples
    ]
    netbench(small, "--csv", tmp_path / "out.csv", "--json")
    assert (tmp_path / "out.csv").read_text() == result.stdout
    assert "No such file" in str(fault(netbench(small, "--csv", tmp_path / "no" / "out.csv")))


def test_of_a_folder_of_runs_the_newest_is_taken_and_named(tmp_path: Path, small: Path) -> None:
    later = write_run(
        small.parent / "a-later",
        driver_names=["host"],
        workload_names=["iperf3-tcp"],
        blocks=1,
        name="later",
        created="2026-03-01T00:00:00Z",
    )
    (small.parent / "no-run").mkdir()
    broken = small.parent / "z-broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    result = netbench(small.parent, "--json")
    assert json.loads(result.stdout)["run"] == "later"
    assert str(later) in result.stderr


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: run.rename(run.with_name("moved")), "there is no such folder"),
        (lambda run: (run / "run.json").unlink(), "is not a run"),
        (lambda run: (run / "run.json").write_text('{"format":'), "damaged"),
        (
            lambda run: (run / "run.json").write_text(json.dumps({"format": FORMAT + 1})),
            "newer.*upgrade",
        ),
        (lambda run: (run / "trials.jsonl").write_text("{}\n"), r"trials\.jsonl:1.*damaged"),
        (lambda run: (run / "trials.jsonl").unlink(), "not whole"),
        (lambda run: (run / "end.json").write_text("{}"), r"end\.json.*damaged"),
    ],
)
def test_runs_that_cannot_be_read_are_one_line(small: Path, damage: object, said: str) -> None:
    damage(small)  # type: ignore[operator]
    error = fault(netbench(small))
    assert isinstance(error, StoreError)
    assert error.exit_code == 1
    assert re.search(said, str(error))
    assert "small" in str(error)


def test_a_report_that_cannot_be_written_names_the_file(small: Path, tmp_path: Path) -> None:
    (small / "report.html").mkdir()
    assert re.search(r"report\.html: Is a directory.*--out", str(fault(netbench(small))))
    result = netbench(small, "--out", tmp_path / "elsewhere")
    assert result.exception is None
    assert str(tmp_path / "elsewhere" / "report.html") in result.stdout
    assert (tmp_path / "elsewhere" / "report.md").exists()


@pytest.mark.parametrize(
    "words", [["--json", "--csv", "-"], ["--json", "--out", "x"], ["--csv", "-", "--out", "x"]]
)
def test_options_that_exclude_each_other(small: Path, words: list[str]) -> None:
    assert isinstance(fault(netbench(small, *words)), UsageError)


def test_the_command_as_it_is_called(small: Path) -> None:
    (small / "trials.jsonl").write_text("not json\n")
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "report", small],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"netbench: .*trials\.jsonl:1: .*\n", ended.stderr)
