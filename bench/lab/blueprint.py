"""What a lab host consists of, as one specification that its process 1 carries out.

A host sees the machine's programs, or those of a Debian tree, but has its own /etc (on top of
theirs), /run, /tmp and /root. Its services get an environment from here, never the caller's: a
proxy or a Docker context of the user's must not reach them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.lab.layout import CGROUP, SWITCH, Lab
from bench.lab.preflight import PATH, find

ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}

# No PAM: no session of the lab is registered on the machine. MaxSessions and the rest keep their
# defaults, so that what works here works on hosts that nobody tuned.
SSHD_CONFIG = """\
ListenAddress {address}
Port 22
HostKey /etc/ssh/netbench_host_ed25519_key
AuthorizedKeysFile /etc/ssh/netbench_authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile /run/sshd.pid
SetEnv DOCKER_HOST=unix:///run/docker.sock LANG=C.UTF-8
Subsystem sftp internal-sftp
"""


def prepare(
    lab: Lab, host: str, *, host_key: str, authorized: str, tree: Path | None = None
) -> Path:
    """Make the host's folder and write its specification; returns the specification's path.

    ``host_key`` is the text of the host's private SSH key, ``authorized`` the user's public key,
    ``tree`` what is below the host's root, None for this machine's own.
    """
    folder = _folders(lab, host)
    below = tree or Path("/")
    files = {
        "/etc/hostname": (0o644, f"{host}\n"),
        "/etc/hosts": (0o644, _hosts(lab)),
        # The host's own address, where nothing listens: name servers refuse at once, so a pull
        # from a registry fails in no time. A loopback address would not do, since the engine
        # replaces those in containers by public name servers.
        "/etc/resolv.conf": (
            0o644,
            f"nameserver {lab.hosts[host]}\noptions timeout:1 attempts:1\n",
        ),
        "/etc/passwd": (0o644, root_can_log_in((below / "etc/passwd").read_text())),
        "/etc/shadow": (0o600, root_unlocked((below / "etc/shadow").read_text())),
        "/etc/ssh/netbench_sshd_config": (
            0o644,
            SSHD_CONFIG.format(address=lab.hosts[host]),
        ),
        "/etc/ssh/netbench_host_ed25519_key": (0o600, host_key),
        "/etc/ssh/netbench_authorized_keys": (0o644, authorized),
    }
    services = {
        "sshd": [_program(tree, "sshd"), "-D", "-e", "-f", "/etc/ssh/netbench_sshd_config"],
        "dockerd": [
            _program(tree, "dockerd"),
            "--data-root",
            f"{folder}/docker",
            "--host",
            "unix:///run/docker.sock",
            "--storage-driver",
            "overlay2",
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
            "--cgroup-parent",
            f"/{CGROUP}/{lab.name}/{host}",
        ],
    }  # fmt: skip - options and their values stay side by side
    return write(
        folder,
        host,
        furnished=str(folder),
        tree=str(tree) if tree else None,
        files=files,
        services=services,
    )


def prepare_switch(lab: Lab, services: Mapping[str, list[str]] | None = None) -> Path:
    """The same for the switch, which holds a network namespace and what is served in it."""
    folder = _folders(lab, SWITCH)
    # Frames between hosts are nobody's to filter, and must not pay for being asked.
    files = {
        f"/proc/sys/net/bridge/bridge-nf-call-{family}tables": (0o644, "0\n")
        for family in ("ip", "ip6", "arp")
    }
    return write(
        folder, f"{lab.name}-{SWITCH}", furnished=None, files=files, services=services or {}
    )


def root_can_log_in(passwd: str) -> str:
    """``passwd`` with root's home at /root and a shell that is there."""
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    lines = []
    for line in passwd.splitlines():
        fields = line.split(":")
        if fields[0] == "root" and len(fields) == 7:
            fields[5:] = ["/root", shell]
        lines.append(":".join(fields) + "\n")
    return "".join(lines)


def root_unlocked(shadow: str) -> str:
    """``shadow`` with no password at all for root, but not locked: sshd refuses a locked account
    even with the right key. No hash of the machine's is copied for anybody else either."""
    lines = []
    for line in shadow.splitlines():
        fields = line.split(":")
        if len(fields) < 2:
            continue
        fields[1] = "*"
        if fields[0] == "root":
            # No expiry either: fields 3 to 8 are days.
            fields[2:] = [""] * (len(fields) - 2)
        lines.append(":".join(fields) + "\n")
    return "".join(lines)


def _program(tree: Path | None, tool: str) -> str:
    """The absolute path, in a host, of one of root's tools."""
    if tree is None:
        return find(tool)
    folder = next(it for it in PATH.split(":") if (tree / it[1:] / tool).exists())
    return f"{folder}/{tool}"


def _hosts(lab: Lab) -> str:
    rows = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    rows += [f"{address} {name}" for name, address in lab.hosts.items()]
    return "\n".join(rows) + "\n"


def _folders(lab: Lab, host: str) -> Path:
    folder = lab.folder(host)
    folder.mkdir(mode=0o711, parents=True)
    for name, mode in (
        ("above", 0o755),
        ("above.work", 0o700),
        ("docker", 0o711),
        ("etc", 0o755),
        ("etc.work", 0o700),
        ("log", 0o700),
        ("root", 0o700),
        ("tmp", 0o1777),
    ):  # fmt: skip - pairs
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    return folder


def write(folder: Path, hostname: str, **parts: Any) -> Path:
    """Write the specification that process 1 carries out into a host's folder."""
    path = folder / "host.json"
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "hostname": hostname,
                "log": str(folder / "log"),
                "environment": ENVIRONMENT,
                "tree": None,
                **parts,
            }
        )
    )
    return path
