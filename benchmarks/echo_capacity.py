"""Is the HTTP echo server the bottleneck of the http-echo workload?

Its /echo against a location that does nothing (`return 200`), and the CPU that a request costs the
server and the load generator. Runs the toolbox image's own nginx and h2load on the loopback of a
network namespace; needs root. Prints Markdown.

    .venv/bin/python benchmarks/echo_capacity.py [--blocks 7] [--duration 2]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import workloads
from bench.toolbox.build import ensure_archive

INSIDE = "NETBENCH_BENCH_INSIDE"
PORT = 15280
LOCATIONS = ("/echo", "/nothing")
NOTHING = "location = /nothing {\n            return 200;\n        }\n"


@dataclass(frozen=True)
class Measured:
    """One trial: requests per second; CPU seconds a request; CPU seconds a second."""

    rate: float
    server: float
    client: float
    server_load: float
    client_load: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--blocks", type=int, default=7)
    options.add_argument("--duration", type=int, default=2)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    if INSIDE in os.environ:
        measure(Path(os.environ[INSIDE]), chosen)
        return
    # Mounts, processes and the loopback's traffic end with these namespaces; here stays nothing
    # but an empty folder.
    spaces = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    with tempfile.TemporaryDirectory() as folder:
        command = [*spaces, sys.executable, *sys.argv]
        done = subprocess.run(command, env={**os.environ, INSIDE: folder}, check=False)
    sys.exit(done.returncode)


def measure(root: Path, chosen: argparse.Namespace) -> None:
    unpack(root)
    workers = serve(root)
    found: dict[str, list[Measured]] = {location: [] for location in LOCATIONS}
    shuffle = random.Random(chosen.seed)  # noqa: S311 - an order, not a secret
    for location in LOCATIONS:
        trial(root, workers, location, 1)
    for _ in range(chosen.blocks):
        for location in shuffle.sample(LOCATIONS, len(LOCATIONS)):
            found[location].append(trial(root, workers, location, chosen.duration))
    show(found, len(workers), chosen)


def unpack(root: Path) -> None:
    """The image's layer under ``root``, with what its programs need to run in a chroot."""
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", root), check=True)
    with ensure_archive().open() as file, tarfile.open(fileobj=file, mode="r|gz") as image:
        for member in image:
            if member.name.endswith("/layer.tar"):
                with tarfile.open(fileobj=image.extractfile(member), mode="r|") as layer:
                    layer.extractall(root, filter="tar")
    for command in (
        ("mount", "-t", "proc", "proc", root / "proc"),
        ("mount", "--rbind", "/dev", root / "dev"),
        ("mount", "-t", "tmpfs", "tmpfs", root / "run"),
        ("ip", "link", "set", "lo", "up"),
    ):
        subprocess.run(command, check=True)
    (root / "run" / "netbench").mkdir()
    config = root / "usr/share/netbench/nginx.conf.in"
    config.write_text(config.read_text().replace("location / {", NOTHING + "        location / {"))


def serve(root: Path) -> list[int]:
    """Start the echo server; returns its workers' process ids."""
    argv = workloads.known()["http-echo"].server("127.0.0.1", PORT)
    server = subprocess.Popen(inside(root, *argv))
    deadline = time.monotonic() + 10
    probe = inside(root, "netbench-probe", "127.0.0.1", str(PORT), "2")
    while subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            sys.exit("the echo server does not answer")
        time.sleep(0.1)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def trial(root: Path, workers: list[int], location: str, duration: int) -> Measured:
    """One h2load against ``location`` as the workload runs it for its rate, but without warm-up."""
    argv = workloads.known()["http-echo"].client("127.0.0.1", PORT, duration, 0)
    plain = [word for word in argv[1:-1] if not word.startswith("--logged-")]
    load = ("h2load", *plain, argv[-1].replace("/echo", location))
    served, loaded = cpu_of(workers), children_cpu()
    done = subprocess.run(inside(root, *load), capture_output=True, text=True, check=True)
    served, loaded = cpu_of(workers) - served, children_cpu() - loaded
    counts = re.search(r"(\d+) done, (\d+) succeeded", done.stdout)
    if counts is None or counts[1] != counts[2] or counts[1] == "0":
        sys.exit(f"h2load against {location} failed:\n{done.stdout}")
    requests = int(counts[1])
    return Measured(
        requests / duration,
        served / requests,
        loaded / requests,
        served / duration,
        loaded / duration,
    )


def inside(root: Path, *argv: str) -> list[str]:
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin", "NETBENCH_TASK=benchmark")
    return ["chroot", str(root), *clean, *argv]


def cpu_of(pids: list[int]) -> float:
    """CPU seconds that these processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(found: dict[str, list[Measured]], workers: int, chosen: argparse.Namespace) -> None:
    print(
        f"{os.cpu_count()} CPUs, {workers} nginx workers, {chosen.blocks} blocks of "
        f"{chosen.duration} s; each column a median by itself. Load is CPU seconds a second.\n"
    )
    print(
        "| location | requests/s | server CPU/request | generator CPU/request "
        "| server load | generator load |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for location, trials in found.items():
        rate, server, client, served, loaded = (
            statistics.median(getattr(it, name) for it in trials)
            for name in ("rate", "server", "client", "server_load", "client_load")
        )
        print(
            f"| `{location}` | {rate:,.0f} | {server * 1e6:.1f} µs | {client * 1e6:.1f} µs "
            f"| {served:.2f} of {workers} | {loaded:.2f} of 1 |"
        )
    echo, nothing = (found[location] for location in LOCATIONS)
    ratios = [one.rate / two.rate for one, two in zip(echo, nothing, strict=True)]
    print(
        f"\n/echo reaches {statistics.median(ratios):.2f} of the requests/s of a location that "
        f"does nothing ({min(ratios):.2f} to {max(ratios):.2f} by block)."
    )


if __name__ == "__main__":
    main()
