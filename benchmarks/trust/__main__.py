"""Whether netbench's verdicts hold, tried on real engines: writes docs/trust.md.

    .venv/bin/python -m benchmarks.trust [--blocks 120] [--window 12] [--page docs/trust.md]
    .venv/bin/python -m benchmarks.trust --fidelity http-echo --beside 120

On a lab of three hosts of its own; needs root. The runs stay in results/trust-...; with --out and
--again the page is written from what is there. With --fidelity just that part is tried, for one
workload, and printed. See `make bench-trust`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
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
from benchmarks.trust.page import Findings, fidelity_row, write

NETBENCH = Path(sys.executable).with_name("netbench")
NAMES = ("iperf3-tcp", "http-echo")
# The copies that nothing is done to, and what each of the others is to lose.
UNTOUCHED = (1, 2)
SLOWED = {3: 0.05, 4: 0.10, 5: 0.20}
# The shares of a CPU that are tried to find out what each costs.
TRIED = (0.97, 0.93, 0.88, 0.82, 0.74, 0.65)
TRIED_LIMITS = {(name, copy): share for name in NAMES for copy, share in enumerate(TRIED, 1)}
BY_HAND = 1
DURATION, WARMUP = 1, 0

Limits = Mapping[tuple[str, int], float]


def measure(
    inventory: Path,
    out: Path,
    name: str,
    *,
    copies: int,
    blocks: int,
    limits: Limits,
    by_hand: int,
    names: Sequence[str] = NAMES,
) -> tuple[StoredRun, list[ByHand]]:
    """A run of the host network alone, across hosts, with ``copies`` A/A cells."""
    known = load_inventory(inventory)
    plan = make_plan(
        [host.name for host in known.hosts],
        drivers.chosen(("host",)),
        workloads.chosen(names),
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
    options.add_argument("--beside", type=int, default=40, help="blocks measured by hand as well")
    options.add_argument("--window", type=int, default=12, help="blocks that one verdict rests on")
    options.add_argument("--out", type=Path, help="a new folder; by default one below results/")
    options.add_argument("--again", action="store_true", help="judge what is in --out already")
    options.add_argument(
        "--fidelity", choices=NAMES, help="only this workload beside itself by hand"
    )
    options.add_argument("--page", type=Path, default=Path("docs/trust.md"))
    chosen = options.parse_args()
    if chosen.again and chosen.out is None:
        options.error("--again needs --out with the folder of an earlier time")
    chosen.out = chosen.out or Path("results") / f"trust-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if not chosen.again:
        if chosen.out.exists():
            options.error(f"{chosen.out} is already there: choose another --out, or add --again")
        chosen.out.mkdir(parents=True)
        if chosen.fidelity:
            _measure_by_hand(chosen)
        else:
            _measure_all(chosen)
    by_hand = judged.fidelity(
        ByHand(**one) for one in json.loads((chosen.out / "by-hand.json").read_text())
    )
    if chosen.fidelity:
        print(*map(fidelity_row, by_hand), sep="\n")
        return
    run = load(chosen.out / "trust")
    calibrated = json.loads((chosen.out / "limits.json").read_text())
    limits = {(name, copy): share for name, copy, share in calibrated["limits"]}
    findings = Findings(
        run=run,
        window=chosen.window,
        pilot=calibrated["blocks"],
        alarms=judged.alarms(run, chosen.window, UNTOUCHED),
        found=judged.found(run, chosen.window, SLOWED, limits),
        fidelity=by_hand,
    )
    write(findings, chosen.page)
    _tell(f"written: {chosen.page}")


def _measure_all(chosen: argparse.Namespace) -> None:
    """The three runs, on a lab of their own; all that they give is in the folder afterwards."""
    out = chosen.out
    with _lab(out) as inventory:
        pilot, _ = measure(
            *(inventory, out, "pilot"),
            copies=len(TRIED),
            blocks=chosen.pilot,
            limits=TRIED_LIMITS,
            by_hand=0,
        )
        limits = judged.limits(pilot, TRIED_LIMITS, SLOWED)
        calibrated = {"blocks": chosen.pilot, "limits": [[*key, limits[key]] for key in limits]}
        (out / "limits.json").write_text(json.dumps(calibrated))
        measure(
            *(inventory, out, "trust"),
            copies=max(SLOWED),
            blocks=chosen.blocks,
            limits=limits,
            by_hand=0,
        )
        _beside(inventory, chosen, NAMES)


def _measure_by_hand(chosen: argparse.Namespace) -> None:
    with _lab(chosen.out) as inventory:
        _beside(inventory, chosen, (chosen.fidelity,))


def _beside(inventory: Path, chosen: argparse.Namespace, names: Sequence[str]) -> None:
    _, by_hand = measure(
        *(inventory, chosen.out, "beside"),
        copies=1,
        blocks=chosen.beside,
        limits={},
        by_hand=BY_HAND,
        names=names,
    )
    (chosen.out / "by-hand.json").write_text(json.dumps([asdict(one) for one in by_hand]))


@contextmanager
def _lab(out: Path) -> Iterator[Path]:
    inventory = out / "trust.yaml"
    lab = ("--name", "trust", "--inventory", str(inventory))
    try:
        subprocess.run([NETBENCH, "lab", "up", "--hosts", "3", *lab], check=True)
        yield inventory
    finally:
        subprocess.run([NETBENCH, "lab", "down", *lab], check=True)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
