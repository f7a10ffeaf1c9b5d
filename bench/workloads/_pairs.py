"""What several client-server pairs measured at once, made into one measurement. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.errors import ParseError
from bench.model import Measurement, Sample

if TYPE_CHECKING:
    from bench.workloads.base import ToolOutput, Workload

# What is told of several pairs besides their sum: the rates of two of them.
SLOWEST, FASTEST = "slowest_pair", "fastest_pair"


def together(workload: Workload, outputs: Sequence[ToolOutput]) -> Measurement:
    """The measurement of all pairs, whose clients have an output each; that of a single one as is.

    Of several, rates and counts are summed and times those of the slowest pair. The payload is the
    first pair's: its interfaces are the ones that are watched. Raises ParseError where any of them
    is not a full success.
    """
    each = [_of_pair(workload, number, outputs) for number in range(len(outputs))]
    first, *others = each
    if not others:
        return first
    units = {metric.name: metric.unit for metric in workload.metrics}
    values = _by_metric(each)
    rates = values[workload.cost.rate]
    return Measurement(
        samples=(
            *(
                Sample(name, max(found) if units[name] == "s" else math.fsum(found))
                for name, found in values.items()
            ),
            Sample(SLOWEST, min(rates)),
            Sample(FASTEST, max(rates)),
        ),
        intervals=tuple(
            replace(rows[0], value=math.fsum(row.value for row in rows))
            for rows in zip(*(found.intervals for found in each), strict=False)
        ),
        payload=first.payload,
    )


def _of_pair(workload: Workload, number: int, outputs: Sequence[ToolOutput]) -> Measurement:
    try:
        return workload.parse(outputs[number])
    except ParseError as fault:
        if len(outputs) == 1:
            raise
        raise ParseError(f"pair {number + 1} of {len(outputs)}: {fault}") from None


def _by_metric(each: Sequence[Measurement]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for measured in each:
        for sample in measured.samples:
            found.setdefault(sample.metric, []).append(sample.value)
    return found
