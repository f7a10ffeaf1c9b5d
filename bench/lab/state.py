"""What ``lab up`` decided, on disk before anything is begun, and the lock around up and down."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bench.errors import LabError
from bench.lab import layout
from bench.lab.layout import Lab

LOCK_TIMEOUT = 180.0

# Paths are text in JSON.
_READER = msgspec.json.Decoder(Lab, dec_hook=lambda kind, text: kind(text))


def load(name: str) -> Lab | None:
    """The lab called ``name``, or None if there is no record of it.

    A record that cannot be read counts as none: what it recorded is found without it.
    """
    try:
        return _READER.decode((layout.state_folder(name) / "lab.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def save(lab: Lab) -> None:
    """Write the record, whole or not at all."""
    folder = layout.state_folder(lab.name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / "lab.json.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(lab, enc_hook=str), indent=2))
    part.replace(folder / "lab.json")


def forget(name: str) -> None:
    """Remove the record, and the folders above it that are empty then."""
    _remove(layout.state_folder(name))


def clear_data(name: str) -> None:
    """Remove what the lab's hosts kept on disk."""
    _remove(layout.data_folder(name))


def names() -> list[str]:
    """Every lab that has a record or left data behind."""
    found = set()
    for root in (layout.STATE_ROOT, layout.DATA_ROOT):
        with suppress(FileNotFoundError):
            found |= {entry.name for entry in root.iterdir() if entry.is_dir()}
    return sorted(found)


def traces(name: str) -> bool:
    """True if a lab called ``name`` has a record or data on disk."""
    return layout.state_folder(name).exists() or layout.data_folder(name).exists()


@contextmanager
def locked(timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the one lock of all labs: one ``up`` or ``down`` at a time.

    The kernel drops it when its holder dies. Raises LabError after ``timeout`` seconds.
    """
    root = layout.STATE_ROOT
    deadline = time.monotonic() + timeout
    while True:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The last lab's end removes the folder: a lock on a removed one guards nothing.
                if os.path.samestat(os.fstat(handle), root.stat()):
                    break
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(handle)
        if time.monotonic() > deadline:
            raise LabError(
                f"{root}: another `netbench lab` has been at work for {timeout:.0f} s",
                "wait for it, or end it and run `netbench lab down`",
            )
        time.sleep(0.1)
    try:
        yield
    finally:
        _prune(root)
        os.close(handle)


@contextmanager
def claimed(name: str) -> Iterator[None]:
    """Hold the lab ``name``, whose record is there, while its machines come up.

    That takes minutes, in which other labs must not wait for the lock of all labs. The kernel
    drops the claim when its holder dies.
    """
    handle = os.open(_claim(name), os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def check_unclaimed(name: str) -> None:
    """Raise LabError if another ``lab up`` is at work on the lab ``name``."""
    with suppress(FileNotFoundError):
        handle = os.open(_claim(name), os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(
                f"lab {name}: another `netbench lab up` is bringing it up",
                "wait for it, or interrupt it: it then takes down what it began",
            ) from None
        finally:
            os.close(handle)


def _claim(name: str) -> Path:
    return layout.state_folder(name) / "up.lock"


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as fault:
        raise LabError(
            f"{fault.filename or folder}: {fault.strerror}",
            "see what still uses it, then run `netbench lab down` for this lab again",
        ) from fault
    _prune(folder.parent)


def _prune(folder: Path) -> None:
    """Remove ``folder`` (the root of labs) and netbench's own folder above it, where empty."""
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
