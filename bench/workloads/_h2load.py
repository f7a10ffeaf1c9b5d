"""What h2load and its condensed log say, read strictly. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import ParseError

LONGEST_US = 3_600_000_000

_NUMBER = r"(\d{1,15})"
_MODE = re.compile(
    rf"test with (\d{{1,9}}(?:\.\d{{1,6}})?)s of warm-up time and {_NUMBER}s of main duration",
    re.ASCII,
)
_TOTALS = re.compile(
    rf"^requests: \d+ total, \d+ started, {_NUMBER} done, {_NUMBER} succeeded, "
    rf"{_NUMBER} failed, {_NUMBER} errored, {_NUMBER} timeout$",
    re.MULTILINE | re.ASCII,
)
_STATUS = re.compile(
    rf"^status codes: {_NUMBER} 2xx, {_NUMBER} 3xx, {_NUMBER} 4xx, {_NUMBER} 5xx$",
    re.MULTILINE | re.ASCII,
)
_DATA = re.compile(rf"^traffic: .*\({_NUMBER}\) data$", re.MULTILINE | re.ASCII)
# Smallest, largest, mean; 348us, 10.52ms, 1.20s.
_SHOWN = r"(\d{1,9}(?:\.\d{2})?)(us|ms|s) "
_TIME = re.compile(rf"^time for request: +\S+ +{_SHOWN} *{_SHOWN}", re.MULTILINE | re.ASCII)
# A unit in seconds, and the last digit that is printed of it: it may have been cut, not rounded.
_UNITS = {"us": (1e-6, 1.0), "ms": (1e-3, 0.01), "s": (1.0, 0.01)}
_COUNT = re.compile(rf"{_NUMBER} (\d{{1,3}}|-1) {_NUMBER}", re.ASCII)

# h2load logs status 0 for an answer that began in the warm-up and ended after it. It counts that
# answer as a success without looking, and so do we: there is one a connection at most.
_UNSEEN = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """What h2load printed of one stretch.

    ``duration`` and ``warmup`` in seconds, ``data`` is how many bytes of answers' bodies came in
    all that time. ``ok`` counts the answers with a good status that began
    after the warm-up and ``moved`` the redirections; ``mean`` and ``longest`` are the mean and the
    largest latency of all requests in seconds, at most.
    """

    connections: int
    duration: int
    warmup: float
    done: int
    succeeded: int
    failed: int
    ok: int
    moved: int
    mean: float
    longest: float
    data: int

    @property
    def good(self) -> int:
        """Good answers: what h2load takes for a success, but no redirections."""
        return self.succeeded - self.moved

    def work(self, good: int) -> float:
        """Good answers of the whole stretch, where ``good`` came after the warm-up."""
        return good / self.duration * (self.duration + self.warmup)


@dataclass(frozen=True, slots=True)
class Answers:
    """Good answers by their latency (ascending, in microseconds), and what else was logged.

    ``accepted`` counts what h2load takes for a success, redirections included; ``waited`` is the
    sum of all latencies in seconds, failed requests' included.
    """

    counts: NDArray[np.int64]
    latencies: NDArray[np.int64]
    logged: int
    accepted: int
    waited: float

    @property
    def good(self) -> int:
        return int(self.counts.sum())


def summary(text: str, connections: int) -> Summary:
    """What ``text`` says of one execution with so many connections.

    Raises ParseError where it is no summary, or one of a stretch without a good answer.
    """
    mode, totals, status = _MODE.search(text), _TOTALS.search(text), _STATUS.search(text)
    time, data = _TIME.search(text), _DATA.search(text)
    if mode is None or totals is None or status is None or time is None or data is None:
        raise ParseError(f"h2load left no summary: {text.strip()[-200:]!r}")
    done, succeeded, failed, _errored, _timeout = map(int, totals.groups())
    ok, moved, *_refused = map(int, status.groups())
    found = Summary(
        connections=connections,
        duration=int(mode[2]),
        warmup=float(mode[1]),
        done=done,
        succeeded=succeeded,
        failed=failed,
        ok=ok,
        moved=moved,
        mean=_at_most(time[3], time[4]),
        longest=_at_most(time[1], time[2]),
        data=int(data[1]),
    )
    if min(found.ok, found.good, found.duration) <= 0:
        raise ParseError(f"h2load: none of {max(done, failed)} requests was answered well")
    # Each connection may have had one answer under way when the warm-up ended.
    if found.good > found.ok + connections or succeeded > done:
        raise ParseError(
            f"h2load counted {succeeded} successes of {done} requests, but {ok} good answers and "
            f"{moved} redirections, which cannot be"
        )
    return found


def _at_most(shown: str, unit: str) -> float:
    seconds, step = _UNITS[unit]
    return (float(shown) + step) * seconds


def answers(log: bytes) -> Answers:
    """From ``COUNT STATUS MICROSECONDS`` lines. Raises ParseError for any other."""
    found: dict[int, int] = {}
    logged = accepted = waited = 0
    for line in log.decode(errors="replace").splitlines():
        match = _COUNT.fullmatch(line)
        if match is None:
            raise ParseError(f"h2load's log has the line {line[:80]!r}")
        count, status, microseconds = map(int, match.groups())
        if count == 0 or microseconds > LONGEST_US:
            raise ParseError(f"h2load's log has the line {line[:80]!r}, which cannot be")
        logged += count
        waited += count * microseconds
        accepted += count if status == _UNSEEN or 200 <= status < 400 else 0
        if status == _UNSEEN or 200 <= status < 300:
            found[microseconds] = found.get(microseconds, 0) + count
    if logged > np.iinfo(np.int64).max:
        raise ParseError(f"h2load's log counts {logged} requests, which cannot be")
    latencies = np.array(sorted(found), dtype=np.int64)
    counts = np.array([found[key] for key in latencies.tolist()], dtype=np.int64)
    return Answers(counts, latencies, logged, accepted, waited / 1e6)
