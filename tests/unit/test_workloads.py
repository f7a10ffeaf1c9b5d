"""What holds for every driver and workload, and the parsers against what no tool should print."""

import json
import math
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.capability import Capability
from bench.drivers.base import Driver, Site, SiteHost
from bench.errors import ParseError, UsageError
from bench.model import Access, Measurement, Placement
from bench.workloads.base import ToolOutput, Workload

GOLDEN = Path(__file__).parents[1] / "golden"
WORKLOADS = [pytest.param(found, id=name) for name, found in sorted(workloads.known().items())]
DRIVERS = [pytest.param(found, id=name) for name, found in sorted(drivers.known().items())]
SITE = Site(1500, IPv4Network("10.231.0.0/16"), IPv4Network("198.19.0.0/16"))


def good(name: str) -> ToolOutput:
    folder = GOLDEN / name / "good"
    return ToolOutput(0, (folder / "stdout").read_bytes(), (folder / "stderr").read_bytes())


def require_sane(workload: Workload, found: Measurement) -> None:
    """What must hold for whatever a parser lets through."""
    parsed = [it.name for it in workload.metrics if it != workload.cost.metric]
    told = [sample.metric for sample in found.samples]
    # In their order; what a trial leads with is always there, but for what hosts' counters tell.
    assert told == [name for name in parsed if name in told]
    headlines = {it.name for it in workload.metrics if it.headline} & set(parsed)
    assert headlines <= set(told)
    assert all(it.value > 0 for it in found.samples if it.metric in headlines)
    assert 0 < found.payload < math.inf
    assert all(math.isfinite(it.value) and it.value >= 0 for it in found.samples)
    assert found.samples[0].value > 0
    for row in found.intervals:
        assert math.isfinite(row.value)
        assert 0 <= row.start < row.end < math.inf
        assert row.metric in {metric.name for metric in workload.metrics}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_workload_contract(workload: Workload) -> None:
    assert workloads.known()[workload.name] is workload
    names = [metric.name for metric in workload.metrics]
    assert len(set(names)) == len(names)
    assert workload.cost.metric in workload.metrics
    # The first is what progress and calibration tell: one that the tool itself does.
    assert next(it for it in workload.metrics if it.headline) != workload.cost.metric
    assert workload.cost.rate in {
        sample.metric for sample in workload.parse(good(workload.name)).samples
    }
    # The deployment publishes each port again, that far above.
    assert 0 < workload.port < 100
    serving = workload.server("198.18.0.9", 15299)
    assert "15299" in serving
    assert "198.18.0.9" in serving
    workload = workload.at(4000.0)
    command = workload.client("198.18.0.9", 15299, 7, 2)
    assert all(part in " ".join(command) for part in ("198.18.0.9", "15299"))
    for duration, warmup in ((70, 2), (7, 4)):
        assert command != workload.client("198.18.0.9", 15299, duration, warmup)
    assert all(isinstance(word, str) and word for word in serving)
    require_sane(workload, workload.parse(good(workload.name)))


def test_workloads_share_a_port_only_with_its_server_and_a_metrics_name_only_with_its_unit() -> (
    None
):
    known = workloads.known().values()
    serving = {(port, it.server("198.18.0.9", 1)) for it in known for port in workloads.ports(it)}
    assert len({port for port, _ in serving}) == len(serving)
    metrics = {(metric.name, metric.unit, metric.better) for it in known for metric in it.metrics}
    assert len({name for name, *_ in metrics}) == len(metrics)


@pytest.mark.parametrize("driver", DRIVERS)
def test_driver_contract(driver: Driver) -> None:
    assert drivers.known()[driver.name] is driver
    assert driver.title
    assert driver.needs
    assert set(driver.accesses) <= set(Placement)
    assert driver.accesses
    for placement, ways in driver.accesses.items():
        assert ways
        assert len(set(ways)) == len(ways)
        assert set(ways) <= set(Access)
        # A published port is one of the host's: nobody reaches it without one to publish on.
        assert (Access.PUBLISHED_HOST not in ways) or driver.published % 100 == 0 < driver.published
        if placement is Placement.SAME_HOST:
            assert Access.PUBLISHED_INGRESS_OTHER not in ways
    network = driver.network(SITE)
    hosts = [SiteHost(index, f"h{index}", "eth1") for index in range(3)]
    locals_ = [driver.host_network(SITE, host) for host in hosts]
    assert (network is None) == (driver.existing is not None)
    assert driver.requires <= set(Capability)
    assert not (driver.shares_namespace and Placement.CROSS_HOST in driver.accesses)
    if network is not None:
        assert network.scope == "swarm"
        assert network.from_config == any(locals_)
        assert driver.network(SITE) == network
    ranges = [IPv4Network(spec.ip_range) for spec in locals_ if spec and spec.ip_range]
    for spec in locals_:
        assert spec is None or (spec.config_only and spec.scope == "local")
    assert all(not one.overlaps(two) for one in ranges for two in ranges if one is not two)


