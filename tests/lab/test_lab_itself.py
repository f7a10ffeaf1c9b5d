"""The lab, through its command line, on real namespaces, sshd and dockerd. Needs root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench.lab import layout, processes, state

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]

NAME = "labself"
NETBENCH = Path(sys.executable).with_name("netbench")


# An image of the shell and sleep that are at hand is enough to have something running.
TINY = (
    "cd $(mktemp -d) && for b in /bin/bash /bin/sleep; do cp --parents -L $b $(ldd $b |"
    " grep -o '/[^ ]*') .; done; tar c . | docker import - tiny:1 &&"
    " docker run -d --name sleeper tiny:1 /bin/sleep 600"
)


def netbench(*words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NETBENCH, *words], capture_output=True, text=True, timeout=timeout, check=False
    )


def lab(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    return netbench("lab", verb, "--name", NAME, *words)


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Path]:
    """Where this test's lab writes its inventory; the lab is gone before and after."""
    path = tmp_path / "hosts" / "own.yaml"
    lab("down")
    yield path
    done = lab("down", "--inventory", str(path))
    assert done.returncode == 0, done.stderr


def ssh(inventory: Path, host: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a host with nothing but what the inventory says."""
    everything = YAML(typ="safe").load(inventory)["all"]
    common, own = everything["vars"], everything["hosts"][host]
    argv = [
        "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
        "-o", "GlobalKnownHostsFile=none", "-i", common["ansible_ssh_private_key_file"],
        *common["ansible_ssh_common_args"].split(),
        f"{common['ansible_user']}@{own['ansible_host']}", *command,
    ]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def interfaces() -> set[str]:
    return {entry.name for entry in Path("/sys/class/net").iterdir()}


def own_interface() -> str:
    """The name of the machine's interface of this lab, from the lab's record."""
    record = state.load(NAME)
    assert record is not None
    return record.controller_interface


def remains(interface: str) -> list[str]:
    """Everything of the lab that a machine could still have."""
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            root = (entry / "root").readlink()
        except OSError:
            continue
        text = b" ".join(words)
        if b"netbench-lab " + NAME.encode() in text or f"lab/{NAME}/".encode() in text:
            left.append(f"process {entry.name}: {text!r} {root}")
    left += [f"interface {name}" for name in interfaces() & {interface}]
    left += [
        f"mount {line}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if f"netbench/lab/{NAME}" in line or f"netbench-lab-{NAME}" in line
    ]
    left += [str(p) for p in (layout.state_folder(NAME), layout.data_folder(NAME)) if p.exists()]
    left += [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/{layout.CGROUP}/{NAME}")]
    return left


def roots_mounted() -> list[str]:
    """The mounts, wherever they are, that have to do with the root file systems of hosts."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if "root-trixie" in line or f"lab/{NAME}/" in line]


def test_up_status_ssh_down(inventory: Path) -> None:
    sysctls = {
        path: path.read_text()
        for path in map(
            Path,
            (
                "/proc/sys/net/ipv4/ip_forward",
                "/proc/sys/net/ipv4/conf/all/forwarding",
                "/proc/sys/kernel/keys/root_maxkeys",
            ),
        )
    }

    done = lab("up", "--hosts", "2", "--inventory", str(inventory))
    assert done.returncode == 0, done.stderr
    assert "2 hosts up" in done.stdout
    interface = own_interface()
    assert interface in interfaces()

    names = [ssh(inventory, host, "hostname").stdout.strip() for host in ("labself1", "labself2")]
    assert names == ["labself1", "labself2"]

    # An engine of its own, reached by the command that a controller runs over SSH.
    ids = {
        ssh(inventory, host, "docker", "info", "--format", "'{{.ID}} {{.Driver}}'").stdout
        for host in ("labself1", "labself2")
    }
    assert len(ids) == 2
    assert all(line.strip().endswith("overlay2") for line in ids)
    dial = ssh(inventory, "labself1", "docker", "system", "dial-stdio", "</dev/null")
    assert dial.returncode == 0, dial.stderr
    assert ssh(inventory, "labself1", "/usr/bin/python3", "-c", "'print(6*7)'").stdout == "42\n"

    # No way out: no default route, and names are refused at once.
    assert "default" not in ssh(inventory, "labself1", "ip", "route").stdout
    begun = time.monotonic()
    pull = ssh(inventory, "labself1", "docker", "pull", "nowhere.invalid/x")
    assert pull.returncode != 0
    assert time.monotonic() - begun < 5

    # The neighbour is there, by name.
    assert ssh(inventory, "labself1", "ping", "-c", "1", "-W", "2", "labself2").returncode == 0

    shown = lab("status")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count(" up ") == 2

    down = lab("down")
    assert down.returncode == 0, down.stderr
    assert remains(interface) == []
    assert not inventory.exists()
    assert not (inventory.parent / f".{NAME}").exists()
    assert sysctls == {path: path.read_text() for path in sysctls}

    again = lab("down")
    assert again.returncode == 0
    assert "there is none" in again.stdout


def test_status_without_a_lab(inventory: Path) -> None:
    done = lab("status")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"netbench: there is no lab {NAME}; run `netbench lab up --name {NAME}`"
    )


