"""What is in the toolbox image: Debian's packages, less what no tool needs, plus our own files.

What decides what the image is like - this module, the one that packs the image, our own files - is
what the recipe's digest covers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

SUITE = "trixie"
PACKAGES = (
    "ethtool",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "libc-bin",
    # iperf3 ends its threads with pthread_exit, which aborts without it; no package depends on it.
    "libgcc-s1",
    "libnginx-mod-http-echo",
    "luajit",
    "netperf",
    "nghttp2-client",
    "nginx-light",
    "sockperf",
)

# The packages whose versions decide what is measured, and the names they are recorded by.
TOOLS = {
    "iperf3": "iperf3",
    "netperf": "netperf",
    "sockperf": "sockperf",
    "h2load": "nghttp2-client",
    "luajit": "luajit",
    "nginx": "nginx",
    "nginx-echo": "libnginx-mod-http-echo",
    "iproute2": "iproute2",
    "ping": "iputils-ping",
    "ethtool": "ethtool",
    "libc": "libc6",
}

# No file in the image is younger (Unix time, 2025-01-01): equal packages give an equal image.
EPOCH = 1_735_689_600

# Left out: documentation (not its copyright files), translations, caches, logs, what a package
# manager would need, device nodes (Docker makes its own), and what is the building machine's.
_DROPPED = re.compile(
    r"(usr/share/(doc(-base)?/(?!.*/copyright$)|man/|info/|locale/|lintian/|bug/|bash-completion/)"
    r"|usr/share/(zoneinfo|vim|gcc|gdb|systemd)/"
    r"|usr/lib/[^/]+/gconv/"
    r"|(var/cache|var/log|var/lib/apt|var/backups|etc/apt|dev|proc|sys|run|tmp)/"
    r"|etc/(resolv\.conf|hostname|hosts|machine-id)$"
    r"|etc/(passwd|group|shadow|gshadow|subuid|subgid)-$"
    r"|var/lib/dpkg/(status-old|available|lock|info/[^/]+\.(md5sums|templates)$))"
)

FILES_AT = "usr/share/netbench"
COMMANDS_AT = "usr/bin"


def wanted(path: str) -> bool:
    """Whether ``path`` of the packages' tree (relative, no leading ``./``) goes into the image."""
    return _DROPPED.match(path) is None


def own_files() -> Iterator[tuple[str, int, bytes]]:
    """Our own files: path in the image, mode, content; in the order of their names."""
    for file in sorted(files("bench.toolbox").joinpath("files").iterdir(), key=lambda it: it.name):
        command = file.name.startswith("netbench-")
        folder = COMMANDS_AT if command else FILES_AT
        yield f"{folder}/{file.name}", 0o755 if command else 0o644, file.read_bytes()


def digest(architecture: str) -> str:
    """The recipe's digest (hexadecimal): of the code, our own files and the architecture."""
    here = Path(__file__)
    total = hashlib.sha256(here.read_bytes() + here.with_name("archive.py").read_bytes())
    total.update(architecture.encode() + b"\0")
    for path, mode, content in own_files():
        total.update(f"{path}\0{mode:o}\0{len(content)}\0".encode() + content)
    return total.hexdigest()
