"""A lab of virtual machines where something is amiss, with a stand-in for QEMU: seconds, no kernel.

The stand-in, like everything else that a test changes of this machine, is mounted in a namespace
of the one command only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.lab import layout, preflight, processes
from bench.lab.vm import recipe
from bench.lab.vm.recipe import Flavour

NAME = "labvm"
NETBENCH = Path(sys.executable).with_name("netbench")
STAND_IN = Path(__file__).with_name("stand_in_qemu.py")
MODE = Path("/run/netbench-stand-in")

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(
        any(shutil.which(tool, path=preflight.PATH) is None for tool in preflight.MACHINE_PACKAGES),
        reason="a lab of virtual machines needs scripts/prerequisites vm",
    ),
]


class Lab:
    """`netbench lab` with changes to what it sees of this machine."""

    def __init__(self, folder: Path) -> None:
        self.inventory = folder / "hosts" / "own.yaml"
        self.cache = folder / "cache"
        self.mounts: list[str] = []

    def instead(self, tool: str, other: Path) -> None:
        """``other`` in the place of one of root's tools."""
        real = shutil.which(tool, path=preflight.PATH)
        assert real is not None
        self.mounts.append(f"mount --bind {other} {Path(real).resolve()}")

    def command(self, verb: str, *words: str) -> list[str]:
        script = "; ".join(["set -e", *self.mounts, 'exec "$@"'])
        argv = [str(NETBENCH), "lab", verb, "--name", NAME, *words]
        if verb != "status":
            argv += ["--inventory", str(self.inventory)]
        if verb == "up":
            argv += ["--backend", "vm", "--bare", "--hosts", "1"]
        return ["unshare", "--mount", "--", "sh", "-c", script, "sh", *argv]

    def start(self, verb: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(verb, *words),
            env={**os.environ, "XDG_CACHE_HOME": str(self.cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, verb: str, *words: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        with self.start(verb, *words) as command:
            said = "".join(command.communicate(timeout=120))
        assert "Traceback" not in said
        return command.returncode, said


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab with an image that only the stand-in can start."""
    found = Lab(tmp_path)
    found.instead("qemu-system-x86_64", STAND_IN)
    flavour = Flavour("trixie", bare=True)
    image = found.cache / "netbench" / f"{flavour.stem}-{recipe.digest(flavour)}"
    (image / "packages").mkdir(parents=True)
    for name in ("disk", "kernel", "initramfs"):
        (image / name).touch()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (image.parent / "kvm.json").write_text(json.dumps({"boot": boot, "works": False}))
    MODE.write_text("hang")
    yield found
    MODE.unlink()
    found.mounts.clear()
    assert found("down")[0] == 0
    assert remains() == []


def remains() -> list[str]:
    """What there is of the lab on this machine."""
    left = [f"{process.host} ({process.pid})" for process in processes.found(NAME)]
    left += [
        f"process {entry.name}"
        for entry in Path("/proc").glob("[0-9]*")
        if f"lab/{NAME}/".encode() in _words(entry)
    ]
    left += [str(p) for p in (layout.state_folder(NAME), layout.data_folder(NAME)) if p.exists()]
    return left


def _words(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def wait_for(what: Callable[[], object], command: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running() -> bool:
    return (layout.data_folder(NAME) / f"{NAME}1/log/console.log").exists()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("end", "QEMU ended with status 1 (qemu-system-x86_64: cannot set up guest memory /"),
        ("panic", "its kernel panicked"),
    ],
)
def test_a_machine_that_dies_shows_its_console(lab: Lab, mode: str, said: str) -> None:
    MODE.write_text(mode)
    code, words = lab("up")
    assert code == 1
    assert f"{NAME}1: {said}" in words
    assert "its console ends with:\n" in words
    assert "    [    1.0] a line of the console\n" in words
    assert remains() == []
    assert not lab.inventory.exists()


def test_nobody_disturbs_an_up_that_is_at_work(lab: Lab) -> None:
    with lab.start("up") as first:
        wait_for(running, first)
        for verb in ("up", "down"):
            code, said = lab(verb)
            assert code == 1
            assert "another `netbench lab up` is bringing it up" in said.splitlines()[-1]
        assert "is not complete" in lab("status")[1]
        first.send_signal(signal.SIGINT)
        said = "".join(first.communicate(timeout=60))
    assert first.returncode == 130, said
    assert remains() == []


def test_after_a_killed_up_the_next_begins_anew(lab: Lab) -> None:
    with lab.start("up") as first:
        wait_for(running, first)
        first.kill()
    assert "is not complete" in lab("status")[1]
    MODE.write_text("answer")
    code, said = lab("up")
    assert code == 0, said
    assert set(processes.firsts(NAME)) == {f"{NAME}1", "switch"}
    assert lab.inventory.exists()
    assert lab("down")[0] == 0
    assert remains() == []
    assert not lab.inventory.exists()
    assert "there is none" in lab("down")[1]


@pytest.mark.parametrize("lost", ["record", "process 1"])
def test_down_after_a_crash(lab: Lab, lost: str) -> None:
    MODE.write_text("answer")
    assert lab("up")[0] == 0
    if lost == "record":
        shutil.rmtree(layout.state_folder(NAME))
    else:
        os.kill(processes.firsts(NAME)[f"{NAME}1"], signal.SIGKILL)
        code, said = lab("status")
        assert code == 1
        assert "is not running" in said
    code, said = lab("down")
    assert code == 0, said
    assert remains() == []


def test_without_qemu(lab: Lab) -> None:
    lab.mounts.clear()
    lab.instead("qemu-system-x86_64", Path("/dev/null"))
    code, said = lab("up")
    assert code == 1
    assert "lacks; run `apt-get install qemu-system-x86`" in said
    assert said.count("\n") == 1
    assert remains() == []


@pytest.mark.parametrize(
    ("mounts", "words", "expected"),
    [
        ([], ["--memory", "65536", "--hosts", "32"], "of memory, and this machine has"),
        (
            ["mkdir -p /var/lib/netbench", "mount -t tmpfs -o size=16m tmpfs /var/lib/netbench"],
            [],
            "write up to 1024 MiB there, and only 16 MiB are free",
        ),
    ],
)
def test_too_little_room(lab: Lab, mounts: list[str], words: list[str], expected: str) -> None:
    lab.mounts += mounts
    code, said = lab("up", *words)
    assert code == 1
    assert expected in said
    assert said.count("\n") == 1
    assert remains() == []


@pytest.fixture
def builder(lab: Lab, tmp_path: Path) -> Lab:
    """A lab without an image, whose mmdebstrap makes half a tree and then waits or fails."""
    for image in lab.cache.glob("netbench/vm-*"):
        shutil.rmtree(image)
    script = tmp_path / "mmdebstrap"
    script.write_text(
        "#!/bin/sh\n"
        "for tree; do case $tree in */tree) mkdir -p $tree/usr/lib ;; esac; done\n"
        "trap 'echo E: told to end >&2; exit 1' TERM\n"
        f"case $(cat {MODE}) in end) echo 'E: no space left in the archive' >&2; exit 25 ;; esac\n"
        f"touch {tmp_path}/building; sleep 300 & wait\n"
    )
    script.chmod(0o755)
    lab.instead("mmdebstrap", script)
    return lab


def cached(lab: Lab) -> set[str]:
    return {path.name for path in (lab.cache / "netbench").iterdir()} - {"kvm.json"}


def test_an_image_that_fails_half_way_leaves_nothing(builder: Lab) -> None:
    MODE.write_text("end")
    code, said = builder("up")
    assert code == 1
    assert "mmdebstrap ended with status 25: E: no space left in the archive" in said
    assert cached(builder) == {"vm.lock", "vm.log"}
    assert remains() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_cut_off(builder: Lab, tmp_path: Path, number: signal.Signals) -> None:
    with builder.start("up") as up:
        wait_for((tmp_path / "building").exists, up)
        up.send_signal(number)
        up.communicate(timeout=30)
    assert up.returncode == (-9 if number is signal.SIGKILL else 130)
    tree = f"{builder.cache}/netbench/vm-build-".encode()
    deadline = time.monotonic() + 10
    while any(tree in _words(process) for process in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < deadline, "the build goes on"
        time.sleep(0.05)
    if number is signal.SIGKILL:
        # Nobody was left to remove the half of it: the next build does that.
        MODE.write_text("end")
        assert builder("up")[0] == 1
    assert cached(builder) == {"vm.lock", "vm.log"}
    assert remains() == []
