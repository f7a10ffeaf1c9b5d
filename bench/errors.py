"""The error tree.

Every message names the host, file or cell it is about, and ``hint`` says what to do. The CLI prints
these as one line and exits with ``exit_code``: 2 for what the user wrote, 1 for what the world did.
"""

from __future__ import annotations


class NetbenchError(Exception):
    """Anything that a user or the network can cause: shown as one line, never as a traceback.

    ``what`` names the thing and what is wrong with it; ``hint`` says what to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what


class UsageError(NetbenchError):
    """The command line, or a file the user wrote, asks for something that cannot be."""

    exit_code = 2


class InventoryError(UsageError):
    """The inventory is missing, malformed or contradicts itself; names file, line and key."""


class HostError(NetbenchError):
    """Something went wrong on, or on the way to, one host."""

    def __init__(self, host: str, what: str, hint: str = "") -> None:
        super().__init__(f"{host}: {what}", hint)
        self.host = host


class HostUnreachable(HostError):
    """No SSH session with the host: refused, timed out, wrong key, or the connection was lost."""


class HostKeyError(HostUnreachable):
    """The host's SSH key is unknown or is not the one on record."""


class RemoteTimeout(HostError):
    """A remote call did not end before its deadline; what a command had printed until then."""

    def __init__(
        self, host: str, what: str, hint: str = "", *, stdout: bytes = b"", stderr: bytes = b""
    ) -> None:
        super().__init__(host, what, hint)
        self.stdout = stdout
        self.stderr = stderr


class EngineError(HostError):
    """The Docker engine of a host is down, out of reach, or refused a request."""


class EngineUnsupported(EngineError):
    """The engine or the kernel below it cannot do what was asked (a module is missing, say)."""


class SwarmError(NetbenchError):
    """The hosts cannot be made into one swarm."""


class DeployError(NetbenchError):
    """A network or a service did not come up."""


class ImageError(NetbenchError):
    """The toolbox image could not be built or shipped."""


class ParseError(NetbenchError):
    """A tool's output is not what the tool prints when it succeeds. Never turned into a number."""


class StoreError(NetbenchError):
    """A stored run cannot be read or written."""


class GitError(NetbenchError):
    """git is missing, or refused what it was asked."""


class LabError(NetbenchError):
    """The local lab could not be brought up, read or taken down."""
