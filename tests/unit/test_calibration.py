"""The rate of workloads that follow from what the slowest treatment reaches of another."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import drivers, workloads
from bench.analysis.likeness import differences
from bench.analysis.summary import summarise
from bench.model import HostPair, Placement, Plan, Reached, RunInfo, Status
from bench.plan import calibrations, estimate, make_plan
from bench.remote.api import Completed
from bench.remote.fake import FakeMachine, FakeWorld
from bench.report.setup import method
from bench.store import load
from tests.unit.test_runner import NAMES, Watcher, go, working, world
from tests.unit.test_workloads import BETWEEN, stretch

__all__ = ["world"]

GOLDEN = Path(__file__).parents[1] / "golden"

# Requests a second in a closed loop, or kbit/s of UDP, by what the container's name has in it.
REACHED = {"overlay": 800, "host": 1600}


def plan(*names: str, aa: int = 0) -> Plan:
    return make_plan(
        NAMES,
        drivers.chosen(("host", "overlay")),
        workloads.chosen(names),
        [Placement.CROSS_HOST],
        blocks=3,
        duration=1,
        warmup=0,
        seed=3,
        aa=aa,
    )


def sent(asked: float, offered: float, arrived: float) -> str:
    """What iperf3 reports of a second in which that many kbit/s of UDP were asked for, sent and
    received."""
    test = {"protocol": "UDP", "blksize": 100, "duration": 1, "target_bitrate": 1e3 * asked}
    left = {"packets": 1.25 * offered, "bits_per_second": 1e3 * offered}
    received = {"bytes": 125 * arrived, "bits_per_second": 1e3 * arrived}
    received |= {"jitter_ms": 0.01, "seconds": 1}
    return json.dumps(
        {"start": {"test_start": test}, "end": {"sum_sent": left, "sum_received": received}}
    )


class Tools:
    """Tools of a network on which the overlay is half as fast; ``rates`` is what was asked for."""

    def __init__(self, *, closed: bool = True) -> None:
        self.closed = closed
        self.rates: list[float] = []

    def __call__(self, machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "netbench-http-load":
            if not self.closed:
                return Completed(1, b"", b"h2load: no connection")
            rate = next(rate for name, rate in REACHED.items() if f"-{name}-" in container)
            # 16 connections that all wait for an answer all the time.
            log = f"{rate} 200 {16_000_000 // rate}\n"
            said = f"{stretch(log)}{BETWEEN}{stretch(log)}"
            return Completed(0, said.encode(), log.encode())
        if argv[0] == "netbench-udp-search":
            # The search of a path that carries so many kbit/s.
            rate = next(rate for name, rate in REACHED.items() if f"-{name}-" in container)
            steps = [sent(0.0, 8 * rate, rate), *(sent(rate, rate, rate) for _ in range(8))]
            said = "\n".join(
                f"netbench-udp-search: step {number} of 8\n{one}"
                for number, one in enumerate(steps)
            )
            return Completed(0, said.encode(), b"")
        if argv[0] == "iperf3" and "--bitrate" in argv:
            options = dict(zip(argv[3::2], argv[4::2], strict=False))
            self.rates.append(float(options["--bitrate"]))
            rate = self.rates[-1] / 1e3
            return Completed(0, sent(rate, rate, rate).encode(), b"")
        if argv[0] == "netbench-http-open":
            options = dict(word[2:].split("=") for word in argv[1:] if word.startswith("--"))
            self.rates.append(float(options["rate"]))
            due = int(float(options["rate"]))
            said = (
                f"requests {due} sent {due} answered {due} errors 0 waited 0 seconds 1 "
                f"rate {due}.000000\nwhole {due}\nbusy 0.1000\nlate {due} 9\nlatency {due} 300\n"
            )
            return Completed(0, said.encode(), b"")
        return working(machine, container, argv)


@pytest.fixture
def carrying(world: FakeWorld) -> FakeWorld:
    return world


def test_all_treatments_are_asked_for_the_same_share_of_what_the_slowest_reached(
    carrying: FakeWorld, tmp_path: Path
) -> None:
    carrying.tool = tools = Tools()
    watcher = Watcher()
    outcome = go(carrying, tmp_path, watcher, plan=plan("http-open"))
    run = load(outcome.path)
    # Two treatments on three pairs of hosts, before the first block.
    assert sorted(one.value or 0 for one in run.info.reached) == [800.0] * 3 + [1600.0] * 3
    assert {one.cell.workload for one in run.info.reached} == {"http-echo"}
    assert all((outcome.path / name).exists() for one in run.info.reached for name in one.raw)
    assert run.info.slowest_of_each() == {"http-echo": 800.0}
    assert set(tools.rates) == {400.0}
    assert len(tools.rates) == 6
    assert watcher.stages.count("finding the rate: overlay/direct/cross-host/http-echo") == 3


def test_without_any_closed_loop_the_open_ones_are_skipped_with_the_reason(
    carrying: FakeWorld, tmp_path: Path
) -> None:
    carrying.tool = tools = Tools(closed=False)
    outcome = go(carrying, tmp_path, plan=plan("http-open"))
    assert outcome.counts[Status.SKIPPED] == 6
    run = load(outcome.path)
    assert {one.reason for one in run.trials} == {
        "no rate: http-echo could not be measured on any treatment before the first block"
    }
    assert all("h2load: no connection" in one.reason for one in run.info.reached)
    assert not tools.rates


def test_only_what_follows_from_another_is_measured_before_and_the_time_for_it_is_told() -> None:
    assert calibrations(plan("http-echo", "udp-stream")) == ()
    both = plan("http-open", aa=1)
    found = calibrations(both)
    # The A/A cell takes the baseline's path.
    assert len({(one.pair, one.cell) for one in found}) == len(found) == 6
    none = replace(both, cells=plan("http-echo", aa=1).cells)
    closed = workloads.known()["http-echo"].span(1, 0).seconds
    opened = workloads.known()["http-open"].span(1, 0).seconds
    extra = estimate(both) - (estimate(none) + 3 * 3 * (opened - closed))
    assert extra == pytest.approx(6 * (closed + 0.4))


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("http-open", "--rate=500.000"),
        ("http-open:load=80", "--rate=800.000"),
        ("http-open:rate=77", "--rate=77.000"),
        ("udp-paced", "--bitrate 500"),
        ("udp-paced:size=64:load=80", "--bitrate 800"),
        ("udp-paced:rate=77", "--bitrate 77000000"),
    ],
)
def test_the_rate_is_the_share_that_was_chosen(name: str, rate: str) -> None:
    found = workloads.named(name).at(1000.0)
    assert f" {rate} " in " ".join(found.client("198.18.0.9", 15280, 5, 1))
    assert (found.name, found.chosen) == (name, workloads.named(name).chosen)


def test_a_rate_that_is_given_needs_nothing_measured_beforehand() -> None:
    assert calibrations(plan("http-open:rate=77")) == ()
    assert len(calibrations(plan("http-open:rate=77", "http-open:load=30/80"))) == 6
    assert calibrations(plan("udp-paced:rate=5:size=64/512")) == ()


def test_packets_of_all_treatments_are_sent_at_the_same_rate_by_their_size(
    carrying: FakeWorld, tmp_path: Path
) -> None:
    carrying.tool = tools = Tools()
    outcome = go(carrying, tmp_path, plan=plan("udp-paced", "udp-paced:load=80:size=64"))
    run = load(outcome.path)
    # The search is of packets of the same size.
    assert run.info.slowest_of_each() == {"udp-stream": 8e5, "udp-stream:size=64": 8e5}
    assert run.info.unit_reached("udp-stream:size=64") == "bit/s"
    assert sorted(tools.rates) == [4e5] * 6 + [6.4e5] * 6
    assert outcome.counts[Status.COMPLETED] == 12
    told = dict(method(run.info, run.end, summarise(run)))
    assert (
        "800 kbit/s on the slowest treatment, overlay/" in told["udp-stream before the first block"]
    )


def test_runs_that_found_other_rates_say_so_when_they_are_compared() -> None:
    base = load(GOLDEN / "run-format-1").info
    cell, pair = base.plan.cells[0], HostPair("a", "b")
    cell = replace(cell, workload="http-echo")

    def reaching(*rates: float | None) -> RunInfo:
        return replace(base, reached=tuple(Reached(cell, pair, rate) for rate in rates))

    assert differences(reaching(1000.0, 3000.0), reaching(970.0, None)) == ()
    (found,) = differences(reaching(1000.0, 3000.0), reaching(900.0))
    assert not found.matters
    assert (found.base, found.new) == ("1.00 k/s", "900 /s")

    def besides(rate: float) -> RunInfo:
        searched = Reached(replace(cell, workload="udp-stream"), pair, rate, unit="bit/s")
        return replace(base, reached=(Reached(cell, pair, 1000.0), searched))

    (found,) = differences(besides(2e6), besides(1e6))
    assert (found.base, found.new) == ("2.00 Mbit/s", "1.00 Mbit/s")


def test_requests_beside_a_stream_go_to_the_echo_server_however_ports_are_published() -> None:
    workload, echo = workloads.known()["latency-under-load"], workloads.known()["http-echo"]
    for base in (15200, 15300, 16200):
        argv = workload.client("198.18.0.9", base + workload.port, 5, 2)
        assert argv[1] == f"http://198.18.0.9:{base + echo.port}/echo"
        assert argv[argv.index("--port") + 1] == str(base + workload.port)
    # Alone for 2 and 5 s; then the stream for 2 s, beside it for 5, and a second to its end.
    assert workload.span(5, 2).seconds == 2 + 5 + 2 + 5 + 1
    assert workload.client("198.18.0.9", 15204, 5, 0)[4:7] == ("5", "0", "1")
