"""The toolbox image on a real engine: loaded under its own id, serving, measuring, ending."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench import workloads
from bench.errors import ParseError
from bench.inventory import load_inventory
from bench.model import Measurement
from bench.remote.api import Completed, Machine
from bench.remote.fleet import connect
from bench.toolbox.build import ensure_archive
from bench.workloads.base import ToolOutput, Workload

pytestmark = pytest.mark.lab

BASE = 15600
ADDRESS = "127.0.0.1"


class Toolbox:
    """A container of the image on a host's own network, serving every workload."""

    def __init__(self, machine: Machine, reference: str) -> None:
        self.machine = machine
        serving = (w.server(ADDRESS, BASE + w.port) for w in workloads.known().values())
        command = [word for argv in serving for word in ("--", *argv)][1:]
        self.name = self.docker(
            *("run", "--detach", "--network", "host", "--tmpfs", "/run/netbench:size=64m"),
            *("--env", "NETBENCH_TASK=task.1", reference, "netbench-serve", *command),
        )

    def docker(self, *words: str) -> str:
        done = self.machine.shell.run(["docker", *words], timeout=60)
        assert done.exit_code == 0, done.stderr
        return done.stdout.decode().strip()

    def run(self, *argv: str) -> Completed:
        return self.machine.engine.exec(self.name, argv, timeout=30)


@pytest.fixture(scope="module")
def toolbox(lab_inventory: Path) -> Iterator[Toolbox]:
    archive = ensure_archive()
    hosts = load_inventory(lab_inventory).hosts[:1]
    with connect(hosts) as fleet:
        machine = fleet[hosts[0].name]
        with archive.open() as file:
            machine.engine.load_image(file)
        # The id and the labels are what was computed here, without any engine.
        found = machine.engine.image_labels(archive.image_id)
        assert found == machine.engine.image_labels(archive.reference)
        tools = {f"netbench.tool.{name}": version for name, version in archive.tools.items()}
        assert found == {"netbench.toolbox": archive.reference.partition(":")[2], **tools}
        toolbox = Toolbox(machine, archive.reference)
        try:
            deadline = time.monotonic() + 20
            while toolbox.run("netbench-probe", ADDRESS, str(BASE + 80), "2").exit_code != 0:
                assert time.monotonic() < deadline, toolbox.docker("logs", toolbox.name)
                time.sleep(0.1)
            yield toolbox
        finally:
            toolbox.docker("rm", "--force", toolbox.name)


def test_the_versions_are_those_of_the_tools(toolbox: Toolbox) -> None:
    version = ensure_archive().tools["iperf3"].partition("-")[0]
    assert version >= "3.18"
    assert f"iperf {version} ".encode() in toolbox.run("iperf3", "--version").stdout
    for tool in (("ip", "-V"), ("ping", "-V"), ("getent", "hosts", "localhost"), ("awk", "1")):
        assert toolbox.run(*tool).exit_code == 0, tool


def measured(toolbox: Toolbox, workload: Workload) -> Measurement:
    """What a workload measures; tried thrice, as on a busy machine a tool may fail, and rightly."""
    for _ in range(2):
        with suppress(ParseError):
            return once(toolbox, workload)
    return once(toolbox, workload)


def once(toolbox: Toolbox, workload: Workload) -> Measurement:
    done = toolbox.run(*workload.client(ADDRESS, BASE + workload.port, 2, 1))
    return workload.parse(ToolOutput(done.exit_code, done.stdout, done.stderr))


@pytest.mark.parametrize("name", sorted(workloads.known()))
def test_every_workload_measures(toolbox: Toolbox, name: str) -> None:
    workload = workloads.known()[name]
    if workload.relative_to:
        workload = workload.at(2000.0)
    found = measured(toolbox, workload)
    # What the hosts' own counters tell is not the tool's to say.
    told = [metric.name for metric in workload.metrics if metric != workload.cost.metric]
    names = [sample.metric for sample in found.samples]
    assert names == [name for name in told if name in names]
    # So far out there may be too few requests to tell of, and every rate may have lost something.
    may_lack = {"open_p99.9", "open_p99.99", "udp_goodput_lossless"}
    assert set(told) - set(names) <= may_lack
    # A latency is a fraction of a second; of all else there is plenty.
    least = 0 if workload.metrics[0].unit == "s" else 100
    assert found.samples[0].value > least
    assert toolbox.run("ls", "/run/netbench").stdout == b"echo-15680\n"


def test_probe_names_the_task_or_what_is_wrong(toolbox: Toolbox) -> None:
    assert toolbox.run("netbench-probe", ADDRESS, "15680").stdout == b"task.1\n"
    for port, why in ((15699, b"connection refused"), (15601, b"broke")):
        refused = toolbox.run("netbench-probe", ADDRESS, str(port), "2")
        assert refused.exit_code == 1
        assert why in refused.stderr
        assert refused.stderr.count(b"\n") == 1
    silent = toolbox.run("netbench-probe", "198.18.255.254", "15680", "1")
    assert silent.exit_code == 1
    assert b"198.18.255.254:15680" in silent.stderr


def test_echo_returns_body_and_headers(toolbox: Toolbox) -> None:
    speak = (
        "use IO::Socket::INET; my $s = IO::Socket::INET->new('127.0.0.1:15680');"
        'print $s "POST $ARGV[0] HTTP/1.0\\r\\nX-Mine: yes\\r\\nContent-Length: 4\\r\\n\\r\\nbody";'
        "print <$s>"
    )
    echoed = toolbox.run("perl", "-e", speak, "/echo").stdout.decode()
    assert echoed.endswith("\r\n\r\nbody")
    assert "X-Netbench-Task: task.1\r\n" in echoed
    headers = toolbox.run("perl", "-e", speak, "/headers").stdout.decode()
    assert "X-Mine: yes\r\n" in headers
    assert headers.endswith("body")


def test_a_killed_server_comes_back_and_a_stop_is_obeyed_at_once(toolbox: Toolbox) -> None:
    kill = (
        "for p in /proc/[0-9]*; do read -r name <$p/comm;"
        "[ $name != iperf3 ] || kill -9 ${p#/proc/}; done"
    )
    assert toolbox.run("sh", "-c", kill).exit_code == 0
    iperf3 = workloads.known()["iperf3-tcp"]
    deadline = time.monotonic() + 10
    while toolbox.run(*iperf3.client(ADDRESS, BASE + iperf3.port, 1, 0)).exit_code != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    began = time.monotonic()
    toolbox.docker("stop", "--time", "20", toolbox.name)
    assert time.monotonic() - began < 10
    assert toolbox.docker("inspect", "--format", "{{.State.ExitCode}}", toolbox.name) == "0"
