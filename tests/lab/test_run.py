"""The main job on three real engines, through the CLI, and every way in which it can end."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.lab import processes
from bench.model import Access, Placement, Status
from bench.store import StoredRun, load
from tests.lab.conftest import LAB, NETBENCH, Ended, once_more_if_stale

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("sound_engines"), once_more_if_stale]

BOTH = ("--workloads", "http-echo,iperf3-tcp")
QUICK = (*BOTH, "--blocks", "1", "--duration", "1", "--warmup", "0", "--seed", "5", "--no-aa")
# Enough to have something of every kind on the hosts, and to take a while if nothing ends it.
LONG = (
    "--drivers",
    "host,overlay",
    "--workloads",
    "http-echo",
    "--blocks",
    "99",
    "--duration",
    "1",
)


@pytest.fixture(scope="module")
def before(footprint: Callable[[], str]) -> str:
    """What the hosts held before any run."""
    return footprint()


@pytest.fixture(scope="module")
def ended(
    lab_inventory: Path,
    before: str,
    netbench: Callable[..., Ended],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Ended, Path]:
    """A run of two blocks of bulk TCP and HTTP over the usual drivers."""
    out = tmp_path_factory.mktemp("results")
    words = (*BOTH, "--blocks", "2", "--duration", "1", "--warmup", "1", "--seed", "11")
    return netbench("run", "-i", lab_inventory, "--out", out, *words), out


@pytest.fixture(scope="module")
def stored(ended: tuple[Ended, Path]) -> StoredRun:
    done, out = ended
    assert done.code == 0, done.err
    (folder,) = out.iterdir()
    return load(folder)


def test_every_cell_completes_in_every_block(stored: StoredRun) -> None:
    assert {str(t.status) + t.reason for t in stored.trials} == {"completed"}
    seen = Counter(trial.cell for trial in stored.trials)
    assert set(seen.values()) == {2}
    assert {cell.driver for cell in seen} == {"host", "bridge", "overlay", "macvlan"}
    assert {cell.placement for cell in seen} == set(Placement)
    assert {cell.workload for cell in seen} == {"iperf3-tcp", "http-echo"}
    again = [(c.driver, c.placement, c.workload) for c in seen if c.aa]
    assert again == [("host", Placement.CROSS_HOST, "http-echo")]
    across = {c.access for c in seen if c.driver == "bridge" and "cross" in c.placement}
    assert across == {Access.PUBLISHED_HOST}


def test_numbers_are_within_what_is_physically_possible(stored: StoredRun) -> None:
    for trial in stored.trials:
        values = {sample.metric: sample.value for sample in trial.samples}
        if trial.cell.workload == "iperf3-tcp":
            # One kernel copies memory: above loopback's ceiling nothing is believable.
            assert 50e6 < values["throughput"] < 400e9
            assert values["retransmits"] >= 0
            kept = [i for i in trial.intervals if not i.warmup]
            assert len(kept) >= 1
            assert any(i.warmup for i in trial.intervals)
            # Intervals and the whole are timed at different ends.
            assert min(i.value for i in kept) <= values["throughput"] * 1.1
            assert max(i.value for i in kept) >= values["throughput"] * 0.9
        else:
            assert 100 < values["requests"] < 1e6
            assert values["errors"] == 0
            quantiles = [values[f"latency_p{q}"] for q in ("50", "90", "99", "99.9")]
            assert quantiles == sorted(quantiles)
            assert 1e-6 < quantiles[0] < 1
            assert trial.histogram
            # A closed loop of 16 connections: rate x mean latency is at most 16 (Little). The two
            # are of different seconds, and the machine may be another's in one of them.
            assert values["requests"] * quantiles[0] < 16 * 8


def test_the_run_tells_what_it_was_made_on(stored: StoredRun) -> None:
    info = stored.info
    assert info.plan.seed == 11
    assert info.shared_kernel
    assert len(info.hosts) == 3
    for host in info.hosts:
        assert host.kernel == os.uname().release
        assert host.engine
        assert host.data_address.startswith("198.18.")
        assert host.data_mtu == 1500
    assert info.image.image_id.startswith("sha256:")
    assert tuple(map(int, info.image.tools["iperf3"].split("-")[0].split("."))) >= (3, 18)
    assert set(info.networks) == {"host", "bridge", "overlay", "macvlan"}
    for trial in stored.trials:
        assert trial.raw
        for name in trial.raw:
            assert (stored.path / name).stat().st_size > 0


def test_no_secret_is_stored(stored: StoredRun, ended: tuple[Ended, Path]) -> None:
    text = "".join(
        path.read_text(errors="replace")
        for path in stored.path.rglob("*")
        if path.suffix in (".json", ".jsonl", ".md", ".html", ".stdout", ".stderr")
    )
    for secret in ("SWMTKN", "PRIVATE KEY"):
        assert secret not in text
        assert secret not in ended[0].out + ended[0].err


def test_the_end_is_told_and_the_report_written(
    stored: StoredRun, ended: tuple[Ended, Path]
) -> None:
    end = stored.end
    assert end is not None
    assert (end.outcome, end.outstanding) == ("finished", ())
    assert end.wall > end.measuring > end.warming > 0
    done = ended[0]
    assert "overlay" in done.out
    assert "report.html" in done.out
    assert "34 completed" in done.out.splitlines()[-1]
    assert (stored.path / "report.html").stat().st_size > 10_000
    assert list((stored.path / "charts").glob("*.png"))


def test_nothing_is_left_on_the_hosts(
    stored: StoredRun, before: str, footprint: Callable[[], str]
) -> None:
    assert footprint() == before


def test_the_json_summary_has_a_ratio_for_every_treatment(
    stored: StoredRun, netbench: Callable[..., Ended]
) -> None:
    done = netbench("report", stored.path, "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert summary["run"] == stored.info.run
    headlines = [cell for cell in summary["cells"] if cell["metric"] == "throughput"]
    assert len(headlines) == 8
    for cell in headlines:
        assert cell["completed"] == 2
        assert cell["ratio"] == 1 if cell["driver"] == "host" else 0.01 < cell["ratio"] < 20


def test_a_run_with_a_target_goes_on_until_it_is_reached(
    lab_inventory: Path,
    tmp_path: Path,
    netbench: Callable[..., Ended],
    before: str,
    footprint: Callable[[], str],
) -> None:
    words = ("--drivers", "overlay", "--workloads", "iperf3-tcp", "--placements", "cross-host")
    done = netbench(
        *("run", "-i", lab_inventory, "--out", tmp_path, "--name", "r", *words),
        *("--target", "50%", "--budget", "3m", "--aa", "--duration", "1", "--warmup", "0"),
    )
    assert done.code == 0, done.err
    run = load(tmp_path / "r")
    assert run.end is not None
    blocks = run.end.blocks
    assert 6 <= blocks < run.info.plan.blocks
    assert run.end.wall < 180
    assert run.end.message == f"every cell within ±50 % after {blocks} blocks"
    assert f"netbench: finished: {run.end.message}; " in done.out.splitlines()[-1]
    assert run.info.plan.stopping is not None
    assert run.info.plan.stopping.target == 0.5
    seen = Counter((trial.cell.driver, trial.cell.aa) for trial in run.trials)
    assert seen["host", 0] == blocks
    assert 6 <= seen["host", 1] <= blocks
    assert 6 <= seen["overlay", 0] <= blocks
    assert footprint() == before
    like = netbench(
        *("plan", "-i", lab_inventory, *words, "--target", "10%", "--budget", "5m"),
        *("--duration", "1", "--warmup", "0", "--like", tmp_path / "r"),
    )
    assert like.code == 0, like.err
    assert "5 min hold about" in like.out
    assert "with 5 % noise between blocks: about ±" in like.out
    rows = [line for line in like.out.splitlines() if line.startswith("iperf3-tcp  cross-host")]
    assert [" blocks" in row and "throughput" in row for row in rows] == [True, True]


def start(inventory: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [NETBENCH, "run", "-i", inventory, "--out", out, "--name", "r", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_trials(path: Path, number: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= number:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    pytest.fail(f"{path} has fewer than {number} trials")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_measured_and_cleans_up(
    lab_inventory: Path,
    tmp_path: Path,
    before: str,
    footprint: Callable[[], str],
    number: signal.Signals,
) -> None:
    process = start(lab_inventory, tmp_path, *LONG)
    await_trials(tmp_path / "r" / "trials.jsonl", 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err.splitlines()[-1]
    assert "Traceback" not in out + err
    run = load(tmp_path / "r")
    assert len(run.trials) >= 2
    assert run.end is not None
    assert run.end.outcome == "interrupted"
    assert footprint() == before


def test_what_a_killed_run_left_is_found_and_removed(
    lab_inventory: Path,
    tmp_path: Path,
    before: str,
    footprint: Callable[[], str],
    netbench: Callable[..., Ended],
) -> None:
    process = start(lab_inventory, tmp_path, *LONG)
    await_trials(tmp_path / "r" / "trials.jsonl", 1, process)
    process.kill()
    process.communicate()
    assert footprint() != before
    refused = netbench("run", "-i", lab_inventory, "--out", tmp_path, *QUICK)
    assert refused.code == 1
    assert "netbench clean" in refused.err
    cleaned = netbench("clean", "-i", lab_inventory)
    assert cleaned.code == 0, cleaned.err
    assert footprint() == before
    again = netbench("clean", "-i", lab_inventory)
    assert (again.code, again.err) == (0, "")
    run = load(tmp_path / "r")
    assert run.trials
    assert run.end is None


def test_a_swarm_that_was_there_is_used_and_not_left(
    lab_inventory: Path,
    tmp_path: Path,
    hosts: list[str],
    on_host: Callable[..., str],
    netbench: Callable[..., Ended],
) -> None:
    first, *others = hosts
    address = on_host(first, "hostname -I").split()[0]
    on_host(first, "docker", "swarm", "init", "--advertise-addr", address)
    try:
        token = on_host(first, "docker", "swarm", "join-token", "-q", "worker").strip()
        for host in others[:-1]:
            on_host(host, "docker", "swarm", "join", "--token", token, f"{address}:2377")
        partial = netbench("run", "-i", lab_inventory, "--out", tmp_path, *QUICK)
        assert partial.code == 1
        assert f"{others[-1]}: is in no swarm" in partial.err
        assert token not in partial.err

        on_host(others[-1], "docker", "swarm", "join", "--token", token, f"{address}:2377")
        few = ("--drivers", "overlay", "--workloads", "http-echo", "--placements", "cross-host")
        whole = netbench("run", "-i", lab_inventory, "--out", tmp_path, *QUICK, *few)
        assert whole.code == 0, whole.err
        nodes = on_host(first, "docker node ls --format '{{.Hostname}} {{.Status}}'")
        assert sorted(nodes.splitlines()) == [f"{host} Ready" for host in sorted(hosts)]
        assert on_host(first, "docker service ls -q") == ""
        networks = on_host(first, "docker network ls --format '{{.Name}}'").split()
        assert not [name for name in networks if name.startswith("netbench")]

        on_host(others[0], "docker swarm leave")
        on_host(others[0], "docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
        foreign = netbench("run", "-i", lab_inventory, "--out", tmp_path, *QUICK)
        assert foreign.code == 1
        assert f"{others[0]}: is in another swarm than {first}" in foreign.err
        states = [on_host(h, "docker info --format '{{.Swarm.LocalNodeState}}'") for h in hosts]
        assert [state.strip() for state in states] == ["active"] * 3
    finally:
        for host in (*others, first):
            on_host(host, "docker swarm leave --force", check=False)
        for host in hosts:
            # An engine that is still busy with ingress would make the bridge anew.
            gone = "timeout 60 sh -c 'while docker network inspect ingress; do sleep 0.2; done'"
            on_host(host, f"{gone}; docker network rm docker_gwbridge", check=False)


def test_a_host_that_is_lost_ends_the_run_and_is_named(
    lab_inventory: Path,
    tmp_path: Path,
    hosts: list[str],
    before: str,
    footprint: Callable[[], str],
    netbench: Callable[..., Ended],
) -> None:
    lost = hosts[-1]
    process = start(lab_inventory, tmp_path, *LONG)
    await_trials(tmp_path / "r" / "trials.jsonl", 2, process)
    inside = ("nsenter", "--net", f"--target={processes.firsts(LAB)[lost]}", "iptables")
    for chain in ("INPUT", "OUTPUT"):
        subprocess.run([*inside, "-I", chain, "-j", "DROP"], check=True)
    try:
        out, err = process.communicate(timeout=150)
    finally:
        for chain in ("INPUT", "OUTPUT"):
            subprocess.run([*inside, "-D", chain, "-j", "DROP"], check=True)
    assert process.returncode == 1, err
    assert "Traceback" not in out + err
    last = err.splitlines()[-1]
    assert last.startswith("netbench: failed:")
    assert lost in last
    assert "netbench clean" in last
    run = load(tmp_path / "r")
    assert [t for t in run.trials if t.status is Status.COMPLETED]
    assert run.end is not None
    assert any(lost in line for line in run.end.outstanding)

    cleaned = netbench("clean", "-i", lab_inventory)
    assert cleaned.code == 0, cleaned.err
    assert footprint() == before


def odd(inventory: Path, folder: Path, setting: str) -> Path:
    """The lab's inventory with one more setting for all hosts."""
    made = folder / "odd.yaml"
    made.write_text(inventory.read_text().replace("vars:", f"vars:\n    {setting}", 1))
    return made


