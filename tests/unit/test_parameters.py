"""Workloads with parameters: their names, and what the parameters make of the commands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import workloads
from bench.errors import UsageError
from bench.workloads.base import Workload

FAMILIES = sorted(workloads.known())


@st.composite
def names(draw: st.DrawFn) -> tuple[str, dict[str, int | str]]:
    family = workloads.known()[draw(st.sampled_from(FAMILIES))]
    picked = {
        one.name: draw(st.sampled_from(one.allows))
        for one in draw(st.permutations(family.parameters))
        if draw(st.booleans())
    }
    return ":".join((family.name, *(f"{key}={value}" for key, value in picked.items()))), picked


@settings(deadline=None)
@given(names())
def test_a_name_is_what_was_chosen_and_the_same_however_it_is_written(
    drawn: tuple[str, dict[str, int | str]],
) -> None:
    written, picked = drawn
    found = workloads.named(written)
    assert {key: found.value(key) for key in picked} == picked
    assert workloads.named(found.name).name == found.name
    assert found.family == written.partition(":")[0]
    different = [
        one for one in found.parameters if picked.get(one.name, one.default) != one.default
    ]
    assert found.name.count("=") == len(different)
    assert (found is workloads.known()[found.family]) == (not different)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tcp-rr:size=0", r"tcp-rr:size=0: size .* cannot be '0'; it may be 1 to 65000"),
        ("tcp-rr:size=1e3", r"size .* cannot be '1e3'"),
        ("tcp-rr:size=", r"size .* cannot be ''"),
        ("tcp-rr:length=3", r"tcp-rr has no parameter 'length=3'; it has: size=1 to 65000"),
        ("tcp-rr:size", r"tcp-rr has no parameter 'size'"),
        ("tcp-rr:size=2:size=3", r"size is there twice; write several values as"),
        ("iperf3-tcp:direction=up", r"cannot be 'up'; it may be forward, reverse, both"),
        ("ftp:size=3", r"unknown workload 'ftp'"),
    ],
)
def test_what_is_not_offered_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        workloads.chosen((name,))


def test_several_values_are_as_many_workloads_each_once() -> None:
    found = workloads.chosen(("iperf3-tcp:streams=1/4:direction=forward/both", "iperf3-tcp"))
    assert [one.name for one in found] == [
        "iperf3-tcp",
        "iperf3-tcp:direction=both",
        "iperf3-tcp:streams=4",
        "iperf3-tcp:streams=4:direction=both",
    ]
    with pytest.raises(UsageError, match="one workload is meant, and that is 2"):
        workloads.named("tcp-rr:size=1/2")


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("tcp-stream", ["iperf3-tcp"]),
        ("tcp-stream:streams=1/4", ["iperf3-tcp", "iperf3-tcp:streams=4"]),
        (
            "scale-pairs",
            [
                *("iperf3-tcp", "iperf3-tcp:pairs=2", "iperf3-tcp:pairs=4"),
                *("tcp-rr", "tcp-rr:pairs=2", "tcp-rr:pairs=4"),
            ],
        ),
        ("scale-pairs:size=64:pairs=8", ["iperf3-tcp:size=64:pairs=8", "tcp-rr:size=64:pairs=8"]),
    ],
)
def test_another_name_stands_for_workloads_of_their_own_names(name: str, own: list[str]) -> None:
    assert [one.name for one in workloads.chosen((name,))] == own
    assert not workloads.OTHER_NAMES.keys() & workloads.known().keys()


def test_another_name_takes_no_other_parameters_than_what_it_stands_for() -> None:
    with pytest.raises(UsageError, match=r"tcp-rr has no parameter 'streams=4'"):
        workloads.chosen(("scale-pairs:streams=4",))
    # It is no name of a cell.
    with pytest.raises(UsageError, match="unknown workload 'tcp-stream'"):
        workloads.named("tcp-stream")


def test_streams_are_set_where_a_workload_has_them_and_every_cell_is_there_once() -> None:
    some = workloads.chosen(("http-echo", "iperf3-tcp:streams=4/16", "iperf3-tcp:pairs=2"))
    assert [one.name for one in workloads.each_with(some, "streams", ("1", "8"))] == [
        "http-echo",
        "iperf3-tcp",
        "iperf3-tcp:streams=8",
        "iperf3-tcp:pairs=2",
        "iperf3-tcp:streams=8:pairs=2",
    ]
    with pytest.raises(UsageError, match=r"streams .* cannot be '0'; it may be 1 to 128"):
        workloads.each_with(some, "streams", ("1", "0"))
    with pytest.raises(UsageError, match="none of these workloads has streams: tcp-rr"):
        workloads.each_with(workloads.chosen(("tcp-rr",)), "streams", ("4",))


def client(name: str) -> str:
    return " ".join(workloads.named(name).client("198.18.0.9", 15299, 7, 2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("iperf3-tcp:streams=4", "--parallel 4"),
        ("iperf3-tcp:direction=reverse", "--reverse"),
        ("iperf3-tcp:direction=both", "--bidir"),
        ("iperf3-tcp:size=1400", "--length 1400"),
        ("tcp-rr:size=1024", "-r 1024,1024"),
        ("http-echo:connections=64", "--clients=64"),
        ("http-echo:body=65536", "--data=/usr/share/netbench/body-64k"),
        ("http-echo:connection=new", "http://198.18.0.9:15299/echo-and-close"),
    ],
)
def test_a_parameter_changes_the_clients_command(name: str, words: str) -> None:
    assert words in client(name)
    assert words not in client(name.partition(":")[0])


def test_a_body_of_nothing_is_a_request_without_one() -> None:
    assert "--data" not in client("http-echo:body=0")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_default_is_allowed_and_every_variant_serves_as_its_family(name: str) -> None:
    family = workloads.known()[name]
    for parameter in family.parameters:
        assert parameter.default in parameter.allows
        other = next(one for one in parameter.allows if one != parameter.default)
        variant: Workload = workloads.named(f"{name}:{parameter.name}={other}")
        assert variant.server("198.18.0.9", 1) == family.server("198.18.0.9", 1)
        assert f"{parameter.name}={other}" in variant.title
        assert parameter.title
