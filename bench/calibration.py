"""What treatments reach before the first block: workloads with a rate of their own take it from the
slowest, so that all treatments are asked for the same."""

from __future__ import annotations

from dataclasses import replace

from bench import workloads
from bench.errors import HostUnreachable, NetbenchError
from bench.model import PlannedTrial, Reached
from bench.plan import calibrations
from bench.trials import Trials, path_of


def calibrate(trials: Trials) -> tuple[Reached, ...]:
    """Execute once, on every path that will be measured at a rate, what that rate follows from.

    Paths that do not work are left out. Raises HostUnreachable where a host is lost.
    """
    found = []
    for planned in calibrations(trials.plan):
        cell = planned.cell
        skipped = trials.deployment.why_not(cell.driver, cell.access, cell.placement)
        if not skipped and _stands(trials, planned):
            trials.note(f"finding the rate: {cell}")
            found.append(_reached(trials, planned))
    return tuple(found)


def _stands(trials: Trials, planned: PlannedTrial) -> bool:
    """Whether the path was found to work, for whichever workload it was tried."""
    path = path_of(planned)
    return all(replace(one, workload=path.workload) != path for one in trials.broken)


def _reached(trials: Trials, planned: PlannedTrial) -> Reached:
    workload = workloads.named(planned.cell.workload)
    raw: tuple[str, ...] = ()
    try:
        trials.made_ready(planned)
        (output,) = trials.executed(planned, workload)
        raw = trials.writer.raw(planned, output)
        values = {one.metric: one.value for one in workload.parse(output).samples}
    except HostUnreachable:
        raise
    except NetbenchError as fault:
        trials.recover(planned)
        return Reached(planned.cell, planned.pair, None, str(fault), raw)
    headline = next(metric for metric in workload.metrics if metric.headline)
    value = values[headline.name]
    return Reached(planned.cell, planned.pair, value, "", raw, headline.unit)
