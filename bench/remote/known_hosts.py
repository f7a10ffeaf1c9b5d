"""Host keys on record: which keys a host may show, read from known_hosts files.

paramiko's own table knows neither patterns nor ``@revoked`` nor two keys of one type, so matching
is done here; parsing keys and hashing names stays with paramiko.
"""

from __future__ import annotations

import fnmatch
import hmac
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

from bench.errors import HostKeyError

# ssh-keyscan's names for the types of keys.
_SCAN_TYPES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a known_hosts file."""

    marker: str
    patterns: tuple[str, ...]
    key: paramiko.PKey
    file: Path

    def matches(self, name: str) -> bool:
        """Whether the line is about the host ``name`` (``[address]:port`` off port 22)."""
        found = False
        for pattern in self.patterns:
            if pattern.startswith("|1|"):
                hashed = HostKeys.hash_host(name, pattern)
                if hmac.compare_digest(hashed.encode(), pattern.encode()):
                    found = True
            elif pattern.startswith("!"):
                if _like(name, pattern[1:]):
                    return False
            elif _like(name, pattern):
                found = True
        return found


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What is on record for one host. ``files`` are those that were looked into, in order."""

    host: str
    name: str
    files: tuple[Path, ...]
    records: tuple[Record, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the trusted keys, so that the server is asked for one of these first."""
        return tuple(dict.fromkeys(record.key.get_name() for record in self._trusted()))

    def verify(self, key: paramiko.PKey, *, address: str, port: int, via: str = "") -> None:
        """Raises HostKeyError unless this very key is on record and not revoked."""
        shown = f"{key.get_name()} {key.fingerprint}"
        for record in self.records:
            if record.marker == "@revoked" and record.key.asbytes() == key.asbytes():
                raise HostKeyError(
                    self.host,
                    f"its host key {shown} is marked as revoked in {record.file}",
                    "do not connect; ask whoever runs the machine for its new key",
                )
        trusted = list(self._trusted())
        if any(record.key.asbytes() == key.asbytes() for record in trusted):
            return
        changed = [record for record in trusted if record.key.get_name() == key.get_name()]
        if changed:
            forget = f"ssh-keygen -R {shlex.quote(self.name)} -f {_quoted(changed[0].file)}"
            raise HostKeyError(
                self.host,
                f"its host key has changed: {self.name} shows {shown}, {changed[0].file} has"
                f" {changed[0].key.fingerprint}",
                f"if the machine was reinstalled, verify the new fingerprint and run: {forget} &&"
                f" {self._learn(key, address, port, via)}",
            )
        looked = " or ".join(map(str, self.files)) or "any known_hosts file"
        raise HostKeyError(
            self.host,
            f"its host key {shown} is unknown: {self.name} is not in {looked}",
            "verify the fingerprint on the machine itself, then run:"
            f" {self._learn(key, address, port, via)}",
        )

    def _trusted(self) -> Iterator[Record]:
        return (record for record in self.records if not record.marker)

    def _learn(self, key: paramiko.PKey, address: str, port: int, via: str) -> str:
        file = _quoted(self.files[0] if self.files else Path("~/.ssh/known_hosts"))
        if via:
            # ssh-keyscan cannot go through a jump host; ssh itself asks before it adds the key.
            return (
                f"ssh -o UserKnownHostsFile={file} -o HashKnownHosts=no -J {shlex.quote(via)}"
                f" -p {port} {shlex.quote(address)} true"
            )
        scan = _SCAN_TYPES.get(key.get_name(), "ecdsa")
        return f"ssh-keyscan -t {scan} -p {port} {shlex.quote(address)} >> {file}"


def host_name(address: str, port: int) -> str:
    """The name under which OpenSSH records a host."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def known_keys(host: str, name: str, files: Iterable[Path]) -> KnownKeys:
    """What these files say about a host. Files that are missing or unreadable say nothing."""
    looked = tuple(files)
    records = tuple(record for file in looked for record in _records(file) if record.matches(name))
    return KnownKeys(host, name, looked, records)


def _records(file: Path) -> Iterator[Record]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        try:
            entry = HostKeyEntry.from_line(" ".join(words))
        except (InvalidHostKey, paramiko.SSHException, ValueError):
            continue
        if entry is not None and entry.hostnames and entry.key is not None:
            yield Record(marker, tuple(entry.hostnames), entry.key, file)


def _like(name: str, pattern: str) -> bool:
    # Brackets are the notation for ports here, not a set of characters.
    escaped = pattern.lower().replace("[", "[[]")
    return fnmatch.fnmatchcase(name, escaped)


def _quoted(file: Path) -> str:
    home = Path.home()
    if file.is_relative_to(home):
        return f"~/{shlex.quote(str(file.relative_to(home)))}"
    return shlex.quote(str(file)) if not str(file).startswith("~/") else str(file)
