"""The processes of labs: started, found again and ended.

Nothing is remembered by number. A host's process 1 is recognised by what it is: root's, the first
of a process-id namespace, with the lab's and the host's names at the end of its command line. So a
lab whose record is lost, or half written, is still found, and a reused number is never mistaken.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import LabError
from bench.lab import init
from bench.lab.layout import Lab
from bench.lab.preflight import find

MARK = "netbench-lab"
READY_TIMEOUT = 30.0
END_TIMEOUT = 15.0
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Found:
    """A process of a lab. ``first`` marks process 1 of a host (or of the switch); the others are
    the ``unshare`` processes above them, which end by themselves with it."""

    pid: int
    lab: str
    host: str
    first: bool


def found(lab: str | None = None) -> list[Found]:
    """The processes of one lab, or of all."""
    every = (_recognised(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for process in every if process and lab in (None, process.lab)]


def firsts(lab: str) -> dict[str, int]:
    """Host (or switch) -> process id of its process 1, as this machine numbers it."""
    return {process.host: process.pid for process in found(lab) if process.first}


def members(pid: int) -> int:
    """How many processes are in the process-id namespace of ``pid``."""
    space = _space(pid)
    return sum(
        1 for entry in PROC.iterdir() if entry.name.isdigit() and _space(int(entry.name)) == space
    )


def kill(lab: str) -> None:
    """End all of a lab's processes and wait until the kernel has let go of them.

    Raises LabError if one is still there after ``END_TIMEOUT`` seconds.
    """
    deadline = time.monotonic() + END_TIMEOUT
    while processes := found(lab):
        with _Handles(processes) as handles:
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            for handle in handles:
                # Process 1 counts as ended only when all the processes in its namespace have.
                left = max(0.0, deadline - time.monotonic())
                if not select.select([handle], [], [], left)[0]:
                    names = ", ".join(f"{p.host} (process {p.pid})" for p in found(lab))
                    raise LabError(
                        f"lab {lab}: the kernel does not end {names}",
                        "look at `dmesg`, then run `netbench lab down` for this lab again",
                    )
        if time.monotonic() > deadline:
            raise LabError(f"lab {lab}: processes keep appearing", "is another one starting it?")


class Nursery:
    """Hosts that are being started: process 1 of each waits for :meth:`go`.

    If the starter dies before that, their pipes close and they end by themselves.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the pipes: those that were not told to go on end now."""
        for child in self._children.values():
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()

    def begin(self, host: str, spec: Path, *, network: int | None = None) -> None:
        """Start process 1 of ``host`` in namespaces of its own, to be furnished by ``spec``.

        ``network`` is a process whose network namespace it shares instead of having its own.
        """
        shared = [find("nsenter"), f"--net=/proc/{network}/ns/net", "--"]
        command = [
            *(shared if network else []),
            find("unshare"),
            *([] if network else ["--net"]),
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "slave",
            "--",
            sys.executable,
            "-I",
            "-S",
            init.__file__,
            str(spec),
            MARK,
            self.lab.name,
            host,
        ]  # fmt: skip - words of one command
        with self.lab.log(host, "init").open("ab") as errors:
            self._children[host] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until all have furnished their namespaces. LabError names the host that has not.

        Can be called again after more of them have begun.
        """
        deadline = time.monotonic() + READY_TIMEOUT
        for host, child in self._children.items():
            if host in self._ready:
                continue
            assert child.stdout is not None
            left = max(0.0, deadline - time.monotonic())
            if not select.select([child.stdout], [], [], left)[0]:
                raise LabError(f"{host}: not ready after {READY_TIMEOUT:.0f} s")
            if child.stdout.readline() != b"ready\n":
                # Its last words, which it wrote before it closed the pipe by ending.
                child.wait()
                words = self.lab.log(host, "init").read_text(errors="replace").splitlines()
                raise LabError(f"{host}: could not be furnished: {words[-1] if words else '?'}")
            self._ready.add(host)

    def go(self) -> None:
        """Let all of them start their services."""
        for host, child in self._children.items():
            assert child.stdin is not None
            try:
                child.stdin.write(b"go\n")
                child.stdin.flush()
            except BrokenPipeError:
                raise LabError(f"{host}: ended before its services were started") from None


class _Handles:
    """Pidfds of processes that, looked at again, are still the ones that were found."""

    def __init__(self, processes: list[Found]) -> None:
        self._handles = list(self._open(processes))

    @staticmethod
    def _open(processes: list[Found]) -> Iterator[int]:
        for process in processes:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(process.pid)
                if _recognised(process.pid) == process:
                    yield handle
                else:
                    os.close(handle)

    def __enter__(self) -> list[int]:
        return self._handles

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            os.close(handle)


def _recognised(pid: int) -> Found | None:
    folder = PROC / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
        if words[-3:-2] != [MARK.encode()] or folder.stat().st_uid != 0:
            return None
        status = (folder / "status").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    numbers = fields.get("NSpid", "").split()
    first = len(numbers) > 1 and numbers[-1] == "1"
    if not first and fields["Name"].strip() != "unshare":
        return None
    return Found(pid, words[-2].decode(errors="replace"), words[-1].decode(errors="replace"), first)


def _space(pid: int) -> str:
    try:
        return str((PROC / str(pid) / "ns/pid").readlink())
    except OSError:
        return ""
