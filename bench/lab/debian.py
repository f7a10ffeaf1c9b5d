"""Trees of Debian packages for the hosts of labs, made once for each recipe and then cached.

~/.cache/netbench/STEM-DIGEST/    gets its name only when all of it is there: so it is whole
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench import building
from bench.errors import LabError
from bench.lab import preflight
from bench.toolbox import mirror

SUITES = ("trixie", "bookworm")
TOOLS: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
LINE_SHOWN = 200

# What any host is asked for over SSH by netbench, Ansible and people, beside what is essential.
BASE = (
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
)
# The client is a package of its own from Debian 13 on.
DOCKER: Mapping[str, tuple[str, ...]] = {
    "trixie": ("docker.io", "docker-cli"),
    "bookworm": ("docker.io",),
}

# What nobody reads in a lab.
STRIP = r"""
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*
rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/var/lib/apt/lists/*
: >"$1/etc/machine-id"
"""


@dataclass(frozen=True, slots=True)
class Product:
    """Something built from packages: what it is called in messages and in the cache, the digest of
    all that decides what it is like, the bytes free that building it takes, and the programs it
    takes, with their Debian packages."""

    name: str
    stem: str
    digest: str
    room: int
    tools: Mapping[str, str]

    @property
    def family(self) -> str:
        """What is built one at a time: root file systems, machine images."""
        return self.stem.partition("-")[0]


def ensure(product: Product, make: Callable[[Path], Path], tell: Callable[[str], None]) -> Path:
    """The product's folder, from the cache or made now.

    ``make`` is given a work folder and returns the result's folder inside it. Two callers at once
    build once. Raises LabError; a build that fails or is cut off leaves nothing that counts.
    """
    cache = building.cache_folder()
    folder = cache / f"{product.stem}-{product.digest}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            with building.alone(cache / f"{product.family}.lock", product.name, tell):
                if not folder.is_dir():
                    _build(folder, product, make)
                    tell(f"{product.name} is built")
    except OSError as fault:
        raise LabError(
            f"{product.name}: {fault.filename or folder}: {fault.strerror or fault}",
            "make room there, or set XDG_CACHE_HOME to another folder",
        ) from fault
    return folder


def bootstrap(
    work: Path,
    product: Product,
    suite: str,
    *,
    packages: Iterable[str],
    hooks: Iterable[str],
    tell: Callable[[str], None],
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Install packages of a Debian suite into a new tree below ``work``; returns the tree.

    ``hooks`` are shell scripts that are given the tree once all is installed, ``extra`` variables
    for them. Raises LabError with mmdebstrap's last words and where all of them are.
    """
    tree = work / "tree"
    written = []
    for number, text in enumerate(hooks):
        hook = work / f"hook{number}"
        hook.write_text(f"#!/bin/sh\nset -eu\n{text}")
        hook.chmod(0o755)
        written.append(f"--customize-hook={hook}")
    source = mirror.find()
    command = (
        # However this program ends, all processes of the build and their mounts end with it.
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "--mount", "--propagation", "private"),
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
        '--aptopt=Acquire::Retries "3"',
        f"--include={','.join(packages)}",
        *written,
        *(suite, str(tree)),
        *((source,) if source else ()),
    )
    # The kernel's package need not make the initial file system that we do not use.
    variables = {**environment(), "TMPDIR": str(work), "INITRD": "No", **(extra or {})}
    log = work.parent / f"{product.family}.log"
    with log.open("w") as record:
        ended = building.mmdebstrap(
            command, variables, tell, lambda said: record.write(f"{said}\n")
        )
    if ended.status:
        said = " / ".join(line[:LINE_SHOWN] for line in ended.last)
        raise LabError(
            f"{product.name}: mmdebstrap ended with status {ended.status}: {said}",
            f"all it said is in {log}; NETBENCH_DEBIAN_MIRROR sets another mirror",
        )
    return tree


def environment() -> dict[str, str]:
    """The caller's, with the folders of root's tools, which `su` for one leaves out."""
    path = f"{os.environ.get('PATH', '')}:{preflight.PATH}"
    return {**os.environ, "LC_ALL": "C.UTF-8", "PATH": path}


def _build(folder: Path, product: Product, make: Callable[[Path], Path]) -> None:
    for tool, package in product.tools.items():
        if shutil.which(tool, path=environment()["PATH"]) is None:
            raise LabError(f"{tool} is not installed", f"run `apt-get install {package}`")
    free = shutil.disk_usage(folder.parent).free
    if free < product.room:
        gib = 1 << 30
        raise LabError(
            f"{folder.parent}: building {product.name} takes {product.room / gib:.3g} GiB there,"
            f" and only {free / gib:.1f} GiB are free",
            "make room, or set XDG_CACHE_HOME to another folder",
        )
    for left in folder.parent.glob(f"{product.family}-build-*"):
        # Of a build that was killed: we hold the lock, so nobody is at work in it.
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{product.family}-build-") as name:
        result = make(Path(name))
        os.sync()
        result.rename(folder)
    for old in folder.parent.glob(f"{product.stem}-*"):
        if old != folder:  # of a recipe that is no more
            _remove_unused(old)


def _remove_unused(folder: Path) -> None:
    """Remove what no host is using: each holds a lock on the tree below its root."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
