"""From what the Docker SDK, HTTP and SSH raise to netbench's own errors, which name the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import paramiko
import requests
import urllib3.exceptions

from bench.errors import EngineError, EngineUnsupported, HostError, NetbenchError, RemoteTimeout
from bench.remote.dial import DialFailedError
from bench.remote.ssh import Connection

# How engine and kernel say that they cannot do a thing at all.
_UNSUPPORTED = re.compile(
    r"not supported|unknown device type|no such device type|protocol not available"
    r"|plugin \S+ not found|could not find plugin|unknown network driver",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"permission denied.*(docker|socket)|docker.*permission denied", re.IGNORECASE | re.DOTALL
)
_DOWN = re.compile(
    r"cannot connect to the docker daemon|is the docker daemon running"
    r"|dial unix .*(no such file|connection refused)",
    re.IGNORECASE | re.DOTALL,
)
_NO_DIAL = re.compile(
    r"is not a docker command|unknown command.*dial-stdio", re.IGNORECASE | re.DOTALL
)
_JOIN_TOKEN = re.compile(r"SWMTKN-[\w-]+")
_LONGEST = 400

_CAUGHT = (
    DialFailedError,
    docker.errors.DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    paramiko.SSHException,
    EOFError,
    OSError,
    ValueError,
)


@contextmanager
def told(connection: Connection, doing: str) -> Iterator[None]:
    """Raise what goes wrong inside as EngineError and its kin; ``doing`` says what was tried."""
    try:
        yield
    except NetbenchError:
        raise
    except _CAUGHT as fault:
        raise _translated(connection, doing, fault) from None


def no_engine(connection: Connection, fault: DialFailedError) -> HostError:
    """The way to the engine did not come about, or broke."""
    if not connection.alive:
        return connection.lost()
    user, said = connection.user, fault.said
    first = one_line(said)
    if "sudo: " in said:
        what = f"{user} cannot become root ({first})"
        hint = f"allow `{user} ALL=(ALL) NOPASSWD: ALL` in its sudoers, or log in as root"
    elif _DENIED.search(said):
        what = f"{user} has no permission on the Docker socket"
        hint = f"add {user} to the group docker, or set ansible_become: true"
    elif _DOWN.search(said):
        what = f"the Docker engine is down ({first})"
        hint = "start it with `systemctl start docker`; `journalctl -u docker` says why it ended"
    elif _NO_DIAL.search(said):
        what = "its docker command lacks `system dial-stdio`"
        hint = "install Docker 20.10 or newer"
    elif fault.exit_code == 127 or "not found" in said:
        what = f"the docker command is missing there ({first or 'exit code 127'})"
        hint = "install Docker, with its client in the PATH of non-interactive logins"
    else:
        what = f"the Docker engine closed the connection{f' ({first})' if first else ''}"
        hint = "see `journalctl -u docker` on the host"
    return EngineError(connection.host.name, what, hint)


def one_line(said: str) -> str:
    """An engine's words on one line, of bearable length, without join tokens."""
    text = " ".join(_JOIN_TOKEN.sub("(token)", said).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def refused(host: str, doing: str, said: str, status: int = 0) -> EngineError:
    """The engine answered, but with an error."""
    text = one_line(said)
    if _UNSUPPORTED.search(text):
        return EngineUnsupported(
            host, f"{doing}: {text}", "its kernel or engine lacks what this needs"
        )
    if not text:
        hint = "`journalctl -u docker` on the host may say more"
        return EngineError(host, f"{doing}: HTTP status {status}", hint)
    return EngineError(host, f"{doing}: {text}")


def _translated(connection: Connection, doing: str, fault: Exception) -> HostError:
    host = connection.host.name
    if isinstance(fault, DialFailedError):
        return no_engine(connection, fault)
    if isinstance(fault, docker.errors.APIError):
        status = fault.status_code or 0
        return refused(host, doing, str(fault.explanation or fault), int(status))
    if not connection.alive:
        return connection.lost(fault)
    timeouts = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
    if isinstance(fault, timeouts) or "timed out" in str(fault).lower():
        return RemoteTimeout(
            host, f"{doing}: the Docker engine did not answer in time", "is the host busy?"
        )
    return EngineError(host, f"{doing}: {one_line(str(fault)) or type(fault).__name__}")
