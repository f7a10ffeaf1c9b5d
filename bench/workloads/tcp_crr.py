"""TCP connections: each is made, used for one request and its response, and closed."""

from __future__ import annotations

from bench.model import Better, Metric
from bench.workloads._netperf import LATENCIES, Netperf, cost
from bench.workloads.base import Span

RATE = Metric("connections", "1/s", Better.HIGHER, "TCP connections", headline=True)

# The server of this test waits for another connection until its own alarm, this many seconds after
# the test should have ended (netperf's PAD_TIME).
NOTICES_AFTER = 4


class TcpCrr(Netperf):
    name = "tcp-crr"
    title = "a TCP connection for every transaction (netperf TCP_CRR)"
    test = "TCP_CRR"
    noun = "a connection"
    rate = RATE
    cost = cost(RATE, "cpu_per_kconnection", "CPU time per 1,000 connections")
    metrics = (RATE, *LATENCIES.values(), cost.metric)

    def span(self, duration: int, warmup: int) -> Span:
        return Span(duration, warmup, idle=NOTICES_AFTER)


WORKLOAD = TcpCrr()
