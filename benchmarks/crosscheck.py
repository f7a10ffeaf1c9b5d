"""Do two tools agree? netperf beside iperf3 and sockperf beside netperf, in the same containers.

    python -m benchmarks.crosscheck -i hosts/lab.yaml --out results/crosscheck [--blocks 12]

A run of netbench across hosts measures TCP with iperf3 and transactions with netperf. Beside each
of its trials, after it in one block and before it in the next, the other tool is started by hand in
the very containers of that trial. Needs an inventory whose hosts let the user run `docker`; prints
a line for each comparison: the median of the ratios inside a block with its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench import drivers, workloads
from bench.estimate import paired_ratio
from bench.inventory import load_inventory
from bench.model import Cell, HostPair, Placement, Plan, PlannedTrial, Status, Trial
from bench.plan import make_plan
from bench.remote.api import Completed, Machine
from bench.remote.fleet import Fleet, connect
from bench.runner import Request, execute
from bench.watch import Standing

DRIVERS = ("host", "overlay")
BULK, TRANSACTIONS = "iperf3-tcp", "tcp-rr:size=64"
# The offset of sockperf's port; 131,072 bytes a write as iperf3 has it.
SOCKPERF, WRITE, SIZE = 95, 131_072, 64
DURATION, WARMUP = 2, 1
# The other tool's value to netbench's: what is compared, and by which tools.
TOLD = {
    BULK: "throughput, netperf to iperf3",
    TRANSACTIONS: "mean round trip, sockperf to netperf",
}
_RECEIVED = re.compile(rb"^REMOTE_RECV_THROUGHPUT=([\d.]+)$", re.MULTILINE)
_LATENCY = re.compile(rb"Summary: Latency is ([\d.]+) usec")


class Beside:
    """Watches the run and starts the other tool beside its trials."""

    def __init__(self, fleet: Fleet, base: int) -> None:
        self.fleet = fleet
        self.base = base
        self.plan: Plan | None = None
        self.other: float | None = None
        self.ratios: dict[tuple[str, str], list[float]] = {}

    def stage(self, text: str) -> None:
        print(text, file=sys.stderr)

    def standing(self, standing: Standing) -> None:
        """Nothing to say: the run has a fixed number of blocks."""

    def begin(self, plan: Plan) -> None:
        self.plan = plan
        for host in plan.hosts:
            for driver in DRIVERS:
                at = self.address(host, driver)
                serve = ("sockperf", "server", "--tcp", "-i", at, "-p", str(self.base + SOCKPERF))
                name = self.container(host, driver, "server")
                _docker(self.fleet[host], "exec", "--detach", name, *serve)

    def starting(self, planned: PlannedTrial) -> None:
        self.other = None
        if planned.block % 2:
            self.other = self.measure(planned.cell, planned.pair)

    def ended(self, trial: Trial) -> None:
        other = self.other if trial.block % 2 else self.measure(trial.cell, trial.pair)
        if trial.status is not Status.COMPLETED or other is None:
            return
        value = trial.samples[0].value
        own = value if trial.cell.workload == BULK else 1.0 / value
        self.ratios.setdefault((trial.cell.workload, trial.cell.driver), []).append(other / own)

    def measure(self, cell: Cell, pair: HostPair) -> float | None:
        """The other tool's bit/s or seconds a round trip; None where it failed."""
        client = self.container(pair.client, cell.driver, "client")
        at = self.address(pair.server, cell.driver)
        if cell.workload == BULK:
            return self.bulk(self.fleet[pair.client], client, at)
        done = _docker(
            self.fleet[pair.client],
            *("exec", client, "sockperf", "ping-pong", "--tcp", "-i", at),
            *("-p", str(self.base + SOCKPERF), f"-m{SIZE}", f"-t{DURATION}"),
        )
        found = _LATENCY.search(done.stdout)
        # sockperf tells half of a round trip.
        return 2e-6 * float(found[1]) if found else None

    def bulk(self, machine: Machine, client: str, at: str) -> float | None:
        netperf = workloads.known()["tcp-rr"]
        port = self.base + netperf.port
        data = self.base + (netperf.data_port or 0)
        done = _docker(
            *(machine, "exec", client, "netbench-netperf", str(WARMUP), str(DURATION)),
            *("TCP_STREAM", "-4", "-H", at, "-p", str(port), "-P", "0", "-f", "m", "--"),
            *("-P", f"0,{data}", "-m", str(WRITE), "-k", "REMOTE_RECV_THROUGHPUT"),
        )
        found = _RECEIVED.search(done.stdout)
        return 1e6 * float(found[1]) if found else None

    def container(self, host: str, driver: str, role: str) -> str:
        found = _docker(
            self.fleet[host], "ps", "--quiet", "--filter", f"name=-{driver}-{role}-"
        ).stdout.split()
        if len(found) != 1:
            raise RuntimeError(f"{host}: {len(found)} {role} containers of {driver}")
        return found[0].decode()

    def address(self, host: str, driver: str) -> str:
        if driver == "host":
            known = self.fleet[host].host
            return known.data_address or known.address
        name = self.container(host, driver, "server")
        every = json.loads(_docker(self.fleet[host], "inspect", name).stdout)[0]
        networks = every["NetworkSettings"]["Networks"]
        return str(next(one["IPAddress"] for key, one in networks.items() if driver in key))

    def lines(self) -> Iterator[str]:
        """What was found, a line of a Markdown table each."""
        for (workload, driver), ratios in sorted(self.ratios.items()):
            values = np.array(ratios)
            ratio, interval = paired_ratio(values, np.ones(values.size), np.zeros(values.size, int))
            spread = float(np.quantile(np.abs(np.log(values / np.median(values))), 0.5))
            shown = f"{ratio:.3f}" if ratio else "-"
            within = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
            yield (
                f"| {TOLD[workload]} | {driver} | {shown}{within} | {np.expm1(spread):.1%} | "
                f"{values.size} |"
            )


def _docker(machine: Machine, *words: str) -> Completed:
    done = machine.shell.run(("docker", *words), timeout=60.0)
    if done.exit_code:
        raise RuntimeError(f"{machine.host.name}: docker {words[0]}: {done.stderr.decode()}")
    return done


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-i", "--inventory", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True, help="a new folder for the run")
    options.add_argument("--blocks", type=int, default=12)
    chosen = options.parse_args()
    known = load_inventory(chosen.inventory)
    plan = make_plan(
        [host.name for host in known.hosts][:2],
        drivers.chosen(DRIVERS),
        workloads.chosen((BULK, TRANSACTIONS)),
        [Placement.CROSS_HOST],
        blocks=chosen.blocks,
        duration=DURATION,
        warmup=WARMUP,
        seed=20_261_123,
        pin="auto",
    )
    request = Request(inventory=known, plan=plan, out=chosen.out, name="run")
    with connect(known.hosts[:2]) as fleet:
        beside = Beside(fleet, known.port_base)
        outcome = execute(request, lambda: connect(known.hosts[:2]), beside)
    if outcome.end.outcome != "finished":
        sys.exit(f"crosscheck: the run ended {outcome.end.outcome}: {outcome.end.message}")
    if len(beside.ratios) < len(DRIVERS) * len(TOLD):
        sys.exit("crosscheck: one of the tools started by hand left nothing to compare")
    print("| compared | driver | ratio (95 %) | one pair is off by (median) | pairs |")
    print("|---|---|---|---|---|")
    print(*beside.lines(), sep="\n")


if __name__ == "__main__":
    main()
