"""The plan: complete, balanced, seeded."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.errors import UsageError
from bench.model import Access, Placement, Plan
from bench.plan import estimate, make_plan, planned_trials

BOTH = list(Placement)


def plan_for(hosts: list[str], **changes: int) -> Plan:
    numbers = {"blocks": 4, "duration": 3, "warmup": 1, "seed": 7} | changes
    return make_plan(hosts, drivers.chosen(()), workloads.chosen(()), BOTH, **numbers)


@given(hosts=st.integers(2, 6), blocks=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_every_cell_runs_once_in_every_block_on_that_blocks_pair(
    hosts: int, blocks: int, seed: int
) -> None:
    plan = plan_for([f"h{n}" for n in range(hosts)], blocks=blocks, seed=seed)
    assert [trial.sequence for trial in planned_trials(plan)] == list(
        range(len(plan.cells) * plan.blocks)
    )
    assert [trial.block for trial in planned_trials(plan)] == sorted(
        t.block for t in planned_trials(plan)
    )
    for block in range(blocks):
        inside = [trial for trial in planned_trials(plan) if trial.block == block]
        assert Counter(trial.cell for trial in inside) == Counter(plan.cells)
        assert len({trial.pair for trial in inside}) == 1
        assert inside[0].pair.client != inside[0].pair.server


def test_the_baseline_is_in_every_plan_even_when_not_asked_for() -> None:
    plan = make_plan(
        ["a", "b"],
        drivers.chosen(("overlay",)),
        workloads.chosen(("iperf3-tcp",)),
        BOTH,
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
    )
    assert {cell.driver for cell in plan.cells} == {"host", "overlay"}


def test_orders_differ_between_blocks_and_seeds_but_not_between_calls() -> None:
    def orders(plan: Plan) -> list[tuple[str, ...]]:
        return [
            tuple(str(t.cell) for t in planned_trials(plan) if t.block == block)
            for block in range(plan.blocks)
        ]

    first = orders(plan_for(["a", "b"]))
    assert len(set(first)) == len(first)
    assert orders(plan_for(["a", "b"])) == first
    assert orders(plan_for(["a", "b"], seed=8)) != first


def test_blocks_take_turns_over_the_pairs_of_neighbours() -> None:
    plan = plan_for(["a", "b", "c"], blocks=4)
    pairs = [next(t.pair for t in planned_trials(plan) if t.block == block) for block in range(4)]
    assert [(p.client, p.server) for p in pairs] == [
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
        ("a", "b"),
    ]


def test_a_bridge_is_reached_by_published_port_across_hosts_only() -> None:
    access = {
        cell.placement: cell.access
        for cell in plan_for(["a", "b"]).cells
        if cell.driver == "bridge"
    }
    assert access == {
        Placement.SAME_HOST: Access.DIRECT,
        Placement.CROSS_HOST: Access.PUBLISHED_HOST,
    }


def test_one_host_can_only_be_measured_on_itself() -> None:
    with pytest.raises(UsageError, match="needs two hosts and the inventory has 1"):
        plan_for(["a"])
    plan = make_plan(
        ["a"],
        drivers.chosen(()),
        workloads.chosen(()),
        [Placement.SAME_HOST],
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
    )
    assert {t.pair.client_for(t.cell.placement) for t in planned_trials(plan)} == {"a"}


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown driver 'calico'; known are: bridge, host"):
        drivers.chosen(("calico",))
    with pytest.raises(UsageError, match="unknown workload 'ftp'; known are: http-echo, iperf3"):
        workloads.chosen(("ftp",))


def test_the_estimate_grows_with_what_is_to_be_done() -> None:
    short, long = plan_for(["a", "b"], blocks=2), plan_for(["a", "b"], blocks=4)
    assert estimate(long) - estimate(short) > len(short.cells) * short.blocks * 3
