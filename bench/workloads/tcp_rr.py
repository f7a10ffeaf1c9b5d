"""TCP transactions: a request and its response, one after the other, on one connection."""

from __future__ import annotations

from bench.model import Better, Metric
from bench.workloads._netperf import LATENCIES, Netperf, cost

RATE = Metric("transactions", "1/s", Better.HIGHER, "transactions", headline=True)


class TcpRr(Netperf):
    name = "tcp-rr"
    title = "TCP transactions on one connection (netperf TCP_RR)"
    test = "TCP_RR"
    noun = "a response"
    rate = RATE
    cost = cost(RATE, "cpu_per_ktransaction", "CPU time per 1,000 transactions")
    metrics = (RATE, *LATENCIES.values(), cost.metric)


WORKLOAD = TcpRr()
