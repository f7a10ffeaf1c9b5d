"""What is read around real trials, and containers held to CPUs by a real engine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import workloads
from bench.errors import EngineError
from bench.gauges.reading import Sources, read
from bench.gauges.use import busy
from bench.inventory import load_inventory
from bench.model import Placement, Status, Trial
from bench.remote.api import Machine
from bench.remote.fleet import connect
from bench.store import StoredRun, load
from bench.workloads.base import ToolOutput
from tests.lab.conftest import Ended

pytestmark = pytest.mark.lab

SHAPE = (
    "--workloads",
    "iperf3-tcp,http-echo",
    "--drivers",
    "overlay",
    "--blocks",
    "1",
    "--duration",
    "1",
    "--warmup",
    "1",
)
SEVERAL = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="a single CPU cannot be split")


@pytest.fixture(scope="module")
def stored(
    lab_inventory: Path, netbench: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory
) -> StoredRun:
    out = tmp_path_factory.mktemp("gauges")
    done = netbench("run", "-i", lab_inventory, "--out", out, "--no-aa", *SHAPE)
    assert done.code == 0, done.err
    (folder,) = out.iterdir()
    return load(folder)


def test_every_trial_has_both_ends(stored: StoredRun) -> None:
    cores = {host.name: host.cpus for host in stored.info.hosts}
    for trial in stored.trials:
        assert trial.status is Status.COMPLETED, trial.reason
        roles = {end.host: end.roles for end in trial.ends}
        if trial.cell.placement is Placement.SAME_HOST:
            assert roles == {trial.pair.server: ("client", "server")}
        else:
            assert roles == {trial.pair.client: ("client",), trial.pair.server: ("server",)}
        for end in trial.ends:
            assert len(end.cores) == cores[end.host]
            # Both readings lie outside of the tool's time, and not far.
            assert 0.98 * trial.tool - 0.02 < end.seconds
            for core in end.cores:
                total = core.user + core.system + core.softirq + core.irq + core.steal + core.idle
                # A hypervisor may keep a core away without a word, but none has more than all.
                assert 0 < total <= 0.15 + 1.1 * end.seconds


def test_cpu_time_is_a_metric_with_a_plausible_value(stored: StoredRun) -> None:
    names = {"iperf3-tcp": "cpu_per_gb", "http-echo": "cpu_per_krequest"}
    for trial in stored.trials:
        values = {sample.metric: sample.value for sample in trial.samples}
        workload = trial.cell.workload
        assert names[workload] in {metric.name for metric in stored.info.metrics[workload]}
        # The lab's hosts are one machine: a trial's seconds of its cores bound what it can cost.
        worked = busy(trial.ends, shared_kernel=True)
        assert 0 < worked <= len(trial.ends[0].cores) * trial.ends[0].seconds * 1.05
        done = work_of(stored, trial) or 2 * values["throughput"]
        unit = 8e9 if workload == "iperf3-tcp" else 1000.0
        assert values[names[workload]] == pytest.approx(worked / done * unit)


def work_of(stored: StoredRun, trial: Trial) -> float | None:
    """What the tool's own output, as it was kept, says of the work that was done."""
    kept = {name.rpartition(".")[2]: (stored.path / name).read_bytes() for name in trial.raw}
    output = ToolOutput(0, kept["stdout"], kept.get("stderr", b""))
    return workloads.known()[trial.cell.workload].parse(output).work


def test_the_cost_of_reading_is_told_and_small(stored: StoredRun) -> None:
    assert stored.end is not None
    assert 0 < stored.end.reading < 1.0 * len(stored.trials)


@SEVERAL
def test_the_ends_are_held_apart_by_default(stored: StoredRun) -> None:
    assert stored.info.plan.pin == "auto"
    for trial in stored.trials:
        # A shared kernel: the ends of every trial run on the same processors.
        held = ":".join(end.pinned for end in trial.ends).split(":")
        assert len(held) == 2
        assert all(held)
        assert not set(held[0].split(",")) & set(held[1].split(","))


def test_cpus_that_no_host_has_are_refused_before_anything_is_made(
    lab_inventory: Path, netbench: Callable[..., Ended], tmp_path: Path, hosts: list[str]
) -> None:
    words = ("--no-aa", *SHAPE, "--pin", "0:4095")
    done = netbench("run", "-i", lab_inventory, "--out", tmp_path / "r", *words)
    assert done.code == 2
    assert f"{hosts[0]}: --pin names CPU 4095" in done.err
    assert "Traceback" not in done.err
    assert "swarm" not in done.out


@pytest.fixture
def container(stored: StoredRun, lab_inventory: Path) -> Iterator[tuple[Machine, str]]:
    """A container on the first host, made from the image that the run left there."""
    inventory = load_inventory(lab_inventory)
    with connect(inventory.hosts[:1]) as fleet:
        machine = fleet[inventory.hosts[0].name]
        image = stored.info.image.image_id
        argv = ("docker", "run", "--detach", "--entrypoint", "sleep", image, "300")
        made = machine.shell.run(argv, timeout=60)
        assert made.exit_code == 0, made.stderr
        identity = made.stdout.decode().strip()
        try:
            yield machine, identity
        finally:
            machine.shell.run(("docker", "rm", "--force", identity), timeout=60)


@SEVERAL
def test_what_is_executed_in_a_held_container_is_held_and_let_go(
    container: tuple[Machine, str],
) -> None:
    machine, identity = container

    def allowed() -> set[bytes]:
        files = ("/proc/self/status", "/proc/1/status")
        argv = ("grep", "-h", "Cpus_allowed_list", *files)
        done = machine.engine.exec(identity, argv, timeout=10)
        return {line.split()[1] for line in done.stdout.splitlines()}

    free = allowed()
    for cpu in ("1", "0"):
        machine.engine.set_cpus(identity, cpu)
        assert allowed() == {cpu.encode()}
    machine.engine.set_cpus(identity, f"0-{machine.engine.facts().cpus - 1}")
    assert allowed() == free
    with pytest.raises(EngineError, match="Requested CPUs are not available"):
        machine.engine.set_cpus(identity, "0-4095")


def test_a_containers_interfaces_are_read_from_outside(container: tuple[Machine, str]) -> None:
    machine, identity = container
    pid = machine.engine.pid(identity)
    found = read(machine, Sources((pid, 2**22), ("/run/docker/netns/none",)))
    assert set(found.counters[f"pid:{pid}"]) == {"lo", "eth0"}
    assert "eth0" in found.counters["host"]
    assert found.unreadable[f"pid:{2**22}"] == "no such process"
    assert "No such file" in found.unreadable["sandbox:/run/docker/netns/none"]
    machine.shell.run(("docker", "stop", "--time", "0", identity), timeout=60)
    with pytest.raises(EngineError, match="does not run"):
        machine.engine.pid(identity)
