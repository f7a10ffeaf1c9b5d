"""What the command line's words become: shares, times, and a plan that keeps to them."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.cli._outlook import blocks_of, expected_width
from bench.cli._progress import LiveProgress, PlainProgress
from bench.cli._types import Duration, Share
from bench.cli.plan import command as plan_command
from bench.errors import UsageError
from bench.model import Cell, Placement, Plan, Status, Stopping, Trial
from bench.plan import make_plan, trials_of
from bench.units import lasting, percent
from bench.watch import Standing
from tests.unit.synthetic import write_run


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("2h", 7200)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "1h30", "ten", "5m10", "1.5h", "10 m s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


@given(st.integers(1, 10**6))
def test_every_time_that_is_told_can_be_typed(seconds: int) -> None:
    told = lasting(seconds)
    back = Duration().convert(told, None, None)
    # From ten minutes on seconds are left out, from two hours on minutes are not.
    assert abs(back - seconds) < 60


@pytest.mark.parametrize(
    ("text", "share"), [("3%", 0.03), ("0.03", 0.03), (".5", 0.5), ("2.5 %", 0.025), ("50%", 0.5)]
)
def test_shares_are_read(text: str, share: float) -> None:
    assert Share().convert(text, None, None) == pytest.approx(share)


@pytest.mark.parametrize("text", ["3", "0", "0%", "100%", "-1%", "nan", "three", "1e-2", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Share().convert(text, None, None)


@pytest.mark.parametrize(
    ("share", "told"), [(0.004, "0.4 %"), (0.021, "2.1 %"), (0.0999, "10 %"), (0.18, "18 %")]
)
def test_shares_are_told_with_two_digits(share: float, told: str) -> None:
    assert percent(share) == told


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yaml"
    hosts = ", ".join(f"{name}: {{ansible_host: 10.0.0.{n}}}" for n, name in enumerate("abc", 1))
    path.write_text(f"all: {{hosts: {{{hosts}}}}}\n")
    return path


TWO = ("--workloads", "http-echo,iperf3-tcp")


def plan(inventory: Path, *words: str) -> Result:
    return CliRunner().invoke(plan_command, ["-i", str(inventory), *words])


def test_plan_says_what_a_budget_buys(inventory: Path) -> None:
    done = plan(inventory, "--target", "3%", "--budget", "20m", "--drivers", "overlay", *TWO)
    assert done.exit_code == 0, done.output
    # 4 cells of 6.4 s and, with an A/A cell, 5 of HTTP's 7.9 s: 1170 s hold 17 blocks of 65.1 s.
    assert "20 min hold about 17 blocks of 65 s" in done.output
    assert "each trial takes 1.5 s longer" in done.output
    assert "host (A/A)" in done.output
    lines = [line for line in done.output.splitlines() if "noise between blocks" in line]
    assert [line.split()[1] for line in lines] == ["2", "5", "10", "20"]
    assert all("±3 % takes about" in line for line in lines)


def test_a_target_alone_gets_a_budget_and_says_so(inventory: Path) -> None:
    done = plan(inventory, "--target", "3%")
    assert "no --budget given: the run ends after 30 min at the latest" in done.output
    assert "30 min hold about" in done.output


def test_a_budget_alone_has_no_target(inventory: Path) -> None:
    done = plan(inventory, "--budget", "20m")
    assert "takes about" not in done.output
    assert "is settled" not in done.output


def test_trials_get_shorter_before_a_budget_is_refused_unless_their_length_is_asked_for(
    inventory: Path,
) -> None:
    done = plan(inventory, "--budget", "10m", *TWO)
    assert "trials of 3 s instead of 5 s: the budget is short; --duration sets it" in done.output
    asked = plan(inventory, "--budget", "10m", "--duration", "5", *TWO)
    assert isinstance(asked.exception, UsageError)
    assert "16 cells with trials of 5 s after 1 s" in str(asked.exception)
    none = plan(inventory, "--budget", "60s", *TWO)
    assert "16 cells with trials of 2 s after 1 s" in str(none.exception)


def test_a_fixed_number_of_blocks_has_no_outlook(inventory: Path) -> None:
    done = plan(inventory, "--no-aa", *TWO)
    assert "16 cells x 6 blocks = 96 trials" in done.output
    assert "noise" not in done.output
    assert "http-echo: " in done.output
    assert "latency_p50 [s]" in done.output


def test_streams_are_told_in_short_for_what_has_them(inventory: Path) -> None:
    done = plan(inventory, "--workloads", "tcp-stream,tcp-rr", "--streams", "1,4", "--no-aa")
    rows = {line.split()[0] for line in done.output.splitlines() if "(baseline)" in line}
    assert rows == {"iperf3-tcp", "iperf3-tcp:streams=4", "tcp-rr"}
    short = plan(inventory, "--profile", "quick", "--streams", "16", "--no-aa")
    rows = {line.split()[0] for line in short.output.splitlines() if "(baseline)" in line}
    assert rows == {"iperf3-tcp:streams=16", "http-echo", "tcp-rr"}
    none = plan(inventory, "--workloads", "tcp-rr", "--streams", "4")
    assert "none of these workloads has streams" in str(none.exception)


def test_a_profile_says_what_the_command_line_does_not(inventory: Path, tmp_path: Path) -> None:
    usual = plan(inventory, "--no-aa")
    assert "32 cells x 6 blocks = 192 trials of 5 s after 1 s" in usual.output
    quick = plan(inventory, "--profile", "quick", "--no-aa")
    assert "24 cells x 6 blocks = 144 trials of 2 s after 1 s" in quick.output
    file = tmp_path / "mine.yaml"
    file.write_text(
        "question: Sizes?\nworkloads: ['tcp-rr:size=1/1024']\nblocks: 3\nduration: 7\nwarmup: 0\n"
    )
    mine = plan(inventory, "--profile", str(file), "--no-aa", "--drivers", "overlay")
    assert "8 cells x 3 blocks = 24 trials of 7 s after 0 s" in mine.output
    assert "tcp-rr:size=1024" in mine.output
    words = ("--workloads", "udp-rr", "--blocks", "2", "--duration", "1", "--warmup", "2")
    asked = plan(inventory, "--profile", str(file), "--no-aa", "--drivers", "host", *words)
    assert "2 cells x 2 blocks = 4 trials of 1 s after 2 s" in asked.output


def test_an_earlier_run_says_how_many_blocks_each_cell_takes(
    inventory: Path, tmp_path: Path
) -> None:
    write_run(tmp_path / "earlier", blocks=10)
    words = ("--target", "3%", "--budget", "2h", "--like", str(tmp_path / "earlier"))
    done = plan(inventory, *words)
    assert done.exit_code == 0, done.output
    _, table = done.output.split("like earlier")
    rows = [line.split() for line in table.splitlines() if line.endswith(" blocks")]
    assert {row[2] for row in rows} == {"bridge", "overlay", "macvlan"}
    for row in rows:
        width, needed = float(row[row.index("of") - 2].strip("±")), int(row[-2])
        # The blocks rise with the square of the width, a little less from as few as ten.
        square = 10 * (width / 3) ** 2
        assert 0.6 * square - 2 <= needed <= square + 2
    strange = plan(inventory, "--workloads", "iperf3-tcp", "--drivers", "host", *words)
    assert "measured none of this plan's cells" in str(strange.exception)


@pytest.mark.parametrize("host_pairs", [1, 3])
def test_the_width_to_expect_is_that_of_a_median(host_pairs: int) -> None:
    """For many blocks of one pair the textbook's 1.96 x 1.2533 x noise / sqrt(blocks)."""
    found = expected_width(0.05, 400, host_pairs)
    assert found is not None
    textbook = 1.96 * 1.2533 * 0.05 / 20
    assert textbook < found < textbook * (1.25 if host_pairs == 1 else 2)
    halved = expected_width(0.05, 1600, host_pairs)
    assert halved is not None
    assert found / halved == pytest.approx(2, rel=0.15)
    assert expected_width(0.05, 2, host_pairs) is None


