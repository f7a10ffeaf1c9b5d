"""What iperf3 says of UDP that it sent, read strictly. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.errors import ParseError
from bench.model import Step
from bench.workloads._iperf3 import cut_short, number, reading


@dataclass(frozen=True, slots=True)
class Sent:
    """One execution of iperf3: a packet's ``length`` and what ``arrived`` in bytes, ``jitter`` in
    seconds, and the rate that was ``asked`` for in bit/s, 0 for no pace."""

    step: Step
    length: float
    arrived: float
    jitter: float
    asked: float


def sent(report: dict[str, Any], *, paced: bool) -> Sent:
    """What ``report`` says. Raises ParseError where it is not the whole report of UDP that was sent
    ``paced``, or without a pace."""
    with reading():
        test = report["start"]["test_start"]
        protocol, length = str(test["protocol"]), number(test["blksize"])
        target = number(test["target_bitrate"])
        left, received = report["end"]["sum_sent"], report["end"]["sum_received"]
        packets, offered = number(left["packets"]), number(left["bits_per_second"])
        arrived, goodput = number(received["bytes"]), number(received["bits_per_second"])
        jitter = number(received["jitter_ms"]) / 1e3
        short = cut_short(report, received)
    if short:
        raise ParseError(short)
    if protocol != "UDP" or min(length, packets, offered) <= 0 or (target > 0) != paced:
        raise ParseError(
            f"iperf3 sent {packets:.0f} packets of {length:.0f} bytes of {protocol:.10} at "
            f"{offered:.0f} bit/s, where {target:.0f} bit/s were asked for (0: no pace)"
        )
    # RFC 2544 counts what was sent against what arrived: iperf3's own count knows nothing of what
    # was lost after the last packet that it saw. More arrive than were sent where some are doubled.
    kept = min(1.0, arrived / length / packets)
    return Sent(Step(offered, goodput, 1 - kept, paced=paced), length, arrived, jitter, target)
