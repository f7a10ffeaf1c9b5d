"""What netbench-http-open says of an open loop, read strictly. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from bench.errors import ParseError
from bench.workloads._h2load import LONGEST_US
from bench.workloads.http_echo import percentile

# More than this share of one CPU, and the generator is what is measured.
FULL = 0.95
# A generator whose typical request leaves later than this share of the typical latency has lost
# its schedule; one whose requests mostly found no free connection has a path that does not keep up.
LATE = 0.5
# The share of the requests that may be without any answer when the last of them is given up.
MISSING = 0.01
QUEUED = 0.5

_HEAD = re.compile(
    rb"requests (\d{1,15}) sent (\d{1,15}) answered (\d{1,15}) errors (\d{1,15}) "
    rb"waited (\d{1,15}) seconds (\d{1,9}) rate (\d{1,12}\.\d{6})\n"
    rb"whole (\d{1,15})\nbusy (\d{1,6}\.\d{4})\n"
)
_ROWS = re.compile(rb"(?:(?:late|latency) \d{1,10} \d{1,10}\n)*")


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each of some times occurred: microseconds, ascending."""

    counts: NDArray[np.int64]
    values: NDArray[np.int64]

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def percentile(self, at: float) -> float:
        """The nearest-rank percentile in seconds: the smallest value with at least ``at`` per cent
        at or below."""
        return percentile(self.counts, self.values, at) / 1e6

    def encoded(self) -> str:
        """As an HdrHistogram of microseconds, three significant digits."""
        histogram = HdrHistogram(1, LONGEST_US, 3)
        for count, value in zip(self.counts.tolist(), self.values.tolist(), strict=True):
            histogram.record_value(max(1, value), count)
        return str(histogram.encode().decode("ascii"))


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """One open loop: of ``due`` requests in ``seconds`` at ``rate`` a second, how many were
    answered as they should and how many were not. ``whole`` counts the good answers of the warm-up
    too. ``late`` is how long after they were due requests left that found a free connection, and
    ``latency`` how long after that their answers were there."""

    due: int
    answered: int
    errors: int
    waited: int
    seconds: int
    rate: float
    whole: int
    late: Counts
    latency: Counts


def read(text: bytes, *, punctual: bool = True) -> OpenLoop:
    """What ``text`` says. Raises ParseError where it is not the whole output of an open loop, where
    the path did not keep up with it, and where the generator was not ``punctual`` and had to be:
    beside a load it waits for its CPU as every neighbour does."""
    head = _HEAD.match(text)
    if head is None or _ROWS.fullmatch(text, head.end()) is None:
        said = text.decode(errors="replace").strip()[-200:]
        raise ParseError(f"netbench-http-open left no whole report: {said!r}")
    due, sent, answered, errors, waited, seconds = (int(head[place]) for place in range(1, 7))
    rate, whole, busy = float(head[7]), int(head[8]), float(head[9])
    found = OpenLoop(
        due,
        answered,
        errors,
        waited,
        seconds,
        rate,
        whole,
        _counts(text[head.end() :], b"late"),
        _counts(text[head.end() :], b"latency"),
    )
    if (found.latency.total, found.late.total) != (answered, sent - waited) or not (
        seconds > 0 and answered <= whole and answered + errors <= sent <= due
    ):
        raise ParseError(
            f"netbench-http-open counted {answered} answers of {sent} requests but listed "
            f"{found.latency.total} of {found.late.total + waited}"
        )
    _require_answers(found, sent, busy)
    if punctual:
        _require_schedule(found)
    return found


def _require_answers(found: OpenLoop, sent: int, busy: float) -> None:
    if found.answered == 0:
        raise ParseError(f"none of {found.due} requests was answered well")
    missing = found.due - found.answered - found.errors
    if missing > MISSING * found.due and found.waited <= QUEUED * found.due:
        raise ParseError(
            f"{missing} of {found.due} requests were never answered: the server or the path to it "
            "stopped answering"
        )
    if busy > FULL:
        raise ParseError(
            f"the load generator was at its own limit: {found.rate:.0f} requests/s took {busy:.0%} "
            "of a CPU"
        )
    if sent < found.due or found.waited > QUEUED * found.due:
        raise ParseError(
            f"the server, or the path to it, did not keep up with {found.rate:.0f} requests/s: "
            f"{found.due - sent + found.waited} of {found.due} found every connection waiting for "
            "an answer"
        )


def _require_schedule(found: OpenLoop) -> None:
    late, typical = found.late.percentile(50.0), found.latency.percentile(50.0)
    if late > LATE * typical:
        raise ParseError(
            f"the load generator did not keep its schedule: half of its requests left more than "
            f"{late * 1e6:.0f} us late, and half of the answers took {typical * 1e6:.0f} us"
        )


def _counts(text: bytes, word: bytes) -> Counts:
    found: dict[int, int] = {}
    for line in text.splitlines():
        kind, count, value = line.split()
        if kind == word:
            if int(count) == 0 or int(value) > LONGEST_US or int(value) in found:
                raise ParseError(f"netbench-http-open has the line {line.decode()!r}")
            found[int(value)] = int(count)
    keys = sorted(found)
    return Counts(np.array([found[key] for key in keys], np.int64), np.array(keys, np.int64))
