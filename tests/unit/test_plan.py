"""The plan: complete, balanced, seeded."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.errors import UsageError
from bench.model import Access, Placement, Plan, Stopping
from bench.plan import (
    affordable,
    estimate,
    make_plan,
    pairs,
    planned_trials,
    round_of,
    seconds_a_block,
    seconds_a_trial,
    trials_of,
)
from bench.trials import path_of

BOTH = list(Placement)


def plan_for(hosts: list[str], **changes: int) -> Plan:
    numbers = {"blocks": 4, "duration": 3, "warmup": 1, "seed": 7} | changes
    return make_plan(
        hosts, drivers.chosen(()), workloads.chosen(("http-echo", "iperf3-tcp")), BOTH, **numbers
    )


# The first one to ask finds the workloads, which takes as long as the machine is busy.
@settings(deadline=None)
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
        workloads.chosen(("http-echo", "iperf3-tcp")),
        [Placement.SAME_HOST],
        blocks=1,
        duration=1,
        warmup=0,
        seed=1,
    )
    assert {t.pair.client_for(t.cell.placement) for t in planned_trials(plan)} == {"a"}


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown driver 'calico'; known are: bridge, bridge-d"):
        drivers.chosen(("calico",))
    with pytest.raises(UsageError, match="unknown workload 'ftp'; known are: http-echo, http-o"):
        workloads.chosen(("ftp",))


def test_the_estimate_grows_with_what_is_to_be_done() -> None:
    short, long = plan_for(["a", "b"], blocks=2), plan_for(["a", "b"], blocks=4)
    assert estimate(long) - estimate(short) > len(short.cells) * short.blocks * 3


def test_a_trial_is_expected_to_take_what_its_tool_does() -> None:
    plan = plan_for(["a", "b"])
    taken = {cell.workload: seconds_a_trial(plan, cell) for cell in plan.cells}
    # HTTP logs for a second more, after half a second of warm-up of its own.
    assert taken == {
        "iperf3-tcp": pytest.approx(plan.duration + plan.warmup + 0.4),
        "http-echo": pytest.approx(plan.duration + plan.warmup + 1.5 + 0.4),
    }
    assert seconds_a_block(plan) == pytest.approx(sum(taken[cell.workload] for cell in plan.cells))


def budgeted(budget: float, *, aa: int | None = 0, names: tuple[str, ...] = ()) -> Plan:
    return make_plan(
        ["a", "b"],
        drivers.chosen(names),
        workloads.chosen(("http-echo", "iperf3-tcp")),
        BOTH,
        duration=3,
        warmup=1,
        seed=7,
        aa=aa,
        stopping=Stopping(0.03, budget, 6),
    )


def test_a_budget_says_how_many_blocks_there_are_and_is_the_estimate() -> None:
    plan = budgeted(1000)
    assert estimate(plan) == 1000
    assert affordable(plan, 1000) == int((1000 - 30) / seconds_a_block(plan)) == 11
    # Settled cells rest: there may be more, but none of less than one trial.
    assert affordable(plan, 1000) < plan.blocks <= 1000 / 4


def test_a_budget_too_small_for_the_fewest_blocks_is_refused_with_one_that_is_not() -> None:
    with pytest.raises(UsageError, match=r"a budget of 60 s holds about 0 blocks") as told:
        budgeted(60)
    said = "16 cells with trials of 3 s after 1 s of warm-up take 82 s a block, set-up and teardown"
    assert said in str(told.value)
    assert "give --budget 9m" in str(told.value)
    assert affordable(budgeted(9 * 60), 9 * 60) >= 6


def test_a_target_without_anything_to_compare_is_refused() -> None:
    with pytest.raises(UsageError, match="--target needs something to compare with host"):
        budgeted(1000, names=("host",))
    assert budgeted(1000, names=("host",), aa=1).stopping is not None


def copies(plan: Plan) -> list[tuple[str, Placement, int]]:
    return [(c.workload, c.placement, c.aa) for c in plan.cells if c.aa]


def test_one_baseline_is_measured_again_in_the_background_and_all_of_them_when_asked() -> None:
    assert copies(plan_for(["a", "b"])) == []
    for aa, expected in ((None, 1), (0, 0), (1, 4)):
        plan = budgeted(1000, aa=aa)
        assert len(copies(plan)) == expected
        assert {c.driver for c in plan.cells if c.aa} <= {"host"}
    assert copies(budgeted(1000, aa=None)) == [("http-echo", Placement.CROSS_HOST, 1)]


def test_the_aa_cell_in_the_background_is_what_a_tight_budget_does_without() -> None:
    without = seconds_a_block(budgeted(1000)) * 6 + 30
    assert copies(budgeted(without + 1, aa=None)) == []
    assert copies(budgeted(without + 6 * 5.9 - 1, aa=None)) == []
    assert copies(budgeted(without + 6 * 5.9 + 1, aa=None)) != []
    with pytest.raises(UsageError, match="20 cells"):
        budgeted(without + 1, aa=1)


@given(hosts=st.integers(2, 6), blocks=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_a_block_is_the_same_whatever_ran_before_and_one_round_holds_every_path(
    hosts: int, blocks: int, seed: int
) -> None:
    plan = plan_for([f"h{n}" for n in range(hosts)], blocks=blocks, seed=seed)
    every = list(planned_trials(plan))
    assert [t for t in every if t.block == blocks - 1] == list(trials_of(plan, blocks - 1))
    assert {path_of(t) for t in round_of(plan)} == {path_of(t) for t in every}
    assert {t.pair for t in round_of(plan)} <= set(pairs(plan))
