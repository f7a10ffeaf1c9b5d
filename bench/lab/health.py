"""Whether a lab's hosts answer: the greeting of sshd, the engine's version and containers."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from bench.errors import LabError
from bench.lab import processes
from bench.lab.layout import Lab

UP_TIMEOUT = 90.0
TRY_TIMEOUT = 1
LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class HostHealth:
    """One host as it answers now. Empty ``sshd`` or ``engine``: it does not. ``pids`` counts the
    processes in the host, 0 when the host is gone."""

    name: str
    address: str
    sshd: str
    engine: str
    containers: int
    pids: int

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        if not self.pids:
            return "is not running"
        dead = [name for name, up in (("sshd", self.sshd), ("dockerd", self.engine)) if not up]
        return f"{' and '.join(dead)} does not answer" if dead else ""


def look(lab: Lab, timeout: int = 3) -> list[HostHealth]:
    """Every host of the lab, each service given ``timeout`` seconds to answer."""
    firsts = processes.firsts(lab.name)
    return [_look(lab, host, firsts.get(host), timeout) for host in lab.hosts]


def wait(lab: Lab, firsts: Mapping[str, int]) -> None:
    """Wait until sshd and dockerd of all hosts answer.

    Raises LabError with the end of that host's log as soon as one of them has ended, or when
    ``UP_TIMEOUT`` seconds are over.
    """
    deadline = time.monotonic() + UP_TIMEOUT
    waiting = [(host, service) for host in lab.hosts for service in ("sshd", "dockerd")]
    while waiting:
        still = []
        for host, service in waiting:
            ended = lab.log(host, service).with_suffix(".ended")
            if ended.exists():
                raise failure(lab, host, service, f"ended with {ended.read_text()}")
            if service == "sshd":
                up = bool(greeting(str(lab.hosts[host]), TRY_TIMEOUT))
            else:
                up = bool(_engine(firsts[host], TRY_TIMEOUT)[0])
            if not up:
                still.append((host, service))
        waiting = still
        if waiting and time.monotonic() > deadline:
            host, service = waiting[0]
            raise failure(lab, host, service, f"does not answer after {UP_TIMEOUT:.0f} s")
        if waiting:
            time.sleep(0.1)


def failure(lab: Lab, host: str, service: str, what: str) -> LabError:
    """A LabError with the last lines of a host's log, which is about to be removed."""
    lines = tail(lab.log(host, service))
    shown = "".join(f"\n    {line}" for line in lines) or " nothing"
    return LabError(f"{host}: {service} {what}", f"its log ends with:{shown}")


def tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def _look(lab: Lab, host: str, first: int | None, timeout: int) -> HostHealth:
    address = str(lab.hosts[host])
    if first is None:
        return HostHealth(host, address, "", "", 0, 0)
    version, containers = _engine(first, timeout)
    return HostHealth(
        host, address, greeting(address, timeout), version, containers, processes.members(first)
    )


def greeting(address: str, timeout: int) -> str:
    """The version that an SSH server announces, ``SSH-2.0-`` left off; empty if none does."""
    try:
        with socket.create_connection((address, 22), timeout=timeout) as connection:
            line = connection.makefile("rb").readline(256)
    except OSError:
        return ""
    return line.decode(errors="replace").strip().removeprefix("SSH-2.0-")


def _engine(first: int, timeout: int) -> tuple[str, int]:
    """An engine's version and its number of containers, asked over its socket in the host whose
    process 1 is ``first``; an empty version if it does not answer."""
    socket_file = Path(f"/proc/{first}/root/run/docker.sock")
    if not socket_file.exists():
        return "", 0
    try:
        # Making a client already asks the engine which API it speaks.
        with closing(docker.APIClient(f"unix://{socket_file}", timeout=timeout)) as client:
            info = client.info()
    except (DockerException, RequestException):
        return "", 0
    return str(info["ServerVersion"]), int(info["Containers"])
