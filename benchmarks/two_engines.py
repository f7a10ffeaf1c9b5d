"""A change of engine in a history of runs, made and measured: the worked example of
docs/regressions.md.

    .venv/bin/python -m benchmarks.two_engines [--before 7] [--after 6] [--out results/two-engines]

A lab of two hosts on Debian 12's engine is measured run after run, taken down, brought up on Debian
13's and measured again. Needs root and the lab's packages; two and a half minutes a run. The lab is
gone at the end, the runs stay in --out; one that is there already is not measured again. With
--archive, what of them is not made anew by `netbench report` is put there as well.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NETBENCH = (sys.executable, "-m", "bench")
SUITES = ("bookworm", "trixie")
NOTE = "Debian 13's engine"
FIRST_SEED = 1
# What is read of a run; all else is the tools' own words, or can be made from these.
KEPT = ("run.json", "trials.jsonl", "end.json")
EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "two-engines.tar.xz"


@contextmanager
def lab(name: str, suite: str) -> Iterator[Path]:
    """The inventory of a lab of two hosts on a Debian suite; the lab is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder, "hosts.yaml")
        named = ("--name", name, "--inventory", str(inventory))
        try:
            netbench("lab", "up", "--suite", suite, "--hosts", "2", *named)
            yield inventory
        finally:
            netbench("lab", "down", *named)


def netbench(*words: str) -> None:
    subprocess.run([*NETBENCH, *words], check=True, stdin=subprocess.DEVNULL)


def pack(runs: Path, archive: Path) -> None:
    """Write what is read of the runs below ``runs`` into an archive, the same for the same runs."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o644
        return member

    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as out:
        for run in sorted(path.parent for path in runs.glob("*/run.json")):
            for name in KEPT:
                out.add(run / name, f"{runs.name}/{run.name}/{name}", filter=plain)


@contextmanager
def unpacked(archive: Path = EXAMPLE) -> Iterator[Path]:
    """The folder of the runs in an archive, for as long as it is wanted."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as runs:
        runs.extractall(folder, filter="data")
        (inside,) = Path(folder).iterdir()
        yield inside


def end_in_order() -> None:
    """Take a termination like an exit: however this ends, the lab goes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--before", type=int, default=7, help="runs on Debian 12's engine")
    options.add_argument("--after", type=int, default=6, help="runs on Debian 13's")
    options.add_argument("--blocks", type=int, default=6)
    options.add_argument("--drivers", default="host,bridge,overlay")
    options.add_argument("--out", type=Path, default=Path("results/two-engines"))
    options.add_argument("--name", default="lab", help="the lab's name")
    options.add_argument("--archive", type=Path)
    chosen = options.parse_args()
    end_in_order()
    number = 0
    for suite, runs in zip(SUITES, (chosen.before, chosen.after), strict=True):
        wanted = [f"{number + turn:02}-{suite}" for turn in range(1, runs + 1)]
        missing = [name for name in wanted if not (chosen.out / name / "end.json").exists()]
        if missing:
            with lab(chosen.name, suite) as inventory:
                for name in missing:
                    news = name == wanted[0] and number > 0
                    measured = (
                        *("-i", str(inventory), "--drivers", chosen.drivers),
                        *("--workloads", "iperf3-tcp,http-echo"),
                        *("--blocks", str(chosen.blocks), "--duration", "1", "--warmup", "0"),
                        # The same orders on both engines.
                        *("--seed", str(FIRST_SEED + wanted.index(name)), "--no-aa"),
                        *("--out", str(chosen.out), "--name", name),
                        *(("--note", NOTE) if news else ()),
                    )
                    netbench("run", *measured)
        number += runs
    if chosen.archive:
        pack(chosen.out, chosen.archive)


if __name__ == "__main__":
    main()
