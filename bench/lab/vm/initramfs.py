"""The initial file system of a machine: Debian's static busybox, four modules and a short script.

Debian's own one starts a whole udev; without hardware acceleration that takes longer than all the
rest of it.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.errors import LabError

APPLETS = (
    "cat",
    "echo",
    "insmod",
    "mkdir",
    "mount",
    "poweroff",
    "sh",
    "sleep",
    "switch_root",
    "tar",
    "umount",
)  # fmt: skip - a list of words
TRIAL = "netbench.trial"
TRIAL_ANSWER = "netbench: this accelerator boots"

# The seed (the second disk, a plain tar archive) is laid over the root on every start.
INIT = f"""\
#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
case " $(cat /proc/cmdline) " in *" {TRIAL} "*)
    echo "{TRIAL_ANSWER}" >/dev/console
    poweroff -f ;;
esac
while read -r module; do
    insmod "/modules/$module" || echo "netbench: no module $module"
done </modules/order
tries=0
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || {{ echo "netbench: the disks do not appear"; poweroff -f; }}
    sleep 0.1
done
mount -t ext4 -o noatime /dev/vda /root && tar -x -f /dev/vdb -C /root || {{
    echo "netbench: the root file system cannot be used"; poweroff -f
}}
umount /proc
mount -o move /dev /root/dev
exec switch_root /root /sbin/init
"""

_DIRECTORY, _FILE, _LINK = 0o040755, 0o100755, 0o120777


def build(tree: Path, release: str, modules: Iterable[str]) -> bytes:
    """The archive for the kernel ``release`` installed in ``tree``, with ``modules`` and theirs."""
    folder = tree / "usr/lib/modules" / release
    entries: list[tuple[str, int, bytes]] = [
        (name, _DIRECTORY, b"") for name in ("bin", "dev", "modules", "proc", "root")
    ]
    entries.append(("init", _FILE, INIT.encode()))
    entries.append(("bin/busybox", _FILE, (tree / "usr/bin/busybox").read_bytes()))
    entries += [(f"bin/{applet}", _LINK, b"busybox") for applet in APPLETS]
    order = []
    for path in load_order((folder / "modules.dep").read_text(), modules, _built_in(folder)):
        name = Path(path).name.partition(".ko")[0] + ".ko"
        entries.append((f"modules/{name}", _FILE, _plain(folder / path)))
        order.append(name)
    entries.append(("modules/order", _FILE, "".join(f"{name}\n" for name in order).encode()))
    return gzip.compress(_cpio(entries), compresslevel=6, mtime=0)


def load_order(dependencies: str, wanted: Iterable[str], built_in: set[str]) -> list[str]:
    """The files of the ``wanted`` modules and of what they need, in the order to load them.

    ``dependencies`` is the text of ``modules.dep``. A module that is ``built_in`` needs no file;
    one that does not exist at all is a LabError.
    """
    needs = {}
    for line in dependencies.splitlines():
        path, _, rest = line.partition(":")
        needs[_name(path)] = (path, rest.split())
    order: list[str] = []
    for module in wanted:
        if module in built_in:
            continue
        if module not in needs:
            raise LabError(f"the machine's kernel has no module {module}", "use another --suite")
        path, deps = needs[module]
        # In modules.dep what has to be loaded first stands last.
        order += [each for each in (*reversed(deps), path) if each not in order]
    return order


def _built_in(folder: Path) -> set[str]:
    return {_name(line) for line in (folder / "modules.builtin").read_text().splitlines()}


def _name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")


def _plain(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _cpio(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    parts: list[bytes] = []
    for number, (name, mode, content) in enumerate(entries, start=1):
        parts += _entry(number, name, mode, content)
    parts += _entry(0, "TRAILER!!!", 0, b"")
    return b"".join(parts)


def _entry(number: int, name: str, mode: int, content: bytes) -> Iterator[bytes]:
    """One entry in the "newc" format: thirteen numbers of eight hexadecimal digits, name, content,
    both filled up to multiples of four bytes."""
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    yield head + bytes(-len(head) % 4)
    yield content + bytes(-len(content) % 4)
