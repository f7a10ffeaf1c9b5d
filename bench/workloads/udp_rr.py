"""UDP transactions: a datagram and its answer, one after the other.

netperf sends no datagram again: one that is lost is waited for until the end, and fails the trial.
"""

from __future__ import annotations

from bench.workloads._netperf import Netperf, cost, metrics, rate


class UdpRr(Netperf):
    name = "udp-rr"
    title = "UDP transactions (netperf UDP_RR)"
    test = "UDP_RR"
    noun = "a datagram"
    udp = True
    rate = rate("transactions", "UDP transactions")
    cost = cost(rate)
    metrics = metrics(rate, cost, "UDP transaction")


WORKLOAD = UdpRr()
