"""The SSH keys of a lab, made by ``ssh-keygen`` and kept, root only, beside the lab's record."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.errors import LabError
from bench.lab import layout
from bench.lab.handout import Keys
from bench.lab.layout import Lab
from bench.lab.preflight import find

USER = "user"


def make(lab: Lab) -> None:
    """Make a key for the user and one for each host."""
    where = folder(lab)
    where.mkdir(mode=0o700)
    for owner in (USER, *lab.hosts):
        done = subprocess.run(
            [
                find("ssh-keygen"),
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                f"netbench lab {lab.name}",
                "-f",
                str(where / owner),
            ],
            check=False,
            capture_output=True,
            text=True,
        )  # fmt: skip - words of one command
        if done.returncode:
            raise LabError(f"{owner}: ssh-keygen made no key: {done.stderr.strip()}")


def private(lab: Lab, owner: str) -> str:
    """The private key of a host or of :data:`USER`."""
    return _read(folder(lab) / owner)


def public(lab: Lab, owner: str) -> str:
    return _read(folder(lab) / f"{owner}.pub")


def for_user(lab: Lab) -> Keys:
    """What the user needs to reach the hosts."""
    return Keys(private(lab, USER), {host: public(lab, host) for host in lab.hosts})


def folder(lab: Lab) -> Path:
    """Where the keys are, each under its owner's name."""
    return layout.state_folder(lab.name) / "keys"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as fault:
        raise LabError(
            f"{path}: {fault.strerror}",
            "run `netbench lab down` for this lab and then `netbench lab up`",
        ) from fault