def test_the_baseline_comes_first_and_unknown_names_list_the_known() -> None:
    assert drivers.chosen(("overlay",))[0].name == drivers.BASELINE
    assert [it.name for it in drivers.chosen(("macvlan", "host"))] == ["host", "macvlan"]
    with pytest.raises(UsageError, match=r"overlai.*overlay"):
        drivers.chosen(("overlai",))
    with pytest.raises(UsageError, match="iperf3-tcp"):
        workloads.chosen(("iperf4",))


def test_udp_search_divides_the_duration_into_whole_seconds_and_eight_steps_at_least() -> None:
    workload = workloads.known()["udp-stream"]
    for duration, steps, seconds in ((2, 8, 1), (5, 8, 1), (10, 10, 1), (30, 15, 2), (720, 12, 60)):
        argv = workload.client("198.18.0.9", 15203, duration, 2)
        assert {"--look=2", f"--steps={steps}", f"--seconds={seconds}"} <= set(argv)
        span = workload.span(duration, 2)
        assert steps * seconds <= span.measured <= steps * (seconds + 0.2)
        assert 2 <= span.warmup < 2.5
    # Without a warm-up it still looks where to begin.
    assert "--look=1" in workload.client("198.18.0.9", 15203, 5, 0)


@st.composite
def damaged(draw: st.DrawFn, name: str) -> ToolOutput:
    """A good output with some bytes replaced, cut or put in, in one of its streams."""
    output = good(name)
    streams = [output.stdout, output.stderr]
    which = draw(st.integers(0, 1)) if streams[1] else 0
    data = streams[which]
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 40))
        new = draw(
            st.one_of(
                st.binary(max_size=20),
                st.sampled_from([b"NaN", b"-1", b"1e999", b"null", b"[]", b"{}", b"0", b"9" * 25]),
            )
        )
        data = data[:start] + new + data[start + length :]
    streams[which] = data
    return ToolOutput(draw(st.sampled_from([0, 0, 0, 1])), streams[0], streams[1])


def parse_or_refuse(workload: Workload, output: ToolOutput) -> None:
    try:
        found = workload.parse(output)
    except ParseError:
        return
    require_sane(workload, found)


@pytest.mark.parametrize("workload", WORKLOADS)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damaged_output_is_refused_or_sane(workload: Workload, data: st.DataObject) -> None:
    parse_or_refuse(workload, data.draw(damaged(workload.name)))


@pytest.mark.parametrize("workload", WORKLOADS)
@settings(deadline=None, max_examples=60)
@given(out=st.binary(max_size=300), err=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(workload: Workload, out: bytes, err: bytes) -> None:
    with pytest.raises(ParseError):
        workload.parse(ToolOutput(0, out, err))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=100)
@given(
    path=st.sampled_from(
        [
            ("end", "sum_received", "bits_per_second"),
            ("end", "sum_received", "bytes"),
            ("end", "sum_sent", "retransmits"),
            ("end", "sum_received"),
            ("server_output_json", "intervals"),
            ("server_output_json", "intervals", 0, "sum"),
            ("server_output_json", "intervals", 1, "sum", "end"),
            ("server_output_json", "intervals", 1, "sum", "omitted"),
            ("server_output_json", "intervals", 1, "sum", "bits_per_second"),
        ]
    ),
    value=JSON,
)
def test_iperf3_any_value_anywhere(path: tuple[str | int, ...], value: object) -> None:
    report = json.loads(good("iperf3-tcp").stdout)
    place = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    parse_or_refuse(
        workloads.known()["iperf3-tcp"], ToolOutput(0, json.dumps(report).encode(), b"")
    )


