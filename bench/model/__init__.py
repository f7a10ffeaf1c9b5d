"""The nouns of netbench, as frozen dataclasses.

Units are SI and spelt in the metric: bits per second, seconds, counts. Nothing here does anything:
drivers and workloads describe, the runner acts, analysis reads what was stored.
"""

from bench.model.nouns import (
    Access,
    Better,
    Cell,
    Host,
    HostPair,
    Inventory,
    Metric,
    Placement,
    Plan,
    PlannedTrial,
    Status,
    Stopping,
)
from bench.model.run import (
    Checkout,
    HostFacts,
    ImageFacts,
    PathFacts,
    RunEnd,
    RunInfo,
    UnderlayPath,
)
from bench.model.trial import (
    CoreUse,
    EndUse,
    Interval,
    Measurement,
    Passage,
    Sample,
    Trial,
)

__all__ = [
    "Access",
    "Better",
    "Cell",
    "Checkout",
    "CoreUse",
    "EndUse",
    "Host",
    "HostFacts",
    "HostPair",
    "ImageFacts",
    "Interval",
    "Inventory",
    "Measurement",
    "Metric",
    "Passage",
    "PathFacts",
    "Placement",
    "Plan",
    "PlannedTrial",
    "RunEnd",
    "RunInfo",
    "Sample",
    "Status",
    "Stopping",
    "Trial",
    "UnderlayPath",
]