def test_up_twice_is_fine_and_another_size_is_refused(inventory: Path, tmp_path: Path) -> None:
    assert lab("up", "--hosts", "1", "--inventory", str(inventory)).returncode == 0
    first = processes.firsts(NAME)
    inventory.unlink()

    second = tmp_path / "second.yaml"
    again = lab("up", "--inventory", str(inventory))
    assert again.returncode == 0, again.stderr
    assert "already" in again.stdout
    assert lab("up", "--hosts", "1", "--inventory", str(second)).returncode == 0
    assert processes.firsts(NAME) == first
    for path in (inventory, second):
        assert ssh(path, "labself1", "true").returncode == 0

    other = lab("up", "--hosts", "2", "--inventory", str(inventory))
    assert other.returncode == 1
    assert "another number of hosts (1, not 2)" in other.stderr
    assert f"lab down --name {NAME}" in other.stderr

    assert lab("down").returncode == 0
    assert not inventory.exists()
    assert not second.exists()


def test_a_wrong_host_key_is_refused(inventory: Path) -> None:
    assert lab("up", "--hosts", "1", "--inventory", str(inventory)).returncode == 0
    known = inventory.parent / f".{NAME}" / "known_hosts"
    address = known.read_text().split(",")[0]
    stranger = inventory.parent / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    known.write_text(f"{address} {stranger.with_suffix('.pub').read_text()}")
    done = ssh(inventory, "labself1", "true")
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_a_dead_engine_shows_and_is_refused(inventory: Path) -> None:
    assert lab("up", "--hosts", "1", "--inventory", str(inventory)).returncode == 0
    killed = ssh(inventory, "labself1", "kill", "-9", "$(cat /run/docker.pid)")
    assert killed.returncode == 0, killed.stderr
    shown = lab("status")
    assert shown.returncode == 1
    assert "dockerd does not answer" in " ".join(shown.stdout.split())
    again = lab("up", "--inventory", str(inventory))
    assert again.returncode == 1
    assert "labself1: dockerd does not answer" in again.stderr
    assert "lab down" in again.stderr


def test_containers_and_a_swarm_go_with_the_lab(inventory: Path) -> None:
    assert lab("up", "--hosts", "2", "--inventory", str(inventory)).returncode == 0
    record, interface = state.load(NAME), own_interface()
    assert record is not None
    manager, worker = map(str, record.hosts.values())
    init = ssh(inventory, "labself1", "docker", "swarm", "init", "--advertise-addr", manager)
    assert init.returncode == 0, init.stderr
    token = ssh(inventory, "labself1", "docker", "swarm", "join-token", "-q", "worker").stdout
    joined = ssh(
        inventory, "labself2", "docker", "swarm", "join", "--advertise-addr", worker,
        "--token", token.strip(), f"{manager}:2377",
    )  # fmt: skip
    assert joined.returncode == 0, joined.stderr.replace(token.strip(), "TOKEN")
    started = ssh(inventory, "labself1", TINY)
    assert started.returncode == 0, started.stderr
    assert list(Path("/sys/fs/cgroup").glob(f"**/{layout.CGROUP}/{NAME}/labself1/*"))
    begun = time.monotonic()
    assert lab("down").returncode == 0
    assert time.monotonic() - begun < 20
    assert remains(interface) == []


