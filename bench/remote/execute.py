"""A command in a container, to its end or its deadline."""

from __future__ import annotations

import json
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import urllib3.exceptions

from bench.errors import RemoteTimeout
from bench.remote.api import Completed
from bench.remote.dial import DialConnection, Dialer
from bench.remote.faults import one_line, refused, told
from bench.remote.ssh import Connection

if TYPE_CHECKING:
    import docker

# The mark that the command and all its children carry in their environment, and by which they are
# found when their time is up: Docker itself can start a command in a container but not end it.
MARK = "NETBENCH_EXEC"
_KILL = """
for found in $(grep -ls "$1" /proc/[0-9]*/environ); do
  pid=${found#/proc/}
  kill -9 "${pid%/environ}"
done
"""
_KILL_WITHIN = 3.0
_STREAMS = {1: "stdout", 2: "stderr"}


class Execution:
    """Runs commands in the containers of one engine."""

    def __init__(self, connection: Connection, client: docker.APIClient, dialer: Dialer) -> None:
        self._connection = connection
        self._client = client
        self._dialer = dialer
        self._host = connection.host.name

    def run(self, container: str, argv: Sequence[str], timeout: float) -> Completed:
        """See ``bench.remote.api.Engine.exec``."""
        deadline = time.monotonic() + timeout
        printed: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        mark = f"{MARK}={secrets.token_hex(8)}"
        with told(self._connection, f"`{argv[0]}` in container {container[:24]}"):
            made = self._client.exec_create(container, list(argv), environment=[mark])
            try:
                self._stream(str(made["Id"]), deadline, printed)
                exit_code = self._exit_code(str(made["Id"]), deadline)
            except (TimeoutError, urllib3.exceptions.TimeoutError):
                ended = self._kill(container, str(made["Id"]), mark)
                raise RemoteTimeout(
                    self._host,
                    f"`{argv[0]}` in container {container[:24]} did not end within {timeout:g} s"
                    f" and {'was ended' if ended else 'could not be ended'}",
                    stdout=b"".join(printed["stdout"]),
                    stderr=b"".join(printed["stderr"]),
                ) from None
            finally:
                # Open the next way now, between two commands, instead of when one waits for it.
                self._dialer.prepare()
        return Completed(exit_code, b"".join(printed["stdout"]), b"".join(printed["stderr"]))

    def _stream(self, exec_id: str, deadline: float, printed: dict[str, list[bytes]]) -> None:
        """Add to ``printed`` what the command prints, piece by piece, until its end.

        The engine takes the connection over for it.
        """
        way = DialConnection("docker", opener=self._dialer.open, timeout=_left(deadline))
        try:
            way.connect()
            way.sock.deadline = deadline
            way.request(
                "POST",
                f"/v{self._client.api_version}/exec/{exec_id}/start",
                body=b'{"Detach": false, "Tty": false}',
                headers={"Content-Type": "application/json"},
                preload_content=False,
            )
            answer = way.getresponse()
            if answer.status >= 400:
                said = answer.read().decode(errors="replace")
                raise refused(self._host, "exec", _message(said), answer.status)
            for stream, data in _frames(answer):
                printed[stream].append(data)
            answer.close()
        finally:
            way.close()

    def _exit_code(self, exec_id: str, deadline: float) -> int:
        """The exit code, which the engine may know a moment after the output's end."""
        pause = 0.005
        while True:
            found = self._client.exec_inspect(exec_id)
            if not found["Running"] and found["ExitCode"] is not None:
                return int(found["ExitCode"])
            if time.monotonic() + pause >= deadline:
                raise TimeoutError
            time.sleep(pause)
            pause = min(0.2, pause * 2)

    def _kill(self, container: str, exec_id: str, mark: str) -> bool:
        """End a command and its children: from inside the container, else from the host."""
        until = time.monotonic() + _KILL_WITHIN
        tried = False
        while time.monotonic() < until:
            try:
                found = self._client.exec_inspect(exec_id)
                if not found["Running"]:
                    return True
                if not tried:
                    tried = True
                    killer = self._client.exec_create(
                        container, ["sh", "-c", _KILL, "netbench-kill", mark], user="0"
                    )
                    self._stream(str(killer["Id"]), until, {"stdout": [], "stderr": []})
                    continue
                if found["Pid"]:
                    self._connection.run(["kill", "-9", str(found["Pid"])], timeout=_KILL_WITHIN)
            except Exception:  # noqa: BLE001 - the deadline is what is reported, killing is best effort
                return False
            time.sleep(0.1)
        return False


def _frames(answer: Any) -> Iterator[tuple[str, bytes]]:
    """Docker's multiplexed stream: an eight-byte head (stream, length) before each piece."""
    while len(head := answer.read(8)) == 8:
        stream, length = struct.unpack(">BxxxL", head)
        data = answer.read(length)
        if len(data) < length:
            raise EOFError("the output was cut off")
        yield _STREAMS.get(stream, "stderr"), data


def _message(said: str) -> str:
    try:
        return str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        return one_line(said)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
