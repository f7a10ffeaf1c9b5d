"""Do two tools agree? netperf beside iperf3 and sockperf beside netperf, in the same containers.

    python -m benchmarks.crosscheck -i hosts/lab.yaml --out results/crosscheck [--blocks 12]

A run of netbench across hosts measures TCP with iperf3 and transactions with netperf. Beside each
of its trials, after it in two blocks and before it in the next two, the other tool is started by
hand in the very containers of that trial. Prints a line for each comparison: the median of the
ratios inside a block with its 95 % interval. With ``--again`` it says so of what is in the folder
already.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench import drivers, workloads
from bench.deployment import Deployment
from bench.errors import NetbenchError
from bench.estimate import paired_ratio
from bench.inventory import load_inventory
from bench.model import Cell, HostPair, Placement, Plan, PlannedTrial, Status, Trial
from bench.plan import make_plan, round_of
from bench.remote.fleet import Fleet, connect
from bench.runner import Request, execute
from bench.watch import Standing

DRIVERS = ("host", "overlay")
BULK, TRANSACTIONS = "iperf3-tcp", "tcp-rr:size=64"
# The offset of sockperf's port; 131,072 bytes a write as iperf3 has it.
SOCKPERF, WRITE, SIZE = 95, 131_072, 64
DURATION, WARMUP = 2, 1
# For a tool to connect, to end and to report (seconds).
GRACE = 10.0
# The other tool's value to netbench's: what is compared, and by which tools.
TOLD = {
    BULK: "throughput, netperf to iperf3",
    TRANSACTIONS: "mean round trip, sockperf to netperf",
}
_RECEIVED = re.compile(rb"^REMOTE_RECV_THROUGHPUT=([\d.]+)$", re.MULTILINE)
_LATENCY = re.compile(rb"Summary: Latency is ([\d.]+) usec")


@dataclass(frozen=True, slots=True)
class Told:
    """What the two tools said beside each other: bit/s, or seconds a round trip."""

    workload: str
    driver: str
    block: int
    own: float
    other: float


class Beside:
    """Watches the run and starts the other tool beside its trials; ``troubles`` has why one was not
    to be compared."""

    def __init__(self) -> None:
        self.stands: tuple[Fleet, Deployment] | None = None
        self.other: float | None = None
        self.told: list[Told] = []
        self.troubles: list[str] = []

    def visit(self, fleet: Fleet, deployment: Deployment, plan: Plan) -> None:
        """Start sockperf's servers, before anything is measured."""
        self.stands = fleet, deployment
        servers = {(one.cell.driver, one.pair.server): one for one in round_of(plan)}
        for planned in servers.values():
            cell, pair = planned.cell, planned.pair
            address, port = deployment.endpoint(cell, pair, SOCKPERF)
            serve = f"sockperf server --tcp -i {address} -p {port} >/dev/null 2>&1 &"
            task = deployment.server(cell, pair)
            fleet[pair.server].engine.exec(task.container_id, ("sh", "-c", serve), timeout=GRACE)

    def stage(self, text: str) -> None:
        print(text, file=sys.stderr)

    def begin(self, plan: Plan) -> None:
        """Nothing to say: all was made ready by `visit`."""

    def standing(self, standing: Standing) -> None:
        """Nothing to say: the run has a fixed number of blocks."""

    def starting(self, planned: PlannedTrial) -> None:
        self.other = None
        if _before(planned.block):
            self.other = self.measure(planned.cell, planned.pair)

    def ended(self, trial: Trial) -> None:
        other = self.other if _before(trial.block) else self.measure(trial.cell, trial.pair)
        if trial.status is not Status.COMPLETED:
            self.troubles.append(f"{trial.cell}, block {trial.block}: {trial.reason}")
        elif other is not None:
            cell, value = trial.cell, trial.samples[0].value
            own = value if cell.workload == BULK else 1 / value
            self.told.append(Told(cell.workload, cell.driver, trial.block, own, other))

    def measure(self, cell: Cell, pair: HostPair) -> float | None:
        """The other tool's bit/s or seconds a round trip; None where it failed."""
        if self.stands is None:
            return None
        fleet, deployment = self.stands
        bulk = cell.workload == BULK
        offset = workloads.known()["tcp-rr"].port if bulk else SOCKPERF
        address, port = deployment.endpoint(cell, pair, offset)
        argv = _netperf(address, port) if bulk else _sockperf(address, port)
        client = deployment.client(cell, pair).container_id
        try:
            done = fleet[pair.client_for(cell.placement)].engine.exec(
                client, argv, timeout=DURATION + WARMUP + GRACE
            )
        except NetbenchError as fault:
            self.troubles.append(f"{argv[0]} beside {cell}: {fault}")
            return None
        found = (_RECEIVED if bulk else _LATENCY).search(done.stdout)
        if done.exit_code or not found:
            said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
            self.troubles.append(f"{argv[0]} beside {cell} ({done.exit_code}): {said[-200:]}")
            return None
        # netperf counts in Mbit/s; sockperf tells half of a round trip in microseconds.
        return float(found[1]) * (1e6 if bulk else 2e-6)


