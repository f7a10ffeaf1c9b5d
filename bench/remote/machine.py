"""One host in reach: its shell and its Docker engine, over one SSH connection."""

from __future__ import annotations

from bench.model import Host
from bench.remote.engine import DockerEngine
from bench.remote.ssh import CONNECT, Connection


class RemoteMachine:
    """A connected host. Raises HostUnreachable or HostKeyError if it cannot be reached; the engine
    is spoken to only when it is asked something."""

    def __init__(self, host: Host, *, timeout: float = CONNECT) -> None:
        self.host = host
        self.shell = Connection(host, timeout=timeout)
        self.engine = DockerEngine(self.shell)

    def close(self) -> None:
        """Close the connection. Never raises."""
        self.engine.close()
        self.shell.close()
