"""What the machine must have before a lab can be: tools, and features of its kernel."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.errors import LabError
from bench.lab import layout

# Where root's tools are, whatever PATH the caller has.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "/usr/bin/python3": "python3",
}
# What hosts with a Debian root file system of their own need here.
ROOT_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "umount": "mount",
    "pivot_root": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
# What a lab of virtual machines needs here.
MACHINE_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "bridge": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
# What shaping a lab's links needs here.
LINK_PACKAGES = {"ip": "iproute2", "tc": "iproute2", "nsenter": "util-linux"}
# What QEMU itself takes beside a machine's memory (translated code for the most part), and what a
# machine may write, both in MiB.
MACHINE_OVERHEAD = 384
MACHINE_DISK = 1024
NAMESPACES = ("net", "mnt", "pid", "uts", "ipc")


def find(tool: str) -> str:
    """The absolute path of one of root's tools. LabError if it is not installed."""
    path = shutil.which(tool, path=PATH)
    if path is None:
        raise LabError(f"{tool} is not installed", f"run `apt-get install {package(tool)}`")
    return path


def package(tool: str) -> str:
    """The Debian package that has ``tool``."""
    if tool == "docker" and _debian() >= 13:
        return "docker-cli"
    return {**PACKAGES, **ROOT_PACKAGES, **MACHINE_PACKAGES, **LINK_PACKAGES}[tool]


def check(suite: str | None = None) -> None:
    """Raise LabError, naming everything that is missing, if a lab cannot be made here.

    ``suite`` is the Debian of its hosts' own root file systems, None for this machine's programs.
    """
    _tools(ROOT_PACKAGES if suite else PACKAGES)
    lacking = _kernel()
    if lacking:
        raise LabError(
            f"the lab needs of this machine's kernel: {', '.join(lacking)}",
            "load the modules, or use a machine whose kernel has them",
        )
    kind = filesystem_of(layout.DATA_ROOT, Path("/proc/self/mountinfo").read_text())
    if kind in ("overlay", "aufs", "tmpfs", "ramfs") or kind.startswith(("nfs", "fuse", "9p")):
        raise LabError(
            f"{layout.DATA_ROOT} is on {kind}, where Docker's overlay2 storage does not work",
            "mount a disk file system (ext4, xfs, btrfs) there",
        )


def check_machines(size: int, memory: int) -> None:
    """Raise LabError if ``size`` virtual machines of ``memory`` MiB each cannot be made here."""
    if platform.machine() != "x86_64":
        raise LabError(
            f"virtual machines are made on x86_64 only, and this machine is {platform.machine()}",
            "leave out --backend vm",
        )
    _tools(MACHINE_PACKAGES)
    free = available(Path("/proc/meminfo").read_text())
    wanted = size * (memory + MACHINE_OVERHEAD)
    if free < wanted:
        raise LabError(
            f"{size} virtual machines of {memory} MiB take {wanted} MiB of memory, and this machine"
            f" has {free} MiB to spare",
            "choose fewer with --hosts, or smaller ones with --memory",
        )
    root = next(path for path in (layout.DATA_ROOT, *layout.DATA_ROOT.parents) if path.exists())
    room = shutil.disk_usage(root).free >> 20
    if room < size * MACHINE_DISK:
        raise LabError(
            f"{layout.DATA_ROOT}: {size} virtual machines write up to {size * MACHINE_DISK} MiB"
            f" there, and only {room} MiB are free",
            "make room, or choose fewer with --hosts",
        )


def available(meminfo: str) -> int:
    """How much memory programs can still have, in MiB."""
    fields = dict(line.split(":", 1) for line in meminfo.splitlines())
    return int(fields["MemAvailable"].split()[0]) >> 10


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that ``path`` is on, or would be on if it were made."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].encode().decode("unicode_escape"))
        # Of several mounts on one point the last one is the one in sight.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind


def _tools(packages: Mapping[str, str]) -> None:
    missing = [tool for tool in packages if shutil.which(tool, path=PATH) is None]
    if missing:
        wanted = sorted({package(tool) for tool in missing})
        raise LabError(
            f"the lab needs {', '.join(missing)}, which this machine lacks",
            f"run `apt-get install {' '.join(wanted)}`",
        )


def _kernel() -> list[str]:
    modprobe = shutil.which("modprobe", path=PATH)
    if modprobe:
        # As dockerd itself does. What is built in, or refused, shows in the checks below.
        subprocess.run(
            [modprobe, "--all", "--quiet", "overlay", "veth", "bridge", "br_netfilter"],
            check=False,
            capture_output=True,
        )
    lacking = [f"{n} namespaces" for n in NAMESPACES if not Path("/proc/self/ns", n).exists()]
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        lacking.append("overlayfs")
    if not os.path.ismount("/sys/fs/cgroup"):
        lacking.append("cgroups mounted at /sys/fs/cgroup")
    if lacking:
        return lacking
    # In a namespace of its own: looking at a table is enough to bring it into being.
    tables = subprocess.run(
        [find("unshare"), "--net", "--", find("iptables"), "--wait", "-t", "nat", "-S"],
        check=False,
        capture_output=True,
    )
    return ["iptables' nat table"] if tables.returncode else []


def _debian() -> int:
    """Debian's major version, 0 for anything else."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return 0
    version = release.get("VERSION_ID", "").partition(".")[0]
    return int(version) if release.get("ID") == "debian" and version.isdigit() else 0