def test_iperf3_deep_nesting_is_refused() -> None:
    with pytest.raises(ParseError, match="no whole report"):
        workloads.known()["iperf3-tcp"].parse(ToolOutput(0, b'{"a":' + b"[" * 200_000, b""))


WAYS = {2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}


def stretch(
    log: str, *, duration: int = 1, warmup: str = "1", ok: int | None = None, shown: str = ""
) -> str:
    """What h2load prints after a stretch with these requests, ``COUNT STATUS MICROSECONDS`` a line.

    ``ok`` good answers where it saw fewer begin than end; a mean latency that is ``shown`` is not
    that of the requests.
    """
    rows = [[int(word) for word in line.split()] for line in log.splitlines()]
    done = sum(count for count, _, _ in rows)
    succeeded = sum(count for count, status, _ in rows if status == 0 or 200 <= status < 400)
    seen = {way: sum(n for n, status, _ in rows if status // 100 == way) for way in WAYS}
    seen[2] = seen[2] if ok is None else ok
    codes = ", ".join(f"{seen[way]} {name}" for way, name in WAYS.items())
    mean = sum(count * latency for count, _, latency in rows) // max(1, done)
    longest = max((latency for _, _, latency in rows), default=0)
    return (
        "starting benchmark...\nspawning thread #0: 16 total client(s). Timing-based test with "
        f"{warmup}s of warm-up time and {duration}s of main duration for measurements.\n"
        f"requests: {done} total, {done} started, {done} done, {succeeded} succeeded, "
        f"{done - succeeded} failed, 0 errored, 0 timeout\nstatus codes: {codes}\n"
        f"traffic: 1B (1) total, 1B (1) headers (space savings 0.00%), 1B ({1024 * done}) data\n"
        f"time for request:       47us  {shown or f'{longest}us':>10}  {shown or f'{mean}us':>10}"
        "      193us  96.19%\n"
    )


def http(plain: str, log: str, *, duration: int = 1) -> ToolOutput:
    """A trial with what h2load printed of the plain stretch and the log of the other."""
    return ToolOutput(
        0, f"{plain}{BETWEEN}{stretch(log, duration=duration)}".encode(), log.encode()
    )


BETWEEN = "netbench-http-load: logged\n"
# 16 connections for 1 s: 1,600 requests of 10 ms.
BUSY = "1600 200 10000\n"


def values(found: Measurement) -> dict[str, float]:
    return {sample.metric: sample.value for sample in found.samples}


def test_http_rate_is_of_the_plain_stretch_and_latency_of_the_logged_one() -> None:
    output = http(stretch("6400 200 5000\n", duration=2), "1600 200 10000\n")
    found = workloads.known()["http-echo"].parse(output)
    assert values(found)["requests"] == 3200
    assert values(found)["latency_p50"] == pytest.approx(0.01)
    assert found.payload == (6400 + 1600) * 2 * 1024
    # The first had 2 s and 1 s of warm-up, the second 1 s and 1 s.
    assert found.work == 3 * 3200 + 2 * 1600


def test_http_failures_and_redirections_are_errors_and_not_in_the_rate() -> None:
    # The one of 10.5 ms was an answer that began in the warm-up (status 0).
    log = "1500 200 10000\n60 503 10000\n20 302 10000\n19 -1 10000\n1 0 10500\n"
    found = workloads.known()["http-echo"].parse(http(stretch(log), log))
    assert values(found)["requests"] == 1501
    assert values(found)["errors"] == 2 * (60 + 19 + 20)
    assert values(found)["latency_p50"] == pytest.approx(0.01)
    assert values(found)["latency_p99.9"] == pytest.approx(0.01)
    assert found.payload == 2 * 1501 * 2 * 1024


Rows = list[tuple[int, int, int]]


@st.composite
def requests(draw: st.DrawFn) -> Rows:
    """Requests that keep 16 connections busy for a second: count, status, latency."""
    one = st.tuples(st.sampled_from([200, 204, 302, 404, 503, -1]), st.integers(50, 20_000))
    kinds = draw(st.lists(one, min_size=1, max_size=6))
    rows = [(16_000_000 // len(kinds) // latency, status, latency) for status, latency in kinds]
    unseen = draw(st.integers(0, 18))
    return [*rows, (unseen, 0, 90)] if unseen else rows


def counted(rows: Rows, *ways: int) -> int:
    return sum(count for count, status, _ in rows if status // 100 in ways)


@settings(deadline=None, max_examples=200)
@given(first=requests(), second=requests())
def test_http_every_request_is_a_good_answer_or_an_error_or_the_trial_has_failed(
    first: Rows, second: Rows
) -> None:
    plain, log = ("".join(f"{n} {s} {us}\n" for n, s, us in rows) for rows in (first, second))
    output, workload = http(stretch(plain), log), workloads.known()["http-echo"]
    if any(counted(rows, 2) == 0 or counted(rows, 0) > 16 for rows in (first, second)):
        with pytest.raises(ParseError, match=r"was answered well|which cannot be"):
            workload.parse(output)
        return
    found = workload.parse(output)
    require_sane(workload, found)
    assert values(found)["requests"] == counted(first, 0, 2)
    good = counted(first, 0, 2) + counted(second, 0, 2)
    assert found.payload == good * 2048
    assert good + values(found)["errors"] == counted(first + second, -1, 0, 2, 3, 4, 5)
    # A second of warm-up at the same rate in each.
    assert found.work == pytest.approx(2 * good)


def test_http_answers_under_way_when_the_warm_up_ended_count_and_no_more_of_them() -> None:
    workload = workloads.known()["http-echo"]
    assert values(workload.parse(http(stretch(BUSY, ok=1584), BUSY)))["requests"] == 1600
    # More answers may begin than end: the last ones are cut.
    assert values(workload.parse(http(stretch(BUSY, ok=1616), BUSY)))["requests"] == 1600
    with pytest.raises(ParseError, match="1600 successes of 1600 requests, but 1583 good answers"):
        workload.parse(http(stretch(BUSY, ok=1583), BUSY))


@pytest.mark.parametrize("bad", ["1600 404 10000\n", "1590 404 10000\n10 0 10000\n", ""])
def test_http_a_stretch_without_a_good_answer_fails_whatever_the_other_did(bad: str) -> None:
    for output in (http(stretch(bad), BUSY), http(stretch(BUSY), bad)):
        with pytest.raises(ParseError, match=r"none of \d+ requests was answered well"):
            workloads.known()["http-echo"].parse(output)


def test_http_answers_in_no_time_are_no_data() -> None:
    # The slow tenth keeps every connection busy; the median would be zero.
    with pytest.raises(ParseError, match="in no time"):
        workloads.known()["http-echo"].parse(http(stretch(BUSY), "900 200 0\n100 200 160000\n"))


@pytest.mark.parametrize("without", ["status codes:", "time for request:", "requests:", "spawning"])
def test_http_a_summary_that_lacks_a_line_is_none(without: str) -> None:
    whole = stretch(BUSY)
    cut = "".join(line for line in whole.splitlines(True) if not line.startswith(without))
    for first, second in ((cut, whole), (whole, cut)):
        output = ToolOutput(0, f"{first}{BETWEEN}{second}".encode(), BUSY.encode())
        with pytest.raises(ParseError, match="left no summary"):
            workloads.known()["http-echo"].parse(output)


def test_iperf3_payload_is_what_arrived_after_the_warm_up() -> None:
    workload = workloads.known()["iperf3-tcp"]
    assert workload.parse(good("iperf3-tcp")).payload == 7142637568


def test_cost_of_a_unit_of_work() -> None:
    # 3 CPU seconds for 16 Gbit: 2 GB went, at 1.5 s each.
    assert workloads.known()["iperf3-tcp"].cost.value(3.0, 16e9) == pytest.approx(1.5)
    # 3 CPU seconds for 20,000 requests: 0.15 s a thousand.
    assert workloads.known()["http-echo"].cost.value(3.0, 2e4) == pytest.approx(0.15)


def test_a_tool_is_at_work_for_what_was_asked_and_http_for_its_log_besides() -> None:
    bulk, http_echo = workloads.known()["iperf3-tcp"], workloads.known()["http-echo"]
    assert (bulk.span(5, 1).measured, bulk.span(5, 1).warmup) == (5, 1)
    for duration, warmup, measured, warming in (
        *((1, 0, 2, 0), (5, 1, 6, 1.5), (9, 3, 10, 3.5), (10, 1, 12, 1.5)),
        (3600, 0, 4320, 0),
    ):
        span = http_echo.span(duration, warmup)
        assert (span.measured, span.warmup) == (measured, warming)
        assert span.seconds == measured + warming
        argv = http_echo.client("198.18.0.9", 80, duration, warmup)
        assert f"--duration={duration}" in argv
        assert f"--warm-up-time={warmup}" in argv
        assert f"--logged-duration={measured - duration}" in argv
        assert f"--logged-warm-up-time={round(1000 * (warming - warmup))}ms" in argv
        # Where the script expects it: its own options first, the address last.
        assert argv[-1] == "http://198.18.0.9:80/echo"
        assert argv[1] == "--checked"
        assert [word.startswith("--logged-") for word in argv[2:]] == [True] * 2 + [False] * 8


# Each connection answers 200 requests of 10 ms in 2 s; those that hang, 100.
def hanging(connections: int) -> str:
    return f"{(16 - connections) * 200 + connections * 100} 200 10000\n"


def test_http_one_connection_hanging_at_the_end_is_tolerated_and_four_are_not() -> None:
    workload = workloads.known()["http-echo"]
    few, many = hanging(1), hanging(4)
    plain = stretch(few, duration=2)
    assert values(workload.parse(http(plain, few, duration=2)))["requests"] == 1550
    with pytest.raises(ParseError, match="12% of the time"):
        workload.parse(http(plain, many, duration=2))
    with pytest.raises(ParseError, match="11% of the time"):
        workload.parse(http(stretch(many, duration=2), few, duration=2))


@pytest.mark.parametrize(
    ("shown", "count", "lost"),
    [
        # 16 s of waiting by a mean that was cut to its last digit.
        ("99us", 16_000_000 // 100, False),
        ("9.99ms", 1600, False),
        ("0.99s", 16, False),
        # 13.9 s and less, beside what the ends of the stretch cut.
        ("86us", 16_000_000 // 100, True),
        ("8.60ms", 1600, True),
    ],
)
def test_http_mean_latency_as_it_is_printed_tells_lost_connections(
    shown: str, count: int, *, lost: bool
) -> None:
    output = http(stretch(f"{count} 200 1\n", shown=shown), BUSY)
    workload = workloads.known()["http-echo"]
    if lost:
        with pytest.raises(ParseError, match="were lost, or waited in vain"):
            workload.parse(output)
    else:
        assert values(workload.parse(output))["requests"] == count


def test_http_a_pause_at_the_end_as_long_as_one_before_it_is_no_loss() -> None:
    # All wait for 0.25 s once; in the last 0.24 s of the second none hears anything any more.
    log = f"{16 * 51} 200 10000\n16 200 250000\n"
    workload = workloads.known()["http-echo"]
    assert values(workload.parse(http(stretch(log), log)))["requests"] == 16 * 52
    quick = f"{16 * 76} 200 10000\n"
    for plain, logged in ((stretch(quick), log), (stretch(log), quick)):
        with pytest.raises(ParseError, match=r"were lost, or waited in vain, for 2[12]% of"):
            workload.parse(http(plain, logged))


def test_http_slow_answers_cut_by_the_measurements_ends_are_no_loss() -> None:
    # 0.4 s an answer, 3 s: seven whole answers a connection at most; the eighth is cut.
    log = "112 200 400000\n"
    output = http(stretch(log, duration=3, shown="400.00ms"), log, duration=3)
    assert values(workloads.known()["http-echo"].parse(output))["latency_p50"] == 0.4


@pytest.mark.parametrize(
    "log", ["0 200 100\n", "1 200 9999999999\n", "1 200\n", "x\n", "1 200 1 1\n", "\n"]
)
def test_http_impossible_log_lines_are_refused(log: str) -> None:
    good_one = stretch(BUSY)
    output = ToolOutput(0, f"{good_one}{BETWEEN}{good_one}".encode(), log.encode())
    with pytest.raises(ParseError, match="log has the line"):
        workloads.known()["http-echo"].parse(output)


def test_http_a_log_that_its_summary_contradicts_is_refused() -> None:
    first, second = stretch(BUSY), stretch(BUSY)
    output = ToolOutput(0, f"{first}{BETWEEN}{second}".encode(), b"1599 200 10000\n")
    with pytest.raises(ParseError, match="1600 successes of 1600 requests but logged 1599 of 1599"):
        workloads.known()["http-echo"].parse(output)
