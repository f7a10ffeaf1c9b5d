"""TCP transactions: a request and its response, one after the other, on one connection."""

from __future__ import annotations

from bench.workloads._netperf import Netperf, cost, metrics, rate


class TcpRr(Netperf):
    name = "tcp-rr"
    title = "TCP transactions on one connection (netperf TCP_RR)"
    test = "TCP_RR"
    noun = "a response"
    rate = rate("transactions", "TCP transactions")
    cost = cost(rate)
    metrics = metrics(rate, cost, "TCP transaction")


WORKLOAD = TcpRr()