def _before(block: int) -> bool:
    """Whether the other tool goes first in a block: by turns, once for each pair of hosts."""
    return block // 2 % 2 == 1


def _netperf(address: str, port: int) -> tuple[str, ...]:
    known = workloads.known()["tcp-rr"]
    data = port + (known.data_port or 0) - known.port
    return (
        *("netbench-netperf", str(WARMUP), str(DURATION), "TCP_STREAM", "-4", "-H", address),
        *("-p", str(port), "-P", "0", "-f", "m", "--", "-P", f"0,{data}", "-m", str(WRITE)),
        *("-k", "REMOTE_RECV_THROUGHPUT"),
    )


def _sockperf(address: str, port: int) -> tuple[str, ...]:
    return (
        *("sockperf", "ping-pong", "--tcp", "-i", address, "-p", str(port)),
        *(f"-m{SIZE}", f"-t{DURATION}"),
    )


def rows(told: list[Told]) -> Iterator[str]:
    """What was found, as a Markdown table."""
    yield "| compared | driver | medians | ratio (95 %) | one pair is off by (median) | pairs |"
    yield "|---|---|---|---|---|---|"
    for workload, driver in sorted({(one.workload, one.driver) for one in told}):
        some = [one for one in told if (one.workload, one.driver) == (workload, driver)]
        own, other = (np.array([getattr(one, end) for one in some]) for end in ("own", "other"))
        ratio, bounds = paired_ratio(other, own, np.zeros(own.size, int))
        ratios = other / own
        spread = float(np.median(np.abs(np.log(ratios / np.median(ratios)))))
        size, unit = (1e9, "Gbit/s") if workload == BULK else (1e-6, "µs")
        medians = f"{np.median(other) / size:.3g} and {np.median(own) / size:.3g} {unit}"
        within = f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else ""
        shown = f"{ratio:.3f}{within}" if ratio else "-"
        yield (
            f"| {TOLD[workload]} | {driver} | {medians} | {shown} | "
            f"{100 * np.expm1(spread):.0f} % | {own.size} |"
        )


def measure(inventory: Path, out: Path, blocks: int) -> Beside:
    known = load_inventory(inventory)
    plan = make_plan(
        [host.name for host in known.hosts][:2],
        drivers.chosen(DRIVERS),
        workloads.chosen((BULK, TRANSACTIONS)),
        [Placement.CROSS_HOST],
        blocks=blocks,
        duration=DURATION,
        warmup=WARMUP,
        seed=20_261_123,
        pin="auto",
    )
    beside = Beside()
    request = Request(
        inventory=known,
        plan=plan,
        out=out,
        name="run",
        visit=lambda fleet, deployment: beside.visit(fleet, deployment, plan),
    )
    outcome = execute(request, lambda: connect(known.hosts[:2]), beside)
    if outcome.end.outcome != "finished":
        beside.troubles.append(f"the run ended {outcome.end.outcome}: {outcome.end.message}")
    return beside


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-i", "--inventory", type=Path)
    options.add_argument("--out", type=Path, required=True, help="a new folder for the run")
    options.add_argument("--blocks", type=int, default=12)
    options.add_argument("--again", action="store_true", help="what is in --out already")
    chosen = options.parse_args()
    kept = chosen.out / "beside.json"
    if not chosen.again:
        if chosen.inventory is None:
            options.error("-i is missing: give the inventory of the hosts")
        beside = measure(chosen.inventory, chosen.out, chosen.blocks)
        print(*beside.troubles, sep="\n", file=sys.stderr)
        kept.write_text(json.dumps([asdict(one) for one in beside.told], indent=1))
    told = [Told(**one) for one in json.loads(kept.read_text())]
    if len({(one.workload, one.driver) for one in told}) < len(DRIVERS) * len(TOLD):
        sys.exit("crosscheck: one of the tools started by hand left nothing to compare")
    print(*rows(told), sep="\n")


if __name__ == "__main__":
    main()
