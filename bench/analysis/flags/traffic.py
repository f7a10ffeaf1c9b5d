"""How many bytes the hosts had moved between each other before a block began."""

from __future__ import annotations

import numpy as np

from bench.analysis.ends import passages
from bench.estimate import Floats
from bench.model import Placement, Status
from bench.store import StoredRun
from bench.units import human

# Whose counters show what passed between hosts, as paths call it.
DATA_INTERFACE = "data interface"
_MOST = 3


def payloads(run: StoredRun) -> Floats:
    """The bytes of every trial, warm-up included: its rate times its tool's time.

    Where a workload has no rate in bit/s, what its hosts' data interfaces counted; 0 where these
    are not known either.
    """
    trials, whats, counts = passages(run)
    counted = np.zeros(len(run.results))
    data = np.array([where == DATA_INTERFACE for _, where, _ in run.readings.whats], dtype=bool)
    across = data[whats]
    np.maximum.at(counted, trials[across], counts[across])
    rates = {
        workload: {metric.name for metric in metrics if metric.unit == "bit/s" and metric.headline}
        for workload, metrics in run.info.metrics.items()
    }
    for place, one in enumerate(run.results):
        for sample in one.samples:
            if sample.metric in rates.get(one.cell.workload, ()):
                counted[place] = sample.value * run.info.worked(one.cell.workload) / 8
    return counted


def moved(run: StoredRun, block: int) -> dict[str, float]:
    """By host, the bytes of all its trials with another host before ``block``."""
    found: dict[str, float] = {}
    for one, count in zip(run.results, payloads(run).tolist(), strict=True):
        across = one.cell.placement is Placement.CROSS_HOST
        if one.block < block and across and one.status is Status.COMPLETED:
            for host in (one.pair.client, one.pair.server):
                found[host] = found.get(host, 0.0) + count
    return found


def moved_before(run: StoredRun, block: int) -> str:
    """The same in words, the busiest hosts first: what a token bucket may have counted."""
    ordered = sorted(moved(run, block).items(), key=lambda one: -one[1])
    if not ordered or ordered[0][1] <= 0:
        return ""
    said = ", ".join(f"{host} {human(count, 'B')}" for host, count in ordered[:_MOST])
    return f"; moved across hosts by then: {said}{', …' if len(ordered) > _MOST else ''}"