def test_an_interface_that_is_not_there_is_told_before_anything_is_made(
    lab_inventory: Path,
    tmp_path: Path,
    netbench: Callable[..., Ended],
    before: str,
    footprint: Callable[[], str],
) -> None:
    inventory = odd(lab_inventory, tmp_path, "netbench_macvlan_parent: nosuch0")
    few = ("--drivers", "overlay,macvlan", "--workloads", "http-echo")
    done = netbench("run", "-i", inventory, "--out", tmp_path, "--name", "r", *QUICK, *few)
    assert done.code == 1
    assert "has no interface nosuch0, which netbench_macvlan_parent names" in done.err
    assert "forming the swarm" not in done.err
    assert footprint() == before


def test_a_driver_that_cannot_be_is_skipped_with_the_reason(
    lab_inventory: Path,
    tmp_path: Path,
    netbench: Callable[..., Ended],
    before: str,
    footprint: Callable[[], str],
) -> None:
    inventory = odd(lab_inventory, tmp_path, "netbench_macvlan_subnet: 198.18.0.0/16")
    few = ("--drivers", "overlay,macvlan", "--workloads", "http-echo")
    done = netbench("run", "-i", inventory, "--out", tmp_path, "--name", "r", *QUICK, *few)
    assert done.code == 0, done.err
    run = load(tmp_path / "r")
    told = {t.cell.driver: (t.status, t.reason) for t in run.trials}
    assert told["macvlan"][0] is Status.SKIPPED
    assert "netbench_macvlan_subnet 198.18.0.0/16 overlaps 198.18." in told["macvlan"][1]
    assert told["overlay"][0] is Status.COMPLETED
    assert not [t for t in run.trials if t.status is Status.SKIPPED and t.samples]
    assert footprint() == before


