"""Whether netbench's verdicts hold, tried on real engines: writes docs/trust.md.

    .venv/bin/python -m benchmarks.trust [--blocks 120] [--window 12] [--page docs/trust.md]

On a lab of three hosts of its own; needs root. See `make bench-trust`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench import drivers, workloads
from bench.inventory import load_inventory
from bench.model import Placement
from bench.plan import make_plan
from bench.remote.fleet import connect
from bench.runner import Request, execute
from bench.store import StoredRun, load
from benchmarks.trust import judged
from benchmarks.trust.bystander import ByHand, Bystander
from benchmarks.trust.page import Findings, write

NETBENCH = Path(sys.executable).with_name("netbench")
NAMES = ("iperf3-tcp", "http-echo")
# The copies that nothing is done to, and what each of the others is to lose.
UNTOUCHED = (1, 2)
SLOWED = {3: 0.05, 4: 0.10, 5: 0.20}
# The shares of a CPU that are tried to find out what each costs.
TRIED = (0.97, 0.93, 0.88, 0.82, 0.74, 0.65)
BY_HAND = 1
DURATION, WARMUP = 1, 0

Limits = Mapping[tuple[str, int], float]


def measure(
    inventory: Path, out: Path, name: str, *, copies: int, blocks: int, limits: Limits, by_hand: int
) -> tuple[StoredRun, list[ByHand]]:
    """A run of the host network alone, across hosts, with ``copies`` A/A cells."""
    known = load_inventory(inventory)
    plan = make_plan(
        [host.name for host in known.hosts],
        drivers.chosen(("host",)),
        workloads.chosen(NAMES),
        [Placement.CROSS_HOST],
        blocks=blocks,
        duration=DURATION,
        warmup=WARMUP,
        seed=20_261_123,
        aa=copies,
        pin="auto",
    )
    request = Request(inventory=known, plan=plan, out=out, name=name)
    with Bystander(inventory, limits, by_hand, say=_tell) as bystander:
        outcome = execute(request, lambda: connect(known.hosts), bystander)
    if outcome.end.outcome != "finished":
        sys.exit(f"trust: the run ended {outcome.end.outcome}: {outcome.end.message}")
    return load(outcome.path), bystander.measured


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--blocks", type=int, default=120)
    options.add_argument("--pilot", type=int, default=10, help="blocks of the calibration")
    options.add_argument("--window", type=int, default=12, help="blocks that one verdict rests on")
    options.add_argument("--page", type=Path, default=Path("docs/trust.md"))
    chosen = options.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "trust.yaml"
        lab = ("--name", "trust", "--inventory", str(inventory))
        try:
            subprocess.run([NETBENCH, "lab", "up", "--hosts", "3", *lab], check=True)
            tried = {(name, at): share for name in NAMES for at, share in enumerate(TRIED, 1)}
            pilot, _ = measure(
                *(inventory, Path(folder), "pilot"),
                copies=len(TRIED),
                blocks=chosen.pilot,
                limits=tried,
                by_hand=0,
            )
            limits = judged.limits(pilot, tried, SLOWED)
            _tell(f"limits: {limits}")
            run, by_hand = measure(
                *(inventory, Path(folder), "trust"),
                copies=max(SLOWED),
                blocks=chosen.blocks,
                limits=limits,
                by_hand=BY_HAND,
            )
        finally:
            subprocess.run([NETBENCH, "lab", "down", *lab], check=True)
    findings = Findings(
        run=run,
        minutes=(time.monotonic() - begun) / 60,
        window=chosen.window,
        pilot=chosen.pilot,
        alarms=judged.alarms(run, chosen.window, UNTOUCHED),
        found=judged.found(run, chosen.window, SLOWED, limits),
        fidelity=judged.fidelity(by_hand),
    )
    write(findings, chosen.page)
    _tell(f"written: {chosen.page}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
