"""TCP connections: each is made, used for one request and its response, and closed."""

from __future__ import annotations

from bench.workloads._netperf import Netperf, cost, metrics, rate
from bench.workloads.base import Span

# The server of this test waits for another connection until its own alarm, this many seconds after
# the test should have ended (netperf's PAD_TIME).
NOTICES_AFTER = 4


class TcpCrr(Netperf):
    name = "tcp-crr"
    title = "a TCP connection for every transaction (netperf TCP_CRR)"
    test = "TCP_CRR"
    noun = "a connection"
    rate = rate("connections", "TCP connections")
    cost = cost(rate)
    metrics = metrics(rate, cost, "TCP connection")

    def span(self, duration: int, warmup: int) -> Span:
        return Span(duration, warmup, idle=NOTICES_AFTER)


WORKLOAD = TcpCrr()
