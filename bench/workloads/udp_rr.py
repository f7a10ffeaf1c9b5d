"""UDP transactions: a datagram and its answer, one after the other.

netperf sends no datagram again: one that is lost is waited for until the end, and fails the trial.
"""

from __future__ import annotations

from bench.workloads._netperf import LATENCIES, Netperf, cost
from bench.workloads.tcp_rr import RATE


class UdpRr(Netperf):
    name = "udp-rr"
    title = "UDP transactions (netperf UDP_RR)"
    test = "UDP_RR"
    noun = "a datagram"
    udp = True
    rate = RATE
    cost = cost(RATE, "cpu_per_ktransaction", "CPU time per 1,000 transactions")
    metrics = (RATE, *LATENCIES.values(), cost.metric)


WORKLOAD = UdpRr()