def test_a_taken_port_is_told_before_any_trial(
    lab_inventory: Path,
    tmp_path: Path,
    hosts: list[str],
    on_host: Callable[..., str],
    netbench: Callable[..., Ended],
    before: str,
    footprint: Callable[[], str],
) -> None:
    listener = (
        "import socket,time; s=socket.socket(); s.setsockopt(1, 2, 1); "
        "s.bind(('0.0.0.0',15280)); s.listen(); time.sleep(60)"
    )
    on_host(hosts[1], f'nohup /usr/bin/python3 -c "{listener}" >/dev/null 2>&1 & echo $! > /tmp/l')
    try:
        few = ("--drivers", "host")
        done = netbench("run", "-i", lab_inventory, "--out", tmp_path, "--name", "r", *QUICK, *few)
    finally:
        on_host(hosts[1], "kill $(cat /tmp/l)")
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert "the baseline, host, does not work" in last
    assert f"{hosts[1]}: " in last
    assert "15280" in last
    assert not load(tmp_path / "r").trials
    assert footprint() == before


def test_plan_prints_the_matrix_and_touches_nothing(
    lab_inventory: Path, netbench: Callable[..., Ended], before: str, footprint: Callable[[], str]
) -> None:
    done = netbench(
        *("plan", "-i", lab_inventory, *BOTH, "--drivers", "overlay", "--blocks", "3"),
        *("--out", "/nowhere"),
    )
    assert done.code == 0, done.err
    assert "9 cells x 3 blocks = 27 trials" in done.out
    assert "host (A/A)" in done.out
    assert "published-host" not in done.out
    assert footprint() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--drivers", "calico"), "unknown driver 'calico'; known are: bridge, bridge-default"),
        (("--workloads", "ftp"), "unknown workload 'ftp'; known are: http-echo"),
        (("--placements", "moon"), "unknown placement 'moon'; known are: same-host"),
        (("--blocks", "0"), "--blocks"),
        (("--name", "../x"), "'../x' is not a folder's name"),
        (("--name", ".."), "'..' is not a folder's name"),
        (("--budget", "40s"), "a budget of 40 s holds about 0 blocks, and at least 6 are needed"),
        (("--target", "3%", "--blocks", "4"), "--blocks and --target contradict each other"),
        (("--min-blocks", "8"), "--min-blocks says nothing without --target or --budget"),
        (("--target", "3"), "three percent is 3% or 0.03"),
        (("--budget", "soon"), "'soon' is not a time: write 10m"),
        (("--pin", "left"), "'left'"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    lab_inventory: Path, netbench: Callable[..., Ended], words: tuple[str, ...], says: str
) -> None:
    done = netbench("run", "-i", lab_inventory, *words)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_results_folder_that_exists_is_refused_before_anything_happens(
    lab_inventory: Path, netbench: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "r").mkdir()
    done = netbench("run", "-i", lab_inventory, "--out", tmp_path, "--name", "r")
    assert (done.code, list((tmp_path / "r").iterdir())) == (2, [])
    assert f"{tmp_path}/r is already there" in done.err


def test_a_full_disk_ends_the_run_and_the_hosts_are_clean(
    lab_inventory: Path,
    tmp_path: Path,
    netbench: Callable[..., Ended],
    before: str,
    footprint: Callable[[], str],
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-osize=150k", "none", small], check=True)
    try:
        few = ("--drivers", "host", "--workloads", "iperf3-tcp", "--blocks", "99")
        done = netbench("run", "-i", lab_inventory, "--out", small, *few, "--duration", "1")
        assert done.code == 1
        assert "No space left on device" in done.err
        assert "Traceback" not in done.err
        (folder,) = small.iterdir()
        assert load(folder).trials
    finally:
        subprocess.run(["umount", small], check=True)
    assert footprint() == before