def test_hosts_of_another_debian_have_its_engine(inventory: Path) -> None:
    """Takes a minute more, and the network, where the tree is not in the cache yet."""
    mounts = roots_mounted()
    up = ("lab", "up", "--name", NAME, "--inventory", str(inventory), "--suite")
    done = netbench(*up, "trixie", "--hosts", "1", timeout=570)
    assert done.returncode == 0, done.stderr
    interface = own_interface()
    look = (
        "touch /usr/mark; grep CODENAME /etc/os-release; ls /mnt | wc -l;"
        " docker version -f '{{.Server.Version}}'"
    )
    seen = ssh(inventory, "labself1", look)
    suite, below, engine = seen.stdout.splitlines()
    assert suite == "VERSION_CODENAME=trixie"
    assert below == "0", "the machine's own files are in sight"
    assert engine.startswith("26.1")
    assert not Path("/usr/mark").exists()
    started = ssh(inventory, "labself1", TINY)
    assert started.returncode == 0, started.stderr
    other = netbench(*up, "bookworm")
    assert other.returncode == 1
    assert "on a trixie root file system, not on bookworm" in other.stderr
    assert lab("down").returncode == 0
    assert remains(interface) == []
    assert roots_mounted() == mounts


STAGES: dict[str, Callable[[], bool]] = {
    "recorded": (layout.state_folder(NAME) / "lab.json").exists,
    "started": lambda: bool(processes.found(NAME)),
    "furnished": lambda: len(processes.firsts(NAME)) == 2,
    "wired": lambda: state.load(NAME) is not None and own_interface() in interfaces(),
    "serving": (layout.data_folder(NAME) / "labself1/log/dockerd.log").exists,
}


