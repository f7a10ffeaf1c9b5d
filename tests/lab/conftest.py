"""One lab of three real hosts for all tests that need it, brought up and taken down by the CLI.

``NETBENCH_TEST_LAB`` names it otherwise than ``test``, for two checkouts on one machine. Each
worker of pytest-xdist has a lab of its own: most of what these tests take is waiting.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

NETBENCH = Path(sys.executable).with_name("netbench")
LAB = os.environ.get("NETBENCH_TEST_LAB", "test") + os.environ.get(
    "PYTEST_XDIST_WORKER", ""
).replace("gw", "-w")


@dataclass(frozen=True)
class Ended:
    """A finished `netbench`."""

    code: int
    out: str
    err: str


def run_netbench(*words: str | Path, timeout: float = 600.0, cwd: Path | None = None) -> Ended:
    done = subprocess.run(
        [NETBENCH, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def lab_inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The inventory of a lab of three hosts."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    inventory = tmp_path_factory.mktemp("lab") / "lab.yaml"
    up = run_netbench("lab", "up", "--name", LAB, "--hosts", "3", "--inventory", inventory)
    assert up.code == 0, up.err
    yield inventory
    down = run_netbench("lab", "down", "--name", LAB, "--inventory", inventory)
    assert down.code == 0, down.err


@pytest.fixture(scope="session")
def netbench() -> Callable[..., Ended]:
    """Run the CLI as a user does."""
    return run_netbench


@pytest.fixture(scope="session")
def on_host(lab_inventory: Path) -> Callable[..., str]:
    """Run a command on a lab host with the system's own ssh, as the inventory says."""
    from ruamel.yaml import YAML

    found = YAML(typ="safe").load(lab_inventory)["all"]
    common = found["vars"]

    def run(host: str, *argv: str, check: bool = True) -> str:
        done = subprocess.run(
            [
                "ssh",
                "-oBatchMode=yes",
                *common["ansible_ssh_common_args"].split(),
                "-i",
                common["ansible_ssh_private_key_file"],
                f"root@{found['hosts'][host]['ansible_host']}",
                *argv,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{host}: {argv}: {done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def hosts(lab_inventory: Path) -> list[str]:
    """The lab hosts' names."""
    from ruamel.yaml import YAML

    return list(YAML(typ="safe").load(lab_inventory)["all"]["hosts"])


# An engine (of Docker 20.10 at least) that is held up for some tenths of a second while it leaves a
# swarm keeps the port of its gossip until it is restarted. netbench says so, and a test that meets
# with it is tried once more on a sound engine; see `_gossiping` in bench/cleanup.py.
STALE = "its engine still listens on TCP 7946 for a swarm that it has left"
once_more_if_stale = pytest.mark.flaky(reruns=1, only_rerun=[STALE])

# Ends the host's engine, and starts it again as it was.
STOP = """
pid=$(cat /run/docker.pid)
cat /proc/$pid/environ /proc/$pid/cmdline >/tmp/engine
kill $pid
while kill -0 $pid; do sleep 0.1; done 2>/dev/null
"""
START = """
setsid --fork xargs -0 -a /tmp/engine env -i </dev/null >/tmp/engine.log 2>&1
until docker info >/dev/null 2>&1; do sleep 0.1; done
"""
RESTART = STOP + START


@pytest.fixture
def sound_engines(on_host: Callable[..., str], hosts: list[str]) -> None:
    """Restart an engine that an earlier test left with the port of its gossip open."""
    for host in hosts:
        seen = on_host(host, "ss -Hltn 'sport = :7946'; docker info --format {{.Swarm.NodeID}}")
        if seen.strip().startswith("LISTEN") and len(seen.split("\n", 1)[1].strip()) == 0:
            on_host(host, RESTART)


@pytest.fixture(scope="session")
def footprint(on_host: Callable[..., str], hosts: list[str]) -> Callable[[], str]:
    """What Docker and the kernel hold on every host, as text to compare before and after."""
    parts = (
        "docker ps -aq; docker volume ls -q; docker network ls --format '{{.Name}} {{.Driver}}'",
        "docker info --format '{{.Swarm.LocalNodeState}}'",
        "ip -br link | awk '{print $1}'; ip netns list; iptables -S; iptables -t nat -S",
    )

    def look() -> str:
        # Which of its own chains the engine jumps to, and in which order, changes when a swarm
        # comes or goes. What networks and published ports add is in other rules.
        housekeeping = re.compile("DOCKER-(USER|INGRESS|ISOLATION)")
        found = {
            host: sorted(
                line
                for line in on_host(host, "; ".join(parts)).splitlines()
                if not housekeeping.search(line)
            )
            for host in hosts
        }
        return json.dumps(found, indent=1)

    return look
