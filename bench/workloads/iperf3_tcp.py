"""Bulk TCP: one stream of iperf3 from client to server, counted where it arrives."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from bench.errors import ParseError
from bench.model import Better, Interval, Measurement, Metric, Sample
from bench.workloads.base import Cost, ToolOutput, Workload

THROUGHPUT = Metric("throughput", "bit/s", Better.HIGHER, "TCP throughput", headline=True)
RETRANSMITS = Metric("retransmits", "segments", Better.LOWER, "TCP retransmits")
COST = Cost(
    Metric("cpu_per_gb", "s/GB", Better.LOWER, "CPU time per GB"), THROUGHPUT.name, amount=8e9
)

# The last interval ends when the last byte arrives: a remnant of a few milliseconds with a rate of
# its own is no second of the measurement. Its bytes are in the total all the same.
SHORTEST = 0.1


class Iperf3Tcp(Workload):
    name = "iperf3-tcp"
    title = "TCP bulk transfer (iperf3, one stream)"
    metrics = (THROUGHPUT, RETRANSMITS, COST.metric)
    cost = COST
    port = 1

    def server(self, address: str, port: int) -> tuple[str, ...]:
        return ("iperf3", "--server", "--json", "--bind", address, "--port", str(port))

    def probe(self, address: str, port: int) -> tuple[str, ...]:
        return (
            *("iperf3", "--client", address, "--port", str(port)),
            *("--bytes", "128K", "--connect-timeout", "3000"),
        )

    def client(self, address: str, port: int, duration: int, warmup: int) -> tuple[str, ...]:
        # --get-server-output brings the receiver's own intervals: the sender's count what went
        # into its socket buffer, not what arrived.
        return (
            *("iperf3", "--json", "--client", address, "--port", str(port)),
            *("--time", str(duration), "--omit", str(warmup), "--interval", "1"),
            *("--get-server-output", "--connect-timeout", "3000"),
        )

    def parse(self, output: ToolOutput) -> Measurement:
        """From iperf3's JSON. The payload is what the receiver read from its socket after the
        warm-up; nothing of the application's goes the other way."""
        report = _report(output)
        try:
            received = _number(report["end"]["sum_received"]["bits_per_second"])
            arrived = _number(report["end"]["sum_received"]["bytes"])
            retransmits = _number(report["end"]["sum_sent"]["retransmits"])
            rows = tuple(_intervals(report["server_output_json"]["intervals"]))
        except KeyError as missing:
            raise ParseError(f"iperf3's report lacks {missing}") from None
        except (TypeError, ValueError, OverflowError) as wrong:
            raise ParseError(f"iperf3's report is not as it should be: {wrong}") from None
        if received <= 0 or arrived <= 0:
            raise ParseError(f"iperf3 reports {received} bit/s, {arrived} bytes at the receiver")
        if all(row.warmup for row in rows):
            raise ParseError("iperf3's report has no interval after the warm-up")
        return Measurement(
            samples=(Sample(THROUGHPUT.name, received), Sample(RETRANSMITS.name, retransmits)),
            intervals=rows,
            payload=arrived,
        )


def _report(output: ToolOutput) -> dict[str, Any]:
    """The JSON object in iperf3's standard output, which warnings may surround."""
    text = output.stdout.decode(errors="replace")
    opening = text.find("{")
    report = None
    if opening >= 0:
        # Whatever cannot be read is said below.
        with suppress(ValueError, RecursionError):
            report = json.JSONDecoder().raw_decode(text, opening)[0]
    if not isinstance(report, dict):
        said = (output.stderr.decode(errors="replace").strip() or text.strip())[-200:]
        raise ParseError(f"iperf3 (exit {output.exit_code}) left no whole report: {said!r}")
    if "error" in report:
        raise ParseError(f"iperf3: {' '.join(str(report['error']).split())[:200]}")
    if output.exit_code != 0:
        raise ParseError(f"iperf3 ended with exit code {output.exit_code}")
    return report


def _intervals(rows: list[dict[str, Any]]) -> Iterator[Interval]:
    """The receiver's intervals on one time axis: iperf3 restarts its clock after the warm-up."""
    warm_end = 0.0
    for row in rows:
        total = row["sum"]
        warmup = bool(total["omitted"])
        offset = 0.0 if warmup else warm_end
        start, end = _number(total["start"]) + offset, _number(total["end"]) + offset
        if warmup:
            warm_end = end
        if end - start >= SHORTEST:
            rate = _number(total["bits_per_second"])
            yield Interval(start, end, THROUGHPUT.name, rate, warmup)


def _number(value: object) -> float:
    """``value`` as the finite, non-negative number that every figure here is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} where a number should be")
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{number} where a number should be")
    return number


WORKLOAD = Iperf3Tcp()