@pytest.mark.parametrize("stage", STAGES)
def test_down_after_a_killed_up_leaves_nothing(inventory: Path, stage: str) -> None:
    command = [
        NETBENCH, "lab", "up", "--hosts", "1", "--name", NAME, "--inventory", inventory,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starter:
        while starter.poll() is None and not STAGES[stage]():
            pass
        assert starter.poll() is None, "it was done before it could be killed"
        starter.send_signal(signal.SIGKILL)
    interface = own_interface()
    shown = lab("status")
    assert shown.returncode == 1
    assert "is not complete" in shown.stderr
    done = lab("down", "--inventory", str(inventory))
    assert done.returncode == 0, done.stderr
    assert remains(interface) == []
    assert not inventory.exists()
    assert not (inventory.parent / f".{NAME}").exists()


def test_up_after_a_killed_up_starts_anew(inventory: Path) -> None:
    with subprocess.Popen(
        [NETBENCH, "lab", "up", "--hosts", "2", "--name", NAME, "--inventory", inventory],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as starter:
        while starter.poll() is None and not STAGES["wired"]():
            pass
        starter.send_signal(signal.SIGKILL)
    done = lab("up", "--hosts", "1", "--inventory", str(inventory))
    assert done.returncode == 0, done.stderr
    assert set(processes.firsts(NAME)) == {"labself1", "switch"}


def test_an_interrupted_up_takes_back_what_it_began(inventory: Path) -> None:
    with subprocess.Popen(
        [NETBENCH, "lab", "up", "--hosts", "1", "--name", NAME, "--inventory", inventory],
        stderr=subprocess.PIPE,
        text=True,
    ) as starter:
        while starter.poll() is None and not STAGES["started"]():
            pass
        interface = own_interface()
        starter.send_signal(signal.SIGINT)
        assert starter.stderr is not None
        said = starter.stderr.read()
    assert starter.returncode == 130, said
    assert remains(interface) == []


def test_a_lost_record_hides_nothing_from_down(inventory: Path) -> None:
    assert lab("up", "--hosts", "1", "--inventory", str(inventory)).returncode == 0
    interface = own_interface()
    shutil.rmtree(layout.state_folder(NAME))
    done = lab("down", "--inventory", str(inventory))
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 5  # the interface goes with the switch, in the kernel's own time
    while remains(interface) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert remains(interface) == []
    assert not inventory.exists()


def test_an_engine_that_cannot_start_shows_its_log(inventory: Path, tmp_path: Path) -> None:
    broken = tmp_path / "dockerd"
    broken.write_text("#!/bin/sh\necho 'failed to start daemon: the disk is a sieve' >&2\nexit 3\n")
    broken.chmod(0o755)
    dockerd = shutil.which("dockerd", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
    assert dockerd is not None
    # In a mount namespace of its own, so that nobody else's dockerd is a broken one.
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    command = [NETBENCH, "lab", "up", "--hosts", "1", "--name", NAME, "--inventory", inventory]
    done = subprocess.run(
        ["unshare", "--mount", "--", "sh", "-c", script, "sh", broken, dockerd, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "labself1: dockerd ended with status 3" in done.stderr
    assert "the disk is a sieve" in done.stderr
    assert "Traceback" not in done.stderr
    assert remains("") == []
    assert not inventory.exists()


def test_what_is_not_the_labs_stays(inventory: Path) -> None:
    inventory.parent.mkdir()
    foreign_inventory = inventory.parent / "mine.yaml"
    foreign_inventory.write_text("all: {}\n")
    had_netns = Path("/run/netns").exists()
    subprocess.run(["ip", "netns", "add", "nbtest-foreign"], check=True)
    subprocess.run(
        ["ip", "link", "add", "nbtest0", "type", "veth", "peer", "name", "nbtest1"], check=True
    )
    # It has the words, but is no process 1 of anything.
    bystander = subprocess.Popen(
        ["sh", "-c", "while :; do sleep 0.2; done", "sh", processes.MARK, NAME, "labself1"]
    )
    try:
        refused = lab("up", "--hosts", "1", "--inventory", str(foreign_inventory))
        assert refused.returncode == 1
        assert "was not written by lab" in refused.stderr
        assert lab("up", "--hosts", "1", "--inventory", str(inventory)).returncode == 0
        assert lab("down", "--inventory", str(foreign_inventory)).returncode == 0
        inside = ["ip", "netns", "exec", "nbtest-foreign", "ip", "link", "show", "lo"]
        assert subprocess.run(inside, check=False, capture_output=True).returncode == 0
        assert {"nbtest0", "nbtest1"} <= interfaces()
        assert bystander.poll() is None
        assert foreign_inventory.read_text() == "all: {}\n"
    finally:
        bystander.kill()
        bystander.wait()
        subprocess.run(["ip", "link", "del", "nbtest0"], check=True)
        subprocess.run(["ip", "netns", "del", "nbtest-foreign"], check=True)
        if not had_netns:
            subprocess.run(["umount", "/run/netns"], check=True)
            Path("/run/netns").rmdir()


def test_two_labs_side_by_side(inventory: Path, tmp_path: Path) -> None:
    other = "labself-b"
    assert lab("up", "--hosts", "1", "--inventory", str(inventory)).returncode == 0
    try:
        done = netbench(
            "lab", "up", "--name", other, "--hosts", "1", "--inventory", str(tmp_path / "b.yaml")
        )
        assert done.returncode == 0, done.stderr
        assert ssh(tmp_path / "b.yaml", "labself-b1", "hostname").stdout == "labself-b1\n"
        assert lab("down").returncode == 0
        assert ssh(tmp_path / "b.yaml", "labself-b1", "hostname").stdout == "labself-b1\n"
    finally:
        assert netbench("lab", "down", "--name", other).returncode == 0


def test_a_user_without_sudo_is_told(tmp_path: Path) -> None:
    # The interpreter may be out of other users' sight; its own answer is what counts then.
    script = (
        "import os, sys; os.setgroups([]); os.setgid(65534);"
        "import bench.cli.lab, bench.cli; os.setuid(65534);"
        "os.environ['PATH'] = '/nonexistent';"
        "sys.argv = ['netbench', 'lab', 'status']; bench.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("netbench: the lab makes network namespaces")
    assert "install sudo" in done.stderr
