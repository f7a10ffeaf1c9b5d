"""One SSH connection to a host, kept: every command and every engine call is a channel of it."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Sequence

import paramiko
from paramiko.ssh_exception import ChannelException, SSHException

from bench.errors import HostError, HostUnreachable, RemoteTimeout
from bench.model import Host
from bench.remote.api import Completed
from bench.remote.login import Login

# Seconds for each step of connecting: TCP, SSH's banner and key exchange, login.
CONNECT = 10.0
_CHUNK = 1 << 16
# Room for what a command prints before it has to wait for us.
_WINDOW = 1 << 22


class Connection:
    """An authenticated connection to one host, through its jump hosts if it has any.

    Safe to use from several threads; each command or stream is a channel of its own. Raises
    HostKeyError, HostUnreachable (refused, timed out, no key accepted, lost) and RemoteTimeout.
    """

    def __init__(self, host: Host, *, timeout: float = CONNECT) -> None:
        self.host = host
        self._login = Login(host, timeout)
        self._transport = self._login.transport

    @property
    def user(self) -> str:
        return self._login.user

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def open_session(self, timeout: float) -> paramiko.Channel:
        """A new session channel.

        A server that allows no further one for now (MaxSessions) is asked again until ``timeout``.
        """
        deadline = time.monotonic() + timeout
        pause = 0.02
        while True:
            left = max(0.1, deadline - time.monotonic())
            try:
                return self._transport.open_session(window_size=_WINDOW, timeout=left)
            except (SSHException, EOFError, OSError) as fault:
                if not self.alive:
                    raise self.lost(fault) from None
                # With several threads asking, paramiko gives a refusal's reason to only one.
                refused = isinstance(fault, ChannelException) or "Unable to open" in str(fault)
                if not refused:
                    raise RemoteTimeout(
                        self.host.name, f"sshd opened no session in {timeout:g} s ({fault})"
                    ) from None
            if time.monotonic() + pause >= deadline:
                raise HostError(
                    self.host.name,
                    f"sshd opened no further session in {timeout:g} s",
                    "raise MaxSessions in its sshd_config",
                )
            time.sleep(pause)
            pause = min(0.5, pause * 2)

    def lost(self, fault: BaseException | None = None) -> HostUnreachable:
        """The error to raise when the connection turned out to be gone."""
        why = self._transport.get_exception() or fault
        told = str(why).strip() if why is not None else ""
        return HostUnreachable(
            self.host.name,
            f"the SSH connection was lost{f' ({told})' if told else ''}",
            "see that the machine is up and that the network did not change",
        )

    def privileged(self, argv: Sequence[str]) -> list[str]:
        """The command as it is to be run: by sudo for ``become``, unless root already."""
        if self.host.become and self.user != "root":
            return ["sudo", "-n", "--", *argv]
        return list(argv)

    def start(self, argv: Sequence[str], timeout: float, *, reads: bool = True) -> paramiko.Channel:
        """Start a command; the caller talks to it over the channel and closes that.

        One that ``reads`` nothing finds the end of its input on the host itself: to tell it over
        the channel would race with the channel's end, and sshd drops the whole connection when
        something arrives for a channel that both sides have closed.
        """
        channel = self.open_session(timeout)
        try:
            channel.settimeout(timeout)
            channel.exec_command(shlex.join(argv) + ("" if reads else " </dev/null"))
        except (SSHException, EOFError, OSError) as fault:
            channel.close()
            if not self.alive:
                raise self.lost(fault) from None
            raise HostError(
                self.host.name,
                f"sshd refuses to run commands ({fault})",
                "allow exec for this user",
            ) from None
        return channel

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 10.0) -> Completed:
        """Run a command to its end; see ``bench.remote.api.Shell``.

        ``timeout`` (the tool) stands above it on the host, so that a command whose deadline passed
        or whose caller is gone ends there too.
        """
        deadline = time.monotonic() + timeout
        guarded = ["timeout", "-s", "KILL", f"{timeout + 1:.0f}", *argv]
        channel = self.start(self.privileged(guarded), timeout, reads=bool(stdin))
        try:
            found = _Talk(channel, stdin).to_end(deadline)
        finally:
            channel.close()
        if found is None:
            if not self.alive:
                raise self.lost()
            raise RemoteTimeout(
                self.host.name, f"`{argv[0]}` did not end within {timeout:g} s", "is the host busy?"
            )
        if found.exit_code < 0:
            if not self.alive:
                raise self.lost()
            raise HostError(self.host.name, f"`{argv[0]}` was ended by a signal", "run it there")
        self._check_sudo(found)
        return found

    def close(self) -> None:
        """Close the connection and those to the jump hosts. Never raises."""
        self._login.close()

    def _check_sudo(self, found: Completed) -> None:
        if found.exit_code == 0 or not self.host.become or self.user == "root":
            return
        said = found.stderr.decode(errors="replace").strip()
        if said.startswith("sudo:") or "sudo: not found" in said or "sudo: command not" in said:
            raise HostError(
                self.host.name,
                f"{self.user} cannot become root ({said.splitlines()[0]})",
                f"allow `{self.user} ALL=(ALL) NOPASSWD: ALL` in its sudoers, or log in as root",
            )


class _Talk:
    """Feeds a command its input and gathers what it prints, both streams at once."""

    def __init__(self, channel: paramiko.Channel, stdin: bytes) -> None:
        self._channel = channel
        self._stdin = stdin

    def to_end(self, deadline: float) -> Completed | None:
        """None when the deadline passed or the connection went before the command's end."""
        channel = self._channel
        errors: list[bytes] = []
        # The streams share the connection's flow control: leaving one unread would stop the other.
        helpers = [
            threading.Thread(target=self._gather, args=(channel.recv_stderr, errors), daemon=True)
        ]
        if self._stdin:
            helpers.append(threading.Thread(target=self._feed, daemon=True))
        channel.settimeout(max(0.05, deadline - time.monotonic()))
        for helper in helpers:
            helper.start()
        output: list[bytes] = []
        self._gather(channel.recv, output)
        helpers[0].join(max(0.0, deadline - time.monotonic()))
        ended = channel.status_event.wait(max(0.0, deadline - time.monotonic()))
        whole = not helpers[0].is_alive() and channel.eof_received
        if not ended or not whole or channel.exit_status == -1:
            # Ended, but not by itself: killed by a signal, or cut off with the connection.
            return Completed(-1, b"", b"") if ended and channel.closed else None
        return Completed(channel.exit_status, b"".join(output), b"".join(errors))

    def _gather(self, receive: Callable[[int], bytes], into: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := receive(_CHUNK):
                into.append(data)

    def _feed(self) -> None:
        # A command may end without having read all of its input.
        with contextlib.suppress(OSError):
            self._channel.sendall(self._stdin)
            self._channel.shutdown_write()
