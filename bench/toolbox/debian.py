"""Debian packages to a tree in a tar file, by mmdebstrap, as root or as a user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import building
from bench.errors import ImageError
from bench.toolbox import mirror, recipe

# What mmdebstrap, apt or dpkg says, and what to do about it; the first that fits is shown.
_HINTS = {
    ("No space left on device", "You don't have enough free space"): (
        "make room, or set TMPDIR and XDG_CACHE_HOME to where there is some"
    ),
    ("NO_PUBKEY", "is not signed", "Missing key"): (
        "the Debian keys here are too old: sudo apt-get install debian-archive-keyring"
    ),
    (
        *("Could not resolve", "Could not connect", "Unable to connect", "Failed to fetch"),
        *("Temporary failure resolving", "Network is unreachable", "Connection failed"),
    ): (
        "no way to the Debian mirror: set NETBENCH_DEBIAN_MIRROR to one in reach (http_proxy is "
        "honoured), or use an image of your own with --image"
    ),
    ("Unable to locate package", "has no installation candidate"): (
        "the Debian mirror is not whole: set NETBENCH_DEBIAN_MIRROR to another"
    ),
    ("unshare: unshare failed",): (
        "root may not mount here (a container, perhaps): build as a user, or elsewhere and use "
        "--image"
    ),
    ("newuidmap", "newgidmap", "subuid", "unshare", "Operation not permitted"): (
        "building as a user needs user namespaces: sudo apt-get install uidmap and a range of "
        "numbers for the user in /etc/subuid and /etc/subgid, or build as root"
    ),
}


def architecture() -> str:
    """The machine's own architecture, in Debian's words."""
    _required("dpkg", "dpkg")
    return _output(("dpkg", "--print-architecture")).strip()


def build_tree(target: Path, progress: Callable[[str], None]) -> None:
    """Write the recipe's packages, installed, to the tar file ``target``.

    Raises ImageError with the end of mmdebstrap's log; nothing is left behind but a part of
    ``target``.
    """
    _required("mmdebstrap", "mmdebstrap")
    if os.geteuid() != 0:
        _required("newuidmap", "uidmap")
    source = mirror.find()
    # As root it mounts into its tree. In a mount namespace of its own those mounts cannot outlive
    # it, however it ends, and nothing that is removed afterwards is this machine's.
    mode: tuple[str, ...] = ("mmdebstrap", "--mode=unshare")
    if os.geteuid() == 0:
        mode = ("unshare", "--mount", "--propagation", "private", "mmdebstrap", "--mode=root")
    command = (
        *mode,
        "--variant=essential",
        f"--include={','.join(recipe.PACKAGES)}",
        "--dpkgopt=force-unsafe-io",
        recipe.SUITE,
        str(target),
        *((source,) if source else ()),
    )
    # mmdebstrap leaves small folders behind when it fails: they go with this one.
    with tempfile.TemporaryDirectory(prefix="netbench-", ignore_cleanup_errors=True) as scratch:
        ended = building.mmdebstrap(command, _environment(Path(scratch)), progress)
    if ended.status:
        raise failure(ended.status, ended.last)


def failure(status: int, log: list[str]) -> ImageError:
    """The error for a mmdebstrap that ended with ``status`` after saying ``log``."""
    text = "\n".join(log)
    fitting = (hint for signs, hint in _HINTS.items() if any(sign in text for sign in signs))
    return ImageError(
        f"the toolbox image: mmdebstrap ended with status {status}: {' / '.join(log)}",
        next(fitting, "its log says why; an image of your own can be used with --image"),
    )


def versions(admin: Path) -> Mapping[str, str]:
    """The versions of the recipe's tools, by tool, in the tree whose dpkg folder is ``admin``."""
    packages = set(recipe.TOOLS.values())
    shown = _output(("dpkg-query", f"--admindir={admin}", "-W", "-f", "${Package} ${Version}\n"))
    found = dict(line.split(" ", 1) for line in shown.splitlines())
    missing = packages - found.keys()
    if missing:
        raise ImageError(
            f"the toolbox image: the built tree lacks {', '.join(sorted(missing))}",
            "set NETBENCH_DEBIAN_MIRROR to another mirror",
        )
    return {tool: found[package] for tool, package in recipe.TOOLS.items()}


def _required(command: str, package: str) -> None:
    if shutil.which(command) is None:
        raise ImageError(
            f"the toolbox image: {command} is not installed on this machine",
            f"sudo apt-get install {package}",
        )


def _output(command: tuple[str, ...]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, errors="replace"
    )
    if done.returncode != 0:
        raise ImageError(f"the toolbox image: {command[0]}: {done.stderr.strip()[-200:]}")
    return done.stdout


def _environment(scratch: Path) -> dict[str, str]:
    # The other user ids of a user namespace have to get through to what is inside.
    scratch.chmod(0o711)
    return {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(recipe.EPOCH),
        "TMPDIR": str(scratch),
    }
