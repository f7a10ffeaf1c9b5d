"""What a lab gives its user: an Ansible inventory and, beside it, a key and a ``known_hosts``.

    hosts/lab.yaml            the inventory
    hosts/.lab/               id_ed25519, known_hosts, and a file that says whose folder it is

Only files that a lab of the same name wrote are ever overwritten or removed.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from bench.errors import LabError
from bench.lab.layout import DATA_INTERFACE, Lab
from bench.units import exact

KEY = "id_ed25519"
KNOWN_HOSTS = "known_hosts"
MARK = "netbench-lab"

# Both ssh's and Ansible's own quoting would be needed for anything else.
_PLAIN = re.compile(r"[\w./+,:@-]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who the files are for: the user behind sudo."""

    uid: int
    gid: int

    @classmethod
    def invoking(cls, environment: Mapping[str, str]) -> Owner:
        """The user who called sudo, or the one we are."""
        try:
            return cls(int(environment["SUDO_UID"]), int(environment["SUDO_GID"]))
        except (KeyError, ValueError):
            return cls(os.getuid(), os.getgid())


@dataclass(frozen=True, slots=True)
class Keys:
    """The lab's keys as texts: the user's private one, and each host's public one."""

    private: str
    hosts: Mapping[str, str]


def key_folder(name: str, inventory: Path) -> Path:
    return inventory.parent / f".{name}"


def check(name: str, inventory: Path) -> None:
    """Raise LabError if writing there would overwrite what no lab of this name has written."""
    if not _PLAIN.fullmatch(str(inventory)):
        raise LabError(
            f"{inventory}: a path with spaces or special characters cannot be put into SSH options",
            "choose another with --inventory",
        )
    if inventory.is_symlink() or (inventory.exists() and not _is_ours(name, inventory)):
        raise LabError(
            f"{inventory} is there and was not written by lab {name}",
            "choose another with --inventory, or remove it",
        )
    folder = key_folder(name, inventory)
    if folder.is_symlink() or (folder.exists() and not _is_ours(name, folder / MARK)):
        raise LabError(
            f"{folder} is there and was not made by lab {name}",
            "choose another --inventory or --name, or remove it",
        )


def write(lab: Lab, keys: Keys, inventory: Path, owner: Owner) -> None:
    """Write inventory, key and known_hosts for ``owner``. ``inventory`` is absolute."""
    check(lab.name, inventory)
    folder = key_folder(lab.name, inventory)
    try:
        _make(inventory.parent, owner, 0o755)
        _make(folder, owner, 0o700)
        _put(folder / MARK, _first_line(lab.name), 0o644, owner)
        _put(folder / KEY, keys.private, 0o600, owner)
        _put(folder / KNOWN_HOSTS, known_hosts(lab, keys), 0o644, owner)
        _put(inventory, _inventory(lab, folder), 0o644, owner)
    except OSError as fault:
        raise LabError(
            f"{fault.filename or inventory}: {fault.strerror}", "choose another with --inventory"
        ) from fault


def renew(lab: Lab, inventory: Path) -> None:
    """Write the inventory anew, for whom it was written before; one that is gone stays away."""
    if inventory.is_symlink() or not _is_ours(lab.name, inventory):
        return
    found = inventory.stat()
    owner = Owner(found.st_uid, found.st_gid)
    _put(inventory, _inventory(lab, key_folder(lab.name, inventory)), 0o644, owner)


def remove(name: str, inventory: Path) -> bool:
    """Remove what :func:`write` wrote; True if there was anything."""
    folder = key_folder(name, inventory)
    removed = False
    if not inventory.is_symlink() and _is_ours(name, inventory):
        inventory.unlink()
        removed = True
    if not folder.is_symlink() and _is_ours(name, folder / MARK):
        # The mark goes last: a folder that is half removed is still known as ours.
        for file in (KEY, KNOWN_HOSTS, MARK):
            (folder / file).unlink(missing_ok=True)
        with suppress(OSError):  # somebody keeps a file of their own in it
            folder.rmdir()
        removed = True
    return removed


def _first_line(name: str) -> str:
    return f"# Written by `netbench lab up` for lab {name}; `netbench lab down` removes it.\n"


def _is_ours(name: str, file: Path) -> bool:
    try:
        with file.open(encoding="utf-8", errors="replace") as text:
            return text.readline() == _first_line(name)
    except OSError:
        return False


def _inventory(lab: Lab, folder: Path) -> str:
    hosts: dict[str, dict[str, str]] = {}
    for name, address in lab.hosts.items():
        hosts[name] = {"ansible_host": str(address), "netbench_data_interface": DATA_INTERFACE}
        link = lab.links.get(name)
        if link is not None:
            hosts[name]["netbench_emulated_link"] = link.words
            if link.rate:
                hosts[name]["netbench_line_rate"] = exact(link.rate, "bit/s")
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / KEY),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder / KNOWN_HOSTS}",
        "ansible_python_interpreter": "/usr/bin/python3",
        "netbench_shared_kernel": lab.machines is None,
    }
    yaml = YAML()
    yaml.width = 4096  # one line per setting, however long the path
    text = io.StringIO()
    yaml.dump({"all": {"vars": common, "hosts": hosts}}, text)
    return _first_line(lab.name) + text.getvalue()


def known_hosts(lab: Lab, keys: Keys) -> str:
    """The text of a ``known_hosts`` file for the lab."""
    return "".join(
        f"{address},{name} {' '.join(keys.hosts[name].split()[:2])}\n"
        for name, address in lab.hosts.items()
    )


def _make(folder: Path, owner: Owner, mode: int) -> None:
    if folder.is_dir():
        return
    _make(folder.parent, owner, 0o755)
    folder.mkdir(mode=mode)
    os.chown(folder, owner.uid, owner.gid)


def _put(path: Path, text: str, mode: int, owner: Owner) -> None:
    """Write a file in one step, so that no reader sees half of it or the wrong mode."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        os.fchown(handle, owner.uid, owner.gid)
        file.write(text)
    part.replace(path)
