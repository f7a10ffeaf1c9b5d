"""A machine's seed: a plain tar archive on its second disk, laid over its root on every start.

What makes one machine different from another is in here and nowhere else: name, identity, address,
host key, and who may log in. On the kernel's command line everybody could read it.
"""

from __future__ import annotations

import io
import os
import tarfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from bench.lab.layout import DATA_INTERFACE, Lab

_NETWORK = """\
[Match]
Name={interface}

[Network]
Address={address}
IPv6AcceptRA=no
"""


def files(lab: Lab, host: str, *, host_key: str, authorized: str) -> Mapping[str, tuple[int, str]]:
    """Path in the machine -> mode and text."""
    address = lab.hosts[host]
    rows = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    rows += [f"{each} {name}" for name, each in lab.hosts.items()]
    result = {
        "etc/hostname": (0o644, f"{host}\n"),
        "etc/hosts": (0o644, "\n".join(rows) + "\n"),
        "etc/machine-id": (0o444, f"{identity(lab, host)}\n"),
        # The machine's own address, where nothing listens: name servers refuse at once.
        "etc/resolv.conf": (0o644, f"nameserver {address}\noptions timeout:1 attempts:1\n"),
        "etc/systemd/network/10-netbench.network": (
            0o644,
            _NETWORK.format(interface=DATA_INTERFACE, address=f"{address}/{lab.network.prefixlen}"),
        ),
        "etc/ssh/ssh_host_ed25519_key": (0o600, host_key),
        "root/.ssh/authorized_keys": (0o600, authorized),
    }
    if lab.machines is not None and lab.machines.bare:
        # [trusted=yes]: made on this machine from packages whose signatures apt has checked here.
        result["etc/apt/sources.list"] = (0o644, f"deb [trusted=yes] http://{lab.packages}/ ./\n")
    return result


def identity(lab: Lab, host: str) -> str:
    """The machine id: another one for each host of each lab, the same on each of its starts."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{host}.{lab.subnet}.netbench").hex


def write(path: Path, contents: Mapping[str, tuple[int, str]]) -> None:
    """Write the archive, for root only: it has a private key in it."""
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
        tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        folder = tarfile.TarInfo("root/.ssh")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(folder)
        for name, (mode, text) in contents.items():
            entry = tarfile.TarInfo(name)
            content = text.encode()
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
