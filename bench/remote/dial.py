"""HTTP to a Docker engine over channels of an SSH connection.

Each HTTP connection is a channel in which ``docker system dial-stdio`` joins our end to the
engine's socket, wherever the host's Docker client finds it. Connections are kept and used again.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import paramiko
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from bench.remote.ssh import Connection

DIAL = ("docker", "system", "dial-stdio")
# Kept without work; more may be open at a time. sshd allows ten sessions by default.
IDLE = 2
_OPEN = 10.0
_BLOCK = 1 << 18


class DialFailedError(Exception):
    """The way to the engine ended. ``said`` is what the host's Docker client (or sudo, or a shell)
    wrote about it, ``exit_code`` how that ended, -1 if it is not known.

    Not an OSError, so that no layer of HTTP wraps it or tries again.
    """

    def __init__(self, said: str, exit_code: int) -> None:
        super().__init__(said or f"exit code {exit_code}")
        self.said = said
        self.exit_code = exit_code


class ChannelSocket:
    """A channel with the manners of a socket, as far as HTTP needs them.

    Unlike paramiko's own, closing it leaves files made from it readable. ``deadline`` (of
    time.monotonic) bounds every further read, whatever the timeout of a single one.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self.channel = channel
        self.deadline: float | None = None
        self._timeout: float | None = None
        self._files = 0
        self._closed = False

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout
        self.channel.settimeout(timeout)

    def sendall(self, data: bytes) -> None:
        self.channel.sendall(data)

    def recv(self, size: int) -> bytes:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.channel.settimeout(left if self._timeout is None else min(left, self._timeout))
        return self.channel.recv(size)

    def makefile(self, mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:
        if mode != "rb":
            raise ValueError(mode)
        self._files += 1
        return io.BufferedReader(_Reader(self), _BLOCK)

    def close(self) -> None:
        self._closed = True
        self._release()

    def file_closed(self) -> None:
        self._files -= 1
        self._release()

    def _release(self) -> None:
        if self._closed and self._files <= 0:
            self.channel.close()

    @property
    def usable(self) -> bool:
        """Whether the other end is still there, as far as we have heard."""
        return not (self.channel.closed or self.channel.eof_received)

    def epitaph(self) -> DialFailedError:
        """Why the other end is gone, in its own words."""
        said: list[bytes] = []
        # What was written to standard error arrived before the end of standard output did, and
        # stays readable when the channel is closed.
        with contextlib.suppress(OSError, EOFError):
            self.channel.settimeout(2.0)
            while data := self.channel.recv_stderr(4096):
                said.append(data)
        ended = self.channel.status_event.wait(1.0)
        return DialFailedError(
            b"".join(said).decode(errors="replace").strip(),
            self.channel.exit_status if ended else -1,
        )


class _Reader(io.RawIOBase):
    def __init__(self, sock: ChannelSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._sock.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.file_closed()


class Dialer:
    """Opens ways to the engine of one host, one ahead where asked to.

    Starting the Docker client takes its time (some ten milliseconds, more where the login shell is
    slow); a spare way, opened while nobody waits, takes that off the next call.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._spare: ChannelSocket | None = None
        self._preparing = False
        self._closed = False

    def open(self, timeout: float) -> ChannelSocket:
        """A fresh way to the engine."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.usable:
            return spare
        return self._dial(timeout)

    def prepare(self) -> None:
        """Open the spare way in the background, unless there is one."""
        with self._lock:
            if self._closed or self._preparing or (self._spare and self._spare.usable):
                return
            self._preparing = True
        threading.Thread(target=self._refill, daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()

    def _dial(self, timeout: float) -> ChannelSocket:
        connection = self._connection
        return ChannelSocket(connection.start(connection.privileged(DIAL), timeout))

    def _refill(self) -> None:
        spare: ChannelSocket | None = None
        # A spare that cannot be had is no fault: whoever needs a way will hear of it.
        with contextlib.suppress(Exception):
            spare = self._dial(_OPEN)
        with self._lock:
            self._preparing = False
            if not self._closed:
                self._spare, spare = spare, self._spare
        if spare is not None:
            spare.close()


class DialConnection(HTTPConnection):
    """One HTTP connection over a way to the engine."""

    sock: Any

    def __init__(self, host: str, *, opener: Callable[[float], ChannelSocket], **rest: Any) -> None:
        super().__init__(host, **{**rest, "blocksize": _BLOCK})
        self._opener = opener

    def connect(self) -> None:
        seconds = float(self.timeout) if isinstance(self.timeout, int | float) else _OPEN
        self.sock = self._opener(seconds)
        self.sock.settimeout(seconds)

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and self.sock.usable

    def request(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().request(*args, **kwargs)
        except TimeoutError:
            raise
        except OSError:
            # The engine may have answered (with an error) before it had read all that we send.
            if self.sock is None or not self.sock.channel.recv_ready():
                raise self._epitaph() from None

    def getresponse(self) -> Any:
        # urllib3's response keeps the socket; http.client drops its own reference to it early.
        sock = self.sock
        try:
            return super().getresponse()
        except TimeoutError:
            raise
        except (OSError, EOFError):
            # http.client says RemoteDisconnected, an OSError, when nothing came.
            self.sock = sock
            raise self._epitaph() from None

    def _epitaph(self) -> DialFailedError:
        if self.sock is None:
            return DialFailedError("", -1)
        told: DialFailedError = self.sock.epitaph()
        return told


class _Pool(HTTPConnectionPool):
    ConnectionCls = DialConnection


class DialAdapter(HTTPAdapter):
    """Lets requests (and so the Docker SDK) speak to the engine behind a Dialer."""

    def __init__(self, dialer: Dialer) -> None:
        self._pool = _Pool("docker", maxsize=IDLE, block=False, opener=dialer.open)
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(
        self,
        request: Any,
        verify: Any,
        proxies: Mapping[str, str] | None = None,
        cert: Any = None,
    ) -> Any:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()
