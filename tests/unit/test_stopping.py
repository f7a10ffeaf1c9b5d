"""When a run has measured enough: a pure rule, fed with trials of known width."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import drivers, workloads
from bench.estimate import half_width, paired_ratio
from bench.model import (
    Better,
    Cell,
    Metric,
    Placement,
    Plan,
    PlannedTrial,
    Sample,
    Status,
    Stopping,
    Trial,
)
from bench.plan import TEARDOWN, make_plan, pairs
from bench.stopping import Rule

ACROSS = (Placement.CROSS_HOST,)
BOTH = tuple(Placement)

# What a planned trial comes to: its headline value, or how it ended instead.
Nature = Callable[[PlannedTrial], float | Status]


def plan_for(
    *,
    names: tuple[str, ...] = ("bridge", "overlay"),
    placements: tuple[Placement, ...] = ACROSS,
    hosts: int = 2,
    target: float | None = 0.05,
    budget: float = 3600,
    min_blocks: int = 6,
    aa: int | None = 0,
    wait_for_aa: bool = False,
    tools: tuple[str, ...] = ("iperf3-tcp",),
) -> Plan:
    return make_plan(
        [f"h{number}" for number in range(hosts)],
        drivers.chosen(names),
        workloads.chosen(tools),
        placements,
        duration=4,
        warmup=1,
        seed=3,
        aa=aa,
        stopping=Stopping(target, budget, min_blocks, wait_for_aa),
    )


def rule_for(plan: Plan) -> Rule:
    known = workloads.known()
    return Rule(plan, {cell.workload: known[cell.workload].metrics for cell in plan.cells})


def trial_of(planned: PlannedTrial, came: float | Status) -> Trial:
    status = came if isinstance(came, Status) else Status.COMPLETED
    metrics = workloads.known()[planned.cell.workload].metrics
    samples = () if isinstance(came, Status) else tuple(Sample(m.name, came) for m in metrics)
    return Trial(
        planned.sequence, planned.block, planned.pair, planned.cell, status, samples=samples
    )


def follow(
    plan: Plan, nature: Nature, *, seconds: float = 5.0, most: int = 400
) -> tuple[Rule, list[tuple[PlannedTrial, ...]], float]:
    """The loop of the runner on a clock that goes only while trials run."""
    rule, spent, blocks = rule_for(plan), 20.0, []
    for block in range(min(plan.blocks, most)):
        due = rule.due(block)
        if not due or not rule.fits(due, spent):
            break
        blocks.append(due)
        for planned in due:
            rule.ended(trial_of(planned, nature(planned)), seconds)
            spent += seconds
        rule.judge()
    return rule, blocks, spent


def noisy(noise: Mapping[str, float], factor: float = 1.0) -> Nature:
    """Trials whose logarithm scatters by as much as their driver's noise."""
    draw = np.random.default_rng(5)

    def nature(planned: PlannedTrial) -> float:
        scale = noise.get(planned.cell.driver, 0.0)
        slower = 1.0 if planned.cell.driver == drivers.BASELINE else factor
        return slower * math.exp(draw.normal(0.0, scale)) if scale else slower

    return nature


def of_driver(blocks: list[tuple[PlannedTrial, ...]], name: str, aa: int = 0) -> int:
    return sum(p.cell.driver == name and p.cell.aa == aa for block in blocks for p in block)


def test_a_quiet_run_ends_after_the_fewest_blocks() -> None:
    rule, blocks, _ = follow(plan_for(), noisy({}))
    assert len(blocks) == 6
    assert rule.reason(len(blocks)) == "every cell within ±5 % after 6 blocks"


def test_no_cell_is_settled_before_every_pair_of_hosts_had_its_turn() -> None:
    rule, blocks, _ = follow(plan_for(hosts=8), noisy({}))
    assert len({due[0].pair for due in blocks}) == len(pairs(rule.plan)) == 8
    assert rule.reason(len(blocks)) == "every cell within ±5 % after 8 blocks"


def test_a_settled_cell_rests_for_good_and_the_baseline_goes_on() -> None:
    _, blocks, _ = follow(plan_for(), noisy({"overlay": 0.08}))
    assert of_driver(blocks, "bridge") == 6
    assert of_driver(blocks, "overlay") == of_driver(blocks, "host") == len(blocks) > 12


