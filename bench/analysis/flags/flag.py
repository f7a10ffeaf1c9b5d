"""What a flag is, and when one is raised: every threshold, with its reason in docs/flags.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a flag means for the number that it is about."""

    # The number is not what it claims to be: do not use it.
    ALARM = "alarm"
    # The number is right, and says something else than one would think.
    WARNING = "warning"
    # Good to know; ratios and intervals bear it.
    NOTE = "note"


class Kind(StrEnum):
    """What was noticed."""

    ZERO = "zero"
    PATH_NOT_TAKEN = "path-not-taken"
    LINE_RATE = "above-line-rate"
    BEATS_HOST = "beats-host"
    CORE_FULL = "core-full"
    STEP = "step"
    TREND = "trend"
    BIMODAL = "bimodal"
    STEAL = "steal"
    RETRANSMITS = "retransmits"
    DROPS = "drops"
    BASELINE_MOVED = "baseline-moved"
    PRESSURE = "cpu-pressure"
    UNATTESTED = "unattested"


TITLES = {
    Kind.ZERO: "A zero, which is a failure and no value",
    Kind.PATH_NOT_TAKEN: "The packets went another way",
    Kind.LINE_RATE: "Faster than the line",
    Kind.BEATS_HOST: "Better than the host network",
    Kind.CORE_FULL: "A core is full: the number is the CPU's, not the network's",
    Kind.STEP: "A step between two blocks",
    Kind.TREND: "A trend over the blocks",
    Kind.BIMODAL: "Two levels instead of one",
    Kind.STEAL: "CPU time went to other machines (steal)",
    Kind.RETRANSMITS: "Much was sent twice",
    Kind.DROPS: "Packets were dropped on a host",
    Kind.BASELINE_MOVED: "The baseline moved between neighbouring blocks",
    Kind.PRESSURE: "Tasks waited for a CPU",
    Kind.UNATTESTED: "The path could not be attested",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that was noticed: about which cell, host or pair, and the evidence in numbers."""

    kind: Kind
    severity: Severity
    subject: str
    evidence: str

    @property
    def title(self) -> str:
        return TITLES[self.kind]


# Steal, as a share of all CPU time of a host in a trial: where a trial counts as disturbed, in
# which share of the trials that is a flag, and what is one by itself.
STEAL = 0.02
STEAL_OFTEN = 0.10
STEAL_ONCE = 0.10
# A core is full from this share of its time on; a flag where that is so in half of a cell's
# trials: then its median is such a trial's.
FULL = 0.97
FULL_OFTEN = 0.5
# Steps, trends: the chance of one false alarm in a whole report, and the least that is one.
FALSE_ALARM = 0.01
SMALLEST_STEP = 0.10
# Two levels: fewest blocks, how far apart they are at least, the least share of the blocks in one.
FEWEST_TO_SPLIT = 8
SMALLEST_GAP = 0.10
SMALLEST_LEVEL = 0.2
# The baseline from one block to the next of the same hosts.
BASELINE_MOVE = 0.20
# So many such moves at least, and this share of all.
FEWEST_MOVES = 2
MOVES = 0.1
# How much better than the host network calls for an explanation. Less is met by chance: in one
# report in five some treatment that is as good as the host has an interval beyond it.
BEATING = 0.02
# What a measured rate may exceed the line's by: clocks and rounding.
LINE_TOLERANCE = 0.01
# Segments sent again, packets dropped, as a share of those that the payload takes.
RETRANSMITS = 0.01
DROPS = 0.001
# The share of the time in which some task waited for a CPU.
PRESSURE = 0.5
