"""The disk image of a machine, built once for each recipe and then taken from the cache.

    ~/.cache/netbench/vm-SUITE-FLAVOUR-DIGEST/    disk, kernel, initramfs, packages/ (bare only)

The folder gets its name only when all of it is there: what has the name is whole.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import LabError
from bench.lab import preflight
from bench.lab.vm import initramfs, packages, recipe
from bench.lab.vm.recipe import Flavour
from bench.toolbox import mirror
from bench.toolbox.build import cache_folder

ROOM = 3 << 30
LINES_KEPT = 4
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine starts from. ``packages`` is an apt archive for bare machines, else None."""

    disk: Path
    kernel: Path
    initramfs: Path
    packages: Path | None


def ensure(flavour: Flavour, tell: Callable[[str], None]) -> Image:
    """The image of a flavour, from the cache or built now (minutes, and the network).

    ``tell`` is told what is being done, a line at a time. Two callers at once build once. Raises
    LabError; a build that fails or is cut off leaves nothing that counts as an image.
    """
    cache = cache_folder()
    folder = cache / f"{flavour.stem}-{recipe.digest(flavour)}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            with _alone(cache / "vm.lock", tell):
                if not folder.is_dir():
                    _build(folder, flavour, tell)
    except OSError as fault:
        raise LabError(
            f"the machine image: {fault.filename or folder}: {fault.strerror or fault}",
            "make room there, or set XDG_CACHE_HOME to another folder",
        ) from fault
    offered = folder / "packages"
    return Image(
        folder / "disk", folder / "kernel", folder / "initramfs", offered if flavour.bare else None
    )


def _build(folder: Path, flavour: Flavour, tell: Callable[[str], None]) -> None:
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("mkfs.ext4", "e2fsprogs")):
        if shutil.which(tool, path=_environment()["PATH"]) is None:
            raise LabError(f"{tool} is not installed", f"run `apt-get install {package}`")
    free = shutil.disk_usage(folder.parent).free
    if free < ROOM:
        raise LabError(
            f"{folder.parent}: building a machine image takes {ROOM >> 30} GiB there, and only"
            f" {free / (1 << 30):.1f} GiB are free",
            "make room, or set XDG_CACHE_HOME to another folder",
        )
    for left in folder.parent.glob("vm-build-*"):
        # Of a build that was killed: we hold the lock, so nobody is at work in it.
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="vm-build-") as name:
        work = Path(name)
        tree, result = work / "tree", work / "image"
        result.mkdir(mode=0o755)
        tell(f"building the {flavour.suite} machine image from Debian packages (once, minutes)")
        _bootstrap(work, tree, flavour, tell)
        _settle(tree)
        release = max(path.name for path in (tree / "usr/lib/modules").iterdir())
        shutil.copyfile(tree / f"boot/vmlinuz-{release}", result / "kernel")
        (result / "initramfs").write_bytes(initramfs.build(tree, release, recipe.MODULES))
        if flavour.bare:
            packages.index(work / "packages")
            (work / "packages").rename(result / "packages")
        tell("making the disk")
        with (result / "disk").open("wb") as disk:
            disk.truncate(recipe.DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-L", "root", "-d", str(tree), str(result / "disk"))
        os.sync()
        result.rename(folder)
    for old in folder.parent.glob(f"{flavour.stem}-*"):
        if old != folder:  # of a recipe that is no more
            shutil.rmtree(old, ignore_errors=True)
    tell("the machine image is built")


def _bootstrap(work: Path, tree: Path, flavour: Flavour, tell: Callable[[str], None]) -> None:
    hooks = []
    for name, text in (("fetch", recipe.FETCH), ("strip", recipe.STRIP)):
        if name == "strip" or flavour.bare:
            hook = work / name
            hook.write_text(text)
            hook.chmod(0o755)
            hooks.append(f"--customize-hook={hook}")
    source = mirror.find()
    command = (
        # However this program ends, all processes of the build and their mounts end with it.
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--mount", "--propagation", "private"),
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
        '--aptopt=Acquire::Retries "3"',
        f"--include={','.join(recipe.packages(flavour))}",
        *hooks,
        *(flavour.suite, str(tree)),
        *((source,) if source else ()),
    )
    last: deque[str] = deque(maxlen=LINES_KEPT)
    environment = {
        **_environment(),
        "TMPDIR": str(work),
        # The kernel's package need not make the initial file system that we do not use.
        "INITRD": "No",
        "OFFERED": " ".join(recipe.OFFERED),
        "PACKAGES": str(work / "packages"),
    }
    log = work.parent / "vm.log"
    with (
        log.open("w") as record,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            process_group=0,
        ) as process,
    ):
        try:
            for line in process.stderr or ():
                said = line.strip()
                record.write(f"{said}\n")
                if said.startswith("I: "):
                    tell(said.removeprefix("I: "))
                elif said:
                    last.append(said[:200])
        except BaseException:
            _stop(process)
            raise
    if process.returncode:
        raise LabError(
            f"the machine image: mmdebstrap ended with status {process.returncode}:"
            f" {' / '.join(last)}",
            f"all it said is in {log}; NETBENCH_DEBIAN_MIRROR sets another mirror",
        )


def _settle(tree: Path) -> None:
    """Put the settings that all machines share into the tree."""
    for path, text in recipe.FILES.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    units = tree / "etc/systemd/system"
    for unit in recipe.MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "systemd-networkd.service").unlink(missing_ok=True)
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise LabError(f"the machine image: {argv[0]}: {done.stderr.strip()[-300:]}")


def _environment() -> dict[str, str]:
    """The caller's, with the folders of root's tools, which `su` for one leaves out."""
    path = f"{os.environ.get('PATH', '')}:{preflight.PATH}"
    return {**os.environ, "LC_ALL": "C.UTF-8", "PATH": path}


def _stop(process: subprocess.Popen[str]) -> None:
    """End mmdebstrap so that it can take down its temporary tree."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _alone(path: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the builders' lock, which the kernel drops when its holder dies."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another netbench that is building a machine image")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