def test_a_group_whose_cells_are_settled_needs_no_baseline() -> None:
    def nature(planned: PlannedTrial) -> float:
        same = planned.cell.placement is Placement.SAME_HOST
        return 1.0 if same or planned.cell.driver == "host" else scatter(planned)

    scatter = noisy({"bridge": 0.08})
    _, blocks, _ = follow(plan_for(names=("bridge",), placements=BOTH), nature)
    assert len(blocks) > 12
    last = {planned.cell.placement for planned in blocks[-1]}
    assert last == {Placement.CROSS_HOST}


def test_it_is_the_width_that_counts_and_not_the_difference() -> None:
    """However great the difference, the blocks are the same: all values of a driver are scaled."""
    counts = [
        len(follow(plan_for(), noisy({"overlay": 0.06}, factor))[1]) for factor in (1.0, 0.2, 7.0)
    ]
    assert counts[0] == counts[1] == counts[2] > 6


def test_the_budget_ends_a_run_that_is_too_noisy_and_names_the_widest() -> None:
    plan = plan_for(budget=300)
    rule, blocks, spent = follow(plan, noisy({"bridge": 0.4, "overlay": 0.2}))
    assert 6 < len(blocks) < plan.blocks
    assert spent + TEARDOWN <= 300 < spent + TEARDOWN + 15
    told = rule.reason(len(blocks))
    assert told.startswith(f"the budget of 5 min ended after {len(blocks)} blocks; not yet")
    assert told.index("bridge/published-host") < told.index("overlay/direct")
    assert "throughput ±" in told


def test_a_block_that_would_not_end_in_time_is_not_begun() -> None:
    rule = rule_for(plan_for(budget=300))
    due = rule.due(0)
    ahead = 3 * (4 + 1 + 0.4)
    assert rule.fits(due, 300 - TEARDOWN - ahead - 0.1)
    assert not rule.fits(due, 300 - TEARDOWN - ahead + 0.1)
    for planned in due:
        rule.ended(trial_of(planned, 1.0), 9.0)
    assert rule.fits(rule.due(1), 300 - TEARDOWN - 27)
    assert not rule.fits(rule.due(1), 300 - TEARDOWN - 26)
    # A long trial is not held against its cell for ever.
    for block in (1, 2, 3):
        for planned in rule.due(block):
            rule.ended(trial_of(planned, 1.0), 2.0)
    assert rule.fits(rule.due(4), 300 - TEARDOWN - 6)


@pytest.mark.parametrize("how", [Status.FAILED, Status.SKIPPED])
def test_a_cell_that_never_works_rests_and_keeps_nothing_going(how: Status) -> None:
    def nature(planned: PlannedTrial) -> float | Status:
        return how if planned.cell.driver == "overlay" else 1.0

    rule, blocks, _ = follow(plan_for(), nature)
    assert len(blocks) == 6
    told = rule.reason(6)
    assert told == "every cell but 1 that could not be measured within ±5 % after 6 blocks"


def test_where_no_cell_works_the_run_ends_and_says_so() -> None:
    rule, blocks, _ = follow(plan_for(), lambda _: Status.FAILED)
    assert len(blocks) == 6
    assert rule.reason(6) == "no cell could be measured after 6 blocks"


def test_where_no_cell_works_any_more_it_is_told_from_where_none_ever_did() -> None:
    rule, blocks, _ = follow(plan_for(), lambda one: 1.0 if one.block < 2 else Status.FAILED)
    assert rule.reason(len(blocks)) == "no cell could be measured any more after 8 blocks"


def test_a_cell_that_fails_now_and_then_is_measured_until_it_has_its_pairs() -> None:
    def nature(planned: PlannedTrial) -> float | Status:
        odd = planned.cell.driver == "overlay" and planned.block % 2
        return Status.FAILED if odd else 1.0

    _, blocks, _ = follow(plan_for(), nature)
    assert of_driver(blocks, "overlay") == 11
    assert of_driver(blocks, "bridge") == 6


def test_a_baseline_that_fails_gives_no_pair() -> None:
    def nature(planned: PlannedTrial) -> float | Status:
        return Status.FAILED if planned.cell.driver == "host" and planned.block < 3 else 1.0

    rule, blocks, _ = follow(plan_for(), nature)
    assert len(blocks) == 9
    assert {width.pairs for found in rule.widths.values() for width in found} == {6}


