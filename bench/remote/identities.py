"""The keys to log in with, in the order to try them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey
from paramiko.ssh_exception import PasswordRequiredException, SSHException

from bench.errors import HostUnreachable

if TYPE_CHECKING:
    from bench.remote.ssh_config import Endpoint


@dataclass
class Tried:
    """What was offered and what could not be, for the message when nothing was accepted."""

    files: list[str] = field(default_factory=list)
    agent: int = 0
    locked: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        keys = list(self.files)
        if self.agent:
            keys.append(f"{self.agent} of the agent")
        told = f"refused the keys {', '.join(keys)}" if keys else "got no key: there is none to try"
        if self.locked:
            told += f"; {', '.join(self.locked)} needs a passphrase"
        if self.unusable:
            told += f"; {', '.join(self.unusable)} cannot be used"
        return told


class Identities(AuthStrategy):
    """The inventory's key first, then ~/.ssh/config's, the agent's and the usual files."""

    def __init__(self, host: str, endpoint: Endpoint, agent: paramiko.Agent) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self.tried = Tried()
        self._host = host
        self._endpoint = endpoint
        self._agent_keys = {key.asbytes(): key for key in agent.get_keys()}

    def get_sources(self) -> Iterator[AuthSource]:
        """Each key once. Raises HostUnreachable if the inventory's own key cannot be used."""
        endpoint, seen = self._endpoint, set()
        named = list(endpoint.key_files) if endpoint.named_keys else []
        usual = [] if endpoint.named_keys else list(endpoint.key_files)
        if endpoint.required_key is not None:
            key = self._required(endpoint.required_key)
            seen.add(key.asbytes())
            yield self._source(key, endpoint.required_key)
        for path in named:
            found = self._optional(path)
            if found is not None and found.asbytes() not in seen:
                seen.add(found.asbytes())
                yield self._source(found, path)
        if not endpoint.identities_only:
            for blob, agent_key in self._agent_keys.items():
                if blob not in seen:
                    seen.add(blob)
                    yield self._source(agent_key, None)
        for path in usual:
            found = self._optional(path)
            if found is not None and found.asbytes() not in seen:
                seen.add(found.asbytes())
                yield self._source(found, path)

    def _source(self, key: paramiko.PKey, path: Path | None) -> AuthSource:
        if path is None:
            self.tried.agent += 1
        else:
            self.tried.files.append(str(path))
        return InMemoryPrivateKey(self._endpoint.user, key)

    def _required(self, path: Path) -> paramiko.PKey:
        try:
            return _load(path)
        except FileNotFoundError:
            what, hint = "does not exist", "correct ansible_ssh_private_key_file"
        except PasswordRequiredException:
            key = self._in_agent(path)
            if key is not None:
                return key
            what, hint = "needs a passphrase and the agent does not have it", f"ssh-add {path}"
        except OSError as fault:
            what, hint = f"cannot be read ({fault.strerror})", "check its owner and mode"
        except (SSHException, ValueError, TypeError):
            key = self._in_agent(path)
            if key is not None:
                return key
            what = "is no private key that can be used"
            hint = "name an OpenSSH or PEM key of type ed25519, ecdsa or rsa"
        raise HostUnreachable(self._host, f"key file {path} {what}", hint)

    def _optional(self, path: Path) -> paramiko.PKey | None:
        try:
            return _load(path)
        except FileNotFoundError:
            return self._in_agent(path)
        except PasswordRequiredException:
            key = self._in_agent(path)
            if key is None:
                self.tried.locked.append(str(path))
            return key
        except (OSError, SSHException, ValueError, TypeError):
            key = self._in_agent(path)
            if key is None:
                self.tried.unusable.append(str(path))
            return key

    def _in_agent(self, path: Path) -> paramiko.PKey | None:
        """The agent's key for a file that cannot be opened, found by the public half beside it."""
        for public in (path, path.with_name(path.name + ".pub")):
            try:
                words = public.read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError):
                continue
            for blob, key in self._agent_keys.items():
                if key.get_base64() in words:
                    return self._agent_keys[blob]
        return None


def _load(path: Path) -> paramiko.PKey:
    """Raises PasswordRequiredException for an encrypted key, OSError, SSHException, ValueError."""
    try:
        return paramiko.PKey.from_path(path)
    except TypeError as fault:
        # cryptography's word for an encrypted key without a password.
        if "password" in str(fault).lower() or "encrypted" in str(fault).lower():
            raise PasswordRequiredException(str(fault)) from None
        raise
    except ValueError as fault:
        if "encrypted" in str(fault).lower() or "password" in str(fault).lower():
            raise PasswordRequiredException(str(fault)) from None
        raise
