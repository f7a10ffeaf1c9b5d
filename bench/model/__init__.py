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
from bench.model.picture import Crossing, Hop, PathPicture
from bench.model.run import (
    Checkout,
    HostFacts,
    ImageFacts,
    PathFacts,
    Reached,
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
    Step,
    Trial,
)

__all__ = [
    "Access",
    "Better",
    "Cell",
    "Checkout",
    "CoreUse",
    "Crossing",
    "EndUse",
    "Hop",
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
    "PathPicture",
    "Placement",
    "Plan",
    "PlannedTrial",
    "Reached",
    "RunEnd",
    "RunInfo",
    "Sample",
    "Status",
    "Step",
    "Stopping",
    "Trial",
    "UnderlayPath",
]