def test_a_zero_is_no_value_and_its_block_gives_no_pair() -> None:
    def nature(planned: PlannedTrial) -> float:
        return 0.0 if planned.cell.driver == "overlay" and planned.block == 2 else 1.0

    rule, blocks, _ = follow(plan_for(), nature)
    assert of_driver(blocks, "bridge") == 6
    assert of_driver(blocks, "overlay") == 7
    assert {width.pairs for found in rule.widths.values() for width in found} == {6}


def test_a_metric_without_a_ratio_keeps_nothing_going() -> None:
    """Where a workload leads with no metric all count, and of some zeros are data."""
    plan = plan_for()
    rule = Rule(plan, {"iperf3-tcp": (Metric("drops", "packets", Better.LOWER, "Drops"),)})
    for block in range(6):
        for planned in rule.due(block):
            samples = (Sample("drops", float(block != 2)),)
            rule.ended(replace(trial_of(planned, 1.0), samples=samples), 5.0)
        rule.judge()
    assert len(rule.settled) == 2
    assert {(w.share, w.formed) for found in rule.widths.values() for w in found} == {(None, False)}


def test_a_metric_that_is_never_there_keeps_nothing_going_but_one_that_is_rare_does() -> None:
    def settled_without(kept: Callable[[int], bool]) -> int:
        rule = rule_for(plan_for(names=("overlay",), tools=("http-echo",)))
        for block in range(20):
            for planned in rule.due(block):
                trial = trial_of(planned, 1.0)
                samples = [
                    one for one in trial.samples if one.metric != "latency_p99" or kept(block)
                ]
                rule.ended(replace(trial, samples=tuple(samples)), 5.0)
            rule.judge()
            if rule.settled:
                return block + 1
        return 0

    assert settled_without(lambda _: True) == settled_without(lambda _: False) == 6
    assert settled_without(lambda block: block % 2 == 0) == 11


def test_every_headline_metric_has_to_be_within_the_target() -> None:
    """One of several is wide: the cell goes on, and it is the one that is named."""
    plan = plan_for(names=("overlay",), tools=("http-echo",), budget=400)
    draw = np.random.default_rng(1)

    rule = rule_for(plan)
    for block in range(8):
        for planned in rule.due(block):
            trial = trial_of(planned, 1.0)
            if planned.cell.driver == "overlay":
                wide = Sample("latency_p99", math.exp(draw.normal(0, 0.5)))
                others = [one for one in trial.samples if one.metric != "latency_p99"]
                trial = replace(trial, samples=(*others, wide))
            rule.ended(trial, 5.0)
        rule.judge()
    assert not rule.settled
    assert "(latency_p99 ±" in rule.reason(8)


def test_without_a_target_the_budget_is_used_up() -> None:
    plan = plan_for(target=None, budget=300)
    rule, blocks, spent = follow(plan, noisy({}))
    assert 300 - TEARDOWN - 15 < spent <= 300 - TEARDOWN
    assert {len(block) for block in blocks} == {3}
    assert rule.reason(len(blocks)) == f"the budget of 5 min ended after {len(blocks)} blocks"


def test_a_fixed_number_of_blocks_knows_neither_rest_nor_hurry() -> None:
    plan = make_plan(
        ["a", "b"],
        drivers.chosen(()),
        workloads.chosen(()),
        BOTH,
        blocks=8,
        duration=1,
        warmup=0,
        seed=1,
    )
    rule, blocks, _ = follow(plan, noisy({}), seconds=1e6)
    assert [len(block) for block in blocks] == [len(plan.cells)] * 8
    assert rule.reason(8) == ""


def test_an_aa_cell_in_the_background_does_not_keep_the_run_going() -> None:
    wild = noisy({"host": 0.3})

    def nature(planned: PlannedTrial) -> float:
        return wild(planned) if planned.cell.aa else 1.0

    _, blocks, _ = follow(plan_for(aa=None), nature)
    assert len(blocks) == of_driver(blocks, "host", aa=1) == 6
    _, asked, _ = follow(plan_for(aa=1, wait_for_aa=True, budget=600), nature)
    assert len(asked) > 20
    assert {planned.cell.driver for planned in asked[-1]} == {"host"}


