"""Who stands beside a run on its hosts: slows chosen trials down by a known share, and measures by
hand in the same containers.

A run tells its watcher when a trial starts and when it has ended; that is all this needs. The hosts
are reached over connections of its own, with the engine's ordinary command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import workloads
from bench.inventory import load_inventory
from bench.model import Cell, Plan, PlannedTrial, Status, Trial
from bench.remote.api import Completed, Machine
from bench.remote.fleet import Fleet, connect
from bench.watch import Standing

# The scheduler's period for CPU limits, in microseconds: a tenth of Docker's own, so that a limit
# takes a little often instead of much at once.
PERIOD = 10_000
UNLIMITED = 1.0


@dataclass(frozen=True, slots=True)
class ByHand:
    """One trial's value by netbench and the same tool's value by hand, beside it in one block."""

    workload: str
    block: int
    pair: str
    netbench: float
    hand: float


@dataclass
class Bystander:
    """Watches a run on ``inventory``.

    ``limits`` says for a workload and the number of an A/A copy which share of one CPU the client's
    container may use in that copy's trials. ``by_hand`` is the copy beside which the tools are
    started by hand as well: before it in even blocks, after it in odd ones; 0 for none.
    """

    inventory: Path
    limits: Mapping[tuple[str, int], float]
    by_hand: int = 0
    say: Callable[[str], None] = print
    measured: list[ByHand] = field(default_factory=list)

    def __enter__(self) -> Self:
        known = load_inventory(self.inventory)
        self.port_base = known.port_base
        self.address = {host.name: host.address for host in known.hosts}
        self.fleet: Fleet = connect(known.hosts)
        self.clients: dict[str, str] = {}
        self.limited: dict[str, float] = {}
        self.hand: float | None = None
        self.plan: Plan | None = None
        self.block = -1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.fleet.close()

    def stage(self, text: str) -> None:
        self.say(text)

    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.clients = self.fleet.each(_client_container)

    def standing(self, standing: Standing) -> None:
        """Nothing to say: its runs have a fixed number of blocks."""

    def starting(self, planned: PlannedTrial) -> None:
        if planned.block != self.block:
            self.block = planned.block
            self.say(f"block {planned.block + 1} of {self.plan.blocks if self.plan else 0}")
        self.limit(planned.pair.client, self.limits.get(_treated(planned.cell), UNLIMITED))
        if planned.cell.aa and planned.cell.aa == self.by_hand and planned.block % 2 == 0:
            self.hand = self.by_hands(planned)

    def ended(self, trial: Trial) -> None:
        if not trial.cell.aa or trial.cell.aa != self.by_hand:
            return
        planned = PlannedTrial(trial.sequence, trial.block, trial.pair, trial.cell)
        hand = self.hand if trial.block % 2 == 0 else self.by_hands(planned)
        self.hand = None
        if trial.status is Status.COMPLETED and hand is not None:
            pair = f"{trial.pair.client} {trial.pair.server}"
            value = trial.samples[0].value
            self.measured.append(ByHand(trial.cell.workload, trial.block, pair, value, hand))

    def limit(self, host: str, share: float) -> None:
        """Let the client's container on ``host`` use ``share`` of one CPU; 1 for no limit."""
        if self.limited.get(host, UNLIMITED) == share:
            return
        quota = "-1" if share == UNLIMITED else str(round(PERIOD * share))
        _docker(
            self.fleet[host],
            *("update", "--cpu-period", str(PERIOD), "--cpu-quota", quota, self.clients[host]),
        )
        self.limited[host] = share

    def by_hands(self, planned: PlannedTrial) -> float | None:
        """What the tool itself prints when it is started with ``docker exec`` as one would."""
        cell, client = planned.cell, planned.pair.client
        assert self.plan is not None
        port = str(self.port_base + workloads.known()[cell.workload].port)
        address, seconds = self.address[planned.pair.server], str(self.plan.duration)
        warmup = str(self.plan.warmup)
        inside = ("exec", self.clients[client])
        if cell.workload == "iperf3-tcp":
            done = _docker(
                self.fleet[client],
                *(*inside, "iperf3", "-J", "-c", address, "-p", port, "-t", seconds, "-O", warmup),
            )
            return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])
        done = _docker(
            self.fleet[client],
            *(*inside, "h2load", "--h1", "-t", "1", "-c", "16", "-D", seconds),
            *(f"--warm-up-time={warmup}", "-d", "/usr/share/netbench/body-1k"),
            f"http://{address}:{port}/echo",
        )
        found = re.search(rb"^finished in .*?, ([0-9.]+) req/s", done.stdout, re.MULTILINE)
        return None if found is None else float(found[1])


def _treated(cell: Cell) -> tuple[str, int]:
    return cell.workload, cell.aa


def _client_container(machine: Machine) -> str:
    found = _docker(machine, "ps", "--quiet", "--filter", "name=-host-client-").stdout.split()
    assert len(found) == 1, f"{machine.host.name}: {len(found)} client containers"
    return found[0].decode()


def _docker(machine: Machine, *words: str) -> Completed:
    done = machine.shell.run(("docker", *words), timeout=60.0)
    if done.exit_code:
        raise RuntimeError(f"{machine.host.name}: docker {words[0]}: {done.stderr.decode()}")
    return done
