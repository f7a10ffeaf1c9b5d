"""Keeping what `netbench verify` found: verify.json, and the raw output it was read from."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from bench.checked import FORMAT, Verification
from bench.errors import StoreError
from bench.store.writer import refuse_existing

FILE = "verify.json"


class VerificationWriter:
    """Writes one verification's folder. Raises StoreError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        refuse_existing(path)
        try:
            (path / "raw").mkdir(parents=True)
        except OSError as fault:
            raise _disk(path, fault) from fault

    def raw(self, about: str, stdout: bytes, stderr: bytes) -> str:
        """Keep a command's output; returns the file's name relative to the folder."""
        self.count += 1
        name = f"raw/{self.count:04d}-{re.sub(r'[^a-z0-9.-]+', '_', about.lower())[:80]}.txt"
        said = stdout + (b"--- standard error ---\n" + stderr if stderr else b"")
        try:
            (self.path / name).write_bytes(said)
        except OSError as fault:
            raise _disk(self.path / name, fault) from fault
        return name

    def write(self, found: Verification) -> None:
        """Write the findings, whole or not at all."""
        path = self.path / FILE
        whole = path.with_name(f"{FILE}.new")
        try:
            whole.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
            whole.replace(path)
        except OSError as fault:
            raise _disk(path, fault) from fault


def load_verification(path: Path) -> Verification:
    """What a folder's verify.json holds. Raises StoreError, naming it, for anything else."""
    file = path / FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Verification)
    except OSError as fault:
        raise StoreError(
            f"{file}: {fault.strerror}", "name the folder that `netbench verify` made"
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise StoreError(f"{file}: {fault}", "the file is damaged") from None
    if found.format > FORMAT:
        raise StoreError(f"{file}: has format {found.format}", "read it with a newer netbench")
    return found


def _disk(path: Path, fault: OSError) -> StoreError:
    return StoreError(f"{path}: {fault.strerror}", "make room or name another folder with --out")