def test_an_aa_cell_in_the_background_that_is_still_wide_is_not_said_to_be_narrow() -> None:
    wild = noisy({"host": 0.3})
    rule, _, _ = follow(plan_for(aa=None), lambda one: wild(one) if one.cell.aa else 1.0)
    told = "every cell, the A/A cell in the background aside, within ±5 % after 6 blocks"
    assert rule.reason(6) == told


def test_an_aa_cell_that_is_all_there_is_is_settled() -> None:
    plan = plan_for(names=("host",), aa=None)
    rule, blocks, _ = follow(plan, noisy({"host": 0.03}))
    assert len(blocks) > 6
    assert {cell.aa for cell in rule.settled} == {1}


def test_a_baseline_beside_which_nothing_is_measured_rests_after_the_fewest_blocks() -> None:
    plan = plan_for(names=("host",), placements=BOTH, aa=None)
    _, blocks, _ = follow(plan, noisy({"host": 0.05}))
    same = [p for block in blocks for p in block if p.cell.placement is Placement.SAME_HOST]
    assert len(same) == 6 < len(blocks)


natures = st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.5])


@settings(max_examples=30, deadline=None)
@given(
    hosts=st.integers(2, 4),
    noise=st.dictionaries(st.sampled_from(["host", "bridge", "overlay", "macvlan"]), natures),
    broken=st.floats(0, 1),
    target=st.one_of(st.none(), st.floats(0.01, 0.5)),
    min_blocks=st.integers(6, 9),
    aa=st.sampled_from([None, 0, 1]),
    seconds=st.floats(0.5, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_holds_of_every_run(
    hosts: int,
    noise: dict[str, float],
    broken: float,
    target: float | None,
    min_blocks: int,
    aa: int | None,
    seconds: float,
    seed: int,
) -> None:
    plan = plan_for(
        names=("bridge", "overlay", "macvlan"),
        placements=BOTH,
        hosts=hosts,
        target=target,
        min_blocks=min_blocks,
        budget=900,
        aa=aa,
        wait_for_aa=aa == 1,
    )
    draw = np.random.default_rng(seed)
    lucky: dict[Cell, bool] = {cell: draw.random() >= broken for cell in plan.cells}
    measured = noisy(noise)
    came: dict[tuple[Cell, int], float] = {}

    def nature(planned: PlannedTrial) -> float | Status:
        if not lucky[planned.cell]:
            return Status.FAILED
        came[planned.cell, planned.block] = found = measured(planned)
        return found

    rule, blocks, spent = follow(plan, nature, seconds=seconds)
    stopping = plan.stopping
    assert stopping is not None

    # The budget is kept, whatever the trials take.
    assert spent + TEARDOWN <= stopping.budget
    # Every block has the baseline of each of its cells; whoever rests never comes back.
    left: set[Cell] = set()
    for block in blocks:
        cells = {planned.cell for planned in block}
        assert {(c.placement, c.workload) for c in cells if c.driver == "host" and not c.aa} == {
            (c.placement, c.workload) for c in cells
        }
        assert not cells & left
        left |= set(plan.cells) - cells
    # What is called settled is so by the estimate itself, from no fewer pairs than asked for.
    for cell in rule.settled:
        assert target is not None
        base = rule.baselines[cell.workload, cell.placement]
        both = [b for b in range(len(blocks)) if (cell, b) in came and (base, b) in came]
        assert len(both) >= min_blocks
        ratio, interval = paired_ratio(
            np.array([came[cell, b] for b in both]),
            np.array([came[base, b] for b in both]),
            np.array(both) % len(pairs(plan)),
        )
        assert ratio is not None
        assert interval is not None
        assert half_width(ratio, interval) <= target
    # A run ends early only when nobody waits for more: each cell is settled or given up.
    if len(blocks) < plan.blocks and not rule.due(len(blocks)):
        for cell in plan.cells:
            done = cell in rule.settled | rule.given_up
            assert done or (cell.driver == "host" and not (cell.aa and aa == 1))
    # Nobody is given up who gave a pair in the last blocks, and a cell that never works always is.
    for cell in rule.given_up:
        assert not lucky[cell] or not lucky[rule.baselines[cell.workload, cell.placement]]
    if len(blocks) >= min_blocks:
        assert {c for c in rule.followed if not lucky[c]} <= rule.given_up
    assert rule.reason(len(blocks))
