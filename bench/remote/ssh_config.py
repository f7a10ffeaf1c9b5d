"""Where a host really is and with what to log in: the inventory's word, then ~/.ssh/config's."""

from __future__ import annotations

import getpass
import glob
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from bench.errors import HostUnreachable, UsageError
from bench.model import Host

if TYPE_CHECKING:
    from paramiko.config import SSHConfigDict

_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_GLOBAL_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_NESTED = 16


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One machine to log in to.

    ``required_key`` is the key file that the inventory names: it must be there. ``key_files`` are
    further ones to try; ``named_keys`` says that ~/.ssh/config chose them. ``jumps`` are the hosts
    to go through, nearest first, as written. ``command`` is a ProxyCommand.
    """

    address: str
    port: int
    user: str
    required_key: Path | None
    key_files: tuple[Path, ...]
    named_keys: bool
    identities_only: bool
    known_hosts_files: tuple[Path, ...]
    key_alias: str
    jumps: tuple[str, ...]
    command: str | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.address} port {self.port}"


def read_config() -> paramiko.SSHConfig:
    """~/.ssh/config and /etc/ssh/ssh_config, with what they include.

    Raises UsageError for a file that SSH's own client would not understand either.
    """
    config = paramiko.SSHConfig()
    for path in (Path.home() / ".ssh" / "config", _SYSTEM_CONFIG):
        try:
            config.parse(iter(_lines(path, 0)))
        except (paramiko.SSHException, ValueError) as fault:
            raise UsageError(f"{path}: {fault}", "`ssh -G HOST` shows how ssh reads it") from None
    return config


def resolve(host: Host, config: paramiko.SSHConfig) -> Endpoint:
    """How to reach a host of the inventory."""
    found = _lookup(config, host.address, host.name)
    endpoint = _endpoint(found, host.address, host.name)
    return replace(
        endpoint,
        port=host.port or endpoint.port,
        user=host.user or endpoint.user,
        required_key=host.key_file,
        known_hosts_files=_known_hosts(found, host.known_hosts_file),
        jumps=_jumps(host.proxy_jump) if host.proxy_jump is not None else endpoint.jumps,
        command=None if host.proxy_jump is not None else endpoint.command,
    )


def resolve_jump(jump: str, config: paramiko.SSHConfig, host: Host, *, nearest: bool) -> Endpoint:
    """How to reach a jump host, written ``[user@]host[:port]`` or ``ssh://...``.

    The inventory's key and user are not for it; its known_hosts file counts too. Only the nearest
    of a chain may itself need another jump, as with ssh(1).
    """
    text = jump.removeprefix("ssh://")
    user, _, rest = text.rpartition("@")
    name, port = _port(rest, host.name)
    found = _lookup(config, name, host.name)
    endpoint = _endpoint(found, name, host.name)
    return replace(
        endpoint,
        port=port or endpoint.port,
        user=user or endpoint.user,
        known_hosts_files=_known_hosts(found, host.known_hosts_file),
        jumps=endpoint.jumps if nearest else (),
        command=endpoint.command if nearest else None,
    )


def _lookup(config: paramiko.SSHConfig, name: str, host: str) -> SSHConfigDict:
    try:
        return config.lookup(name)
    except (paramiko.SSHException, ValueError, KeyError, OSError) as fault:
        raise HostUnreachable(
            host, f"~/.ssh/config cannot be applied to {name} ({fault})", f"try `ssh -G {name}`"
        ) from None


def _endpoint(found: SSHConfigDict, name: str, host: str) -> Endpoint:
    given: str | list[str] = found.get("identityfile", [])
    files = [given] if isinstance(given, str) else given
    named = bool(files)
    paths = [Path(file).expanduser() for file in files if file != "none"]
    if not named:
        paths = [Path.home() / ".ssh" / file for file in _DEFAULT_KEYS]
    address = str(found.get("hostname", name))
    port = str(found.get("port", "22"))
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise HostUnreachable(host, f"~/.ssh/config gives {name} the port {port!r}", "correct it")
    return Endpoint(
        address=address,
        port=int(port),
        user=str(found.get("user") or getpass.getuser()),
        required_key=None,
        key_files=tuple(dict.fromkeys(paths)),
        named_keys=named,
        identities_only=str(found.get("identitiesonly", "no")).lower() == "yes",
        known_hosts_files=_known_hosts(found, None),
        key_alias=str(found.get("hostkeyalias", "")),
        jumps=_jumps(found.get("proxyjump") or ""),
        command=found.get("proxycommand"),
    )


def _known_hosts(found: SSHConfigDict, chosen: Path | None) -> tuple[Path, ...]:
    """The files to look into; /dev/null, the usual way to switch the check off, does not count."""
    own: tuple[Path, ...]
    if chosen is not None:
        own = (chosen,)
    else:
        named = shlex.split(found.get("userknownhostsfile", ""))
        own = tuple(Path(file).expanduser() for file in named if file not in {"/dev/null", "none"})
        home = Path.home() / ".ssh"
        own = own or (home / "known_hosts", home / "known_hosts2")
    everyone = shlex.split(found.get("globalknownhostsfile", ""))
    return (*own, *(tuple(map(Path, everyone)) or _GLOBAL_KNOWN_HOSTS))


def _jumps(text: str) -> tuple[str, ...]:
    if text.strip().lower() in {"", "none"}:
        return ()
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _port(text: str, host: str) -> tuple[str, int | None]:
    if text.startswith("["):
        name, _, tail = text[1:].partition("]")
        port = tail.removeprefix(":")
    elif text.count(":") == 1:
        name, _, port = text.partition(":")
    else:
        name, port = text, ""
    if not name or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        raise HostUnreachable(host, f"{text!r} is no jump host", "write [user@]host[:port]")
    return name, int(port) if port else None


def _lines(path: Path, depth: int) -> Iterator[str]:
    """A file's lines with Include directives replaced, which paramiko leaves out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    section = "Host *"
    for line in text.splitlines():
        words = line.strip().replace("=", " ", 1).split(maxsplit=1)
        keyword = words[0].lower() if len(words) == 2 else ""
        if keyword in {"host", "match"}:
            section = line
        if keyword != "include" or depth >= _NESTED:
            yield line
            continue
        for name in shlex.split(words[1]):
            pattern = Path(name).expanduser()
            if not pattern.is_absolute():
                base = path.parent if depth == 0 else _base(path)
                pattern = base / pattern
            for file in sorted(glob.glob(str(pattern))):  # noqa: PTH207 -- absolute patterns
                yield from _lines(Path(file), depth + 1)
        # What follows belongs again to the section that the Include stands in.
        yield section


def _base(path: Path) -> Path:
    """Relative includes of included files count from the folder of the first file too."""
    system = _SYSTEM_CONFIG.parent
    return system if path.is_relative_to(system) else Path.home() / ".ssh"
