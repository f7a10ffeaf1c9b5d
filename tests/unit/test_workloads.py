"""What holds for every driver and workload, and the parsers against what no tool should print."""

import json
import math
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import drivers, workloads
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
    assert [sample.metric for sample in found.samples] == parsed
    headlines = {it.name for it in workload.metrics if it.headline}
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
    assert any(metric.headline for metric in workload.metrics)
    assert workload.cost.metric in workload.metrics
    assert not workload.cost.metric.headline
    assert workload.cost.rate in {
        sample.metric for sample in workload.parse(good(workload.name)).samples
    }
    # The deployment publishes each port again, that far above.
    assert 0 < workload.port < 100
    serving = workload.server("198.18.0.9", 15299)
    assert "15299" in serving
    assert "198.18.0.9" in serving
    measuring = " ".join(workload.client("198.18.0.9", 15299, 7, 2))
    assert all(part in measuring for part in ("198.18.0.9", "15299", "7", "2"))
    assert all(isinstance(word, str) and word for word in serving)
    require_sane(workload, workload.parse(good(workload.name)))


def test_no_two_workloads_share_a_port_or_a_metric() -> None:
    known = workloads.known().values()
    assert len({it.port for it in known}) == len(known)
    metrics = [metric.name for it in known for metric in it.metrics]
    assert len(set(metrics)) == len(metrics)


@pytest.mark.parametrize("driver", DRIVERS)
def test_driver_contract(driver: Driver) -> None:
    assert drivers.known()[driver.name] is driver
    assert driver.title
    assert driver.needs
    assert set(driver.access) <= set(Placement)
    assert driver.access
    assert set(driver.access.values()) <= set(Access)
    network = driver.network(SITE)
    hosts = [SiteHost(index, f"h{index}", "eth1") for index in range(3)]
    locals_ = [driver.host_network(SITE, host) for host in hosts]
    assert (network is None) == (driver.existing is not None)
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


def h2load(log: str, *, done: int, succeeded: int, failed: int, duration: int = 1) -> ToolOutput:
    text = (
        f"Timing-based test with 1s of warm-up time and {duration}s of main duration for "
        f"measurements.\nrequests: {done} total, {done} started, {done} done, {succeeded} "
        f"succeeded, {failed} failed, 0 errored, 0 timeout\n"
    )
    return ToolOutput(0, text.encode(), log.encode())


def values(found: Measurement) -> dict[str, float]:
    return {sample.metric: sample.value for sample in found.samples}


def test_http_failures_and_redirections_are_errors_and_not_in_the_rate() -> None:
    # 16 connections for 1 s: 1,600 requests of 10 ms, of which the one of 10.5 ms was an answer
    # that began in the warm-up (status 0).
    log = "1500 200 10000\n60 503 10000\n20 302 10000\n19 -1 10000\n1 0 10500\n"
    output = h2load(log, done=1600, succeeded=1521, failed=79)
    found = values(workloads.known()["http-echo"].parse(output))
    assert found["requests"] == 1501
    assert found["errors"] == 60 + 19 + 20
    assert found["latency_p50"] == pytest.approx(0.01)
    assert found["latency_p99.9"] == pytest.approx(0.01)


def test_http_answers_in_no_time_are_no_data() -> None:
    # The slow tenth keeps every connection busy; the median would be zero.
    output = h2load("900 200 0\n100 200 160000\n", done=1000, succeeded=1000, failed=0)
    with pytest.raises(ParseError, match="in no time"):
        workloads.known()["http-echo"].parse(output)


def test_http_payload_is_the_body_both_ways() -> None:
    output = h2load("1599 200 10000\n1 503 10000\n", done=1600, succeeded=1599, failed=1)
    assert workloads.known()["http-echo"].parse(output).payload == 1599 * 2 * 1024


def test_iperf3_payload_is_what_arrived_after_the_warm_up() -> None:
    workload = workloads.known()["iperf3-tcp"]
    assert workload.parse(good("iperf3-tcp")).payload == 7142637568


def test_cost_of_a_unit_of_work() -> None:
    # 3 CPU seconds in 2 s at 8 Gbit/s: 2 GB went, at 1.5 s each.
    assert workloads.known()["iperf3-tcp"].cost.value(3.0, 2.0, 8e9) == pytest.approx(1.5)
    # 3 CPU seconds in 2 s at 10,000 requests a second: 20,000 of them, 0.15 s a thousand.
    assert workloads.known()["http-echo"].cost.value(3.0, 2.0, 1e4) == pytest.approx(0.15)


def test_http_one_connection_hanging_at_the_end_is_tolerated_and_four_are_not() -> None:
    workload = workloads.known()["http-echo"]

    # Each connection answers 200 requests of 10 ms in 2 s; those that hang, 100.
    def run(hanging: int) -> ToolOutput:
        answered = (16 - hanging) * 200 + hanging * 100
        return h2load(
            f"{answered} 200 10000\n", done=answered, succeeded=answered, failed=0, duration=2
        )

    assert values(workload.parse(run(1)))["requests"] == 1550
    with pytest.raises(ParseError, match="12% of the time"):
        workload.parse(run(4))


def test_http_slow_answers_cut_by_the_measurements_ends_are_no_loss() -> None:
    # 0.4 s an answer, 3 s: seven whole answers a connection at most; the eighth is cut.
    output = h2load("112 200 400000\n", done=112, succeeded=112, failed=0, duration=3)
    assert values(workloads.known()["http-echo"].parse(output))["latency_p50"] == 0.4


@pytest.mark.parametrize(
    "log", ["0 200 100\n", "1 200 9999999999\n", "1 200\n", "x\n", "1 200 1 1\n", "\n"]
)
def test_http_impossible_log_lines_are_refused(log: str) -> None:
    with pytest.raises(ParseError, match="log has the line"):
        workloads.known()["http-echo"].parse(h2load(log, done=1, succeeded=1, failed=0))