def test_no_more_blocks_are_hoped_for_than_there_can_be() -> None:
    made = make_plan([], [], [], [], blocks=7, duration=1, warmup=0, seed=1)
    assert blocks_of(made) == 7


CELL = Cell("host", "direct", Placement.CROSS_HOST, "iperf3-tcp", aa=1)  # type: ignore[arg-type]


def short_plan(stopping: Stopping | None) -> Plan:
    from bench import drivers, workloads

    return make_plan(
        ["a", "b"],
        drivers.chosen(("overlay",)),
        workloads.chosen(("iperf3-tcp",)),
        [Placement.CROSS_HOST],
        blocks=2,
        duration=1,
        warmup=0,
        seed=1,
        aa=1,
        stopping=stopping,
    )


def watched(kind: type[PlainProgress | LiveProgress], stopping: Stopping | None) -> str:
    """What a watcher shows of one block of a short run."""
    made = short_plan(stopping)
    console = Console(width=200, force_terminal=kind is LiveProgress, record=True, quiet=False)
    with kind(console) as progress:
        progress.begin(made)
        if stopping is not None:
            settled = None if stopping.target is None else 1
            progress.standing(Standing(0, 3, settled, 2, 200.0))
        for planned in trials_of(made, 0):
            progress.starting(planned)
            ended = Trial(
                *(planned.sequence, planned.block, planned.pair, planned.cell, Status.FAILED),
                reason="it broke",
            )
            progress.ended(ended)
        shown = [str(progress.bar.tasks[0].fields)] if isinstance(progress, LiveProgress) else []
    return console.export_text() + "".join(shown)


def test_what_is_shown_of_a_run_with_a_target() -> None:
    plain = watched(PlainProgress, Stopping(0.03, 300, 6))
    assert "block 1: 3 trials; 1 of 2 cells settled; 3 min 20 s of the budget left" in plain
    assert "[3] block 1 " in plain
    assert "host (A/A)/direct cross-host" in plain
    live = watched(LiveProgress, Stopping(0.03, 300, 6))
    assert "1 of 2 cells settled" in live
    assert "failed: " in live


def test_a_remark_between_trials_stays_on_the_screen() -> None:
    console = Console(width=200, record=True)
    # Not started: what is printed is what stays above the bar.
    progress = LiveProgress(console)
    progress.stage("connecting")
    progress.begin(short_plan(None))
    progress.stage("not pinned: b: no cpuset")
    assert console.export_text() == "not pinned: b: no cpuset\n"


def test_what_is_shown_of_a_run_with_a_budget_or_a_number_of_blocks() -> None:
    assert "block 1: 3 trials; 3 min 20 s" in watched(PlainProgress, Stopping(None, 300, 6))
    assert "[3/6] block 1 " in watched(PlainProgress, None)
    assert "3/6" in watched(LiveProgress, None)
