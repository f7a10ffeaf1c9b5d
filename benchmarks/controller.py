"""What netbench itself costs: start of the command, set-up, teardown, and the share of a run's wall
time in which a tool runs. On a lab of three hosts of its own; needs root. Prints Markdown.

    .venv/bin/python benchmarks/controller.py [--blocks 5] [--duration 3]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

NETBENCH = Path(sys.executable).with_name("netbench")


def cpu_of_help() -> float:
    """CPU seconds (user + system) of one `netbench --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([NETBENCH, "--help"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def netbench(*words: str | Path) -> float:
    """Run one command to its end; returns its wall time in seconds."""
    begun = time.monotonic()
    subprocess.run([NETBENCH, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--blocks", type=int, default=5)
    options.add_argument("--duration", type=int, default=3)
    chosen = options.parse_args()
    rows = [
        ("`netbench --help`, CPU", f"{statistics.median(cpu_of_help() for _ in range(9)):.2f} s")
    ]
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "bench.yaml"
        lab = ("--name", "bench", "--inventory", inventory)
        try:
            rows.append(("`netbench lab up`, three hosts", f"{netbench('lab', 'up', *lab):.1f} s"))
            two = ("--workloads", "iperf3-tcp,http-echo")
            run = ("run", "-i", inventory, "--out", folder, "--seed", "1", *two)
            # The first run ships the image: afterwards the lab is warm.
            netbench(*run, "--name", "cold", "--blocks", "1", "--duration", "1", "--warmup", "0")
            netbench(
                *(*run, "--name", "warm", "--blocks", str(chosen.blocks)),
                *("--duration", str(chosen.duration)),
            )
            end = json.loads((Path(folder) / "warm" / "end.json").read_text())
            wall, tools, warming = end["wall"], end["measuring"], end["warming"]
            cells = (
                f"4 drivers x 2 placements x 2 workloads x {chosen.blocks} x {chosen.duration} s"
            )
            rows += [
                ("set-up, inventory read to first trial, warm lab", f"{end['setup']:.1f} s"),
                ("teardown", f"{end['teardown']:.1f} s"),
                (f"wall time of {cells}", f"{wall:.0f} s"),
                ("share of it in which a tool ran", f"{tools / wall:.1%}"),
                ("of which after its warm-up", f"{(tools - warming) / wall:.1%}"),
            ]
        finally:
            rows.append(("`netbench lab down`", f"{netbench('lab', 'down', *lab):.1f} s"))
    print(f"{platform.platform()}, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| what | figure |\n|---|---|")
    for what, figure in rows:
        print(f"| {what} | {figure} |")


if __name__ == "__main__":
    main()
