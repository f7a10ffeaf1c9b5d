"""iperf3's report, read strictly. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.errors import ParseError
from bench.workloads.base import ToolOutput

# A transfer that was cut short says so in no other way than by the time that it took.
SHORTEST_PART = 0.9


def report(output: ToolOutput) -> dict[str, Any]:
    """The JSON object in iperf3's standard output, which warnings may surround."""
    text = output.stdout.decode(errors="replace")
    opening = text.find("{")
    found = None
    if opening >= 0:
        # Whatever cannot be read is said below.
        with suppress(ValueError, RecursionError):
            found = json.JSONDecoder().raw_decode(text, opening)[0]
    if not isinstance(found, dict):
        said = (output.stderr.decode(errors="replace").strip() or text.strip())[-200:]
        raise ParseError(f"iperf3 (exit {output.exit_code}) left no whole report: {said!r}")
    if "error" in found:
        raise ParseError(f"iperf3: {' '.join(str(found['error']).split())[:200]}")
    if output.exit_code != 0:
        raise ParseError(f"iperf3 ended with exit code {output.exit_code}")
    return found


@contextmanager
def reading() -> Iterator[None]:
    """Around what is taken out of a report: what is missing or odd there raises ParseError."""
    try:
        yield
    except KeyError as missing:
        raise ParseError(f"iperf3's report lacks {missing}") from None
    except (AttributeError, TypeError, ValueError, OverflowError) as wrong:
        raise ParseError(f"iperf3's report is not as it should be: {wrong}") from None


def cut_short(report: dict[str, Any], received: dict[str, Any]) -> str:
    """Why what was ``received`` is not of as long as ``report`` says was asked for; empty where it
    is. Raises what `number` does."""
    measured = number(received.get("seconds", 0.0))
    asked = number(report.get("start", {}).get("test_start", {}).get("duration", 0.0))
    if measured >= SHORTEST_PART * asked:
        return ""
    return f"iperf3 measured for {measured:g} s where {asked:g} s were asked for"


def number(value: object) -> float:
    """``value`` as the finite, non-negative number that every figure here is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} where a number should be")
    found = float(value)
    if not math.isfinite(found) or found < 0:
        raise ValueError(f"{found} where a number should be")
    return found
