"""Getting in: through jump hosts, past the host key check, with one of the user's keys."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import paramiko
from paramiko.ssh_exception import AuthenticationException, SSHException

from bench.errors import HostError, HostUnreachable
from bench.model import Host
from bench.remote.identities import Identities
from bench.remote.known_hosts import KnownKeys, host_name, known_keys
from bench.remote.ssh_config import Endpoint, read_config, resolve, resolve_jump

# Seconds. A host that answers nothing for DEAD seconds is lost: the keepalive makes sure that there
# is always something to answer.
KEEPALIVE = 4
DEAD = 12.0
_JUMPS = 8

# paramiko reports on its own logger what comes back to us as exceptions anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


class Login:
    """An authenticated transport to a host, and those to the hosts on the way.

    Raises HostKeyError and HostUnreachable, saying at which step it failed and what to do.
    """

    def __init__(self, host: Host, timeout: float) -> None:
        self.host = host
        self._clients: list[paramiko.SSHClient] = []
        self._agent = paramiko.Agent()
        try:
            config = read_config()
            endpoint = resolve(host, config)
            self.user = endpoint.user
            sock = self._way_to(endpoint, config, timeout, depth=0)
            self.transport = self._login(endpoint, sock, timeout)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close everything, the last opened first. Never raises."""
        while self._clients:
            with contextlib.suppress(Exception):
                self._clients.pop().close()
        with contextlib.suppress(Exception):
            self._agent.close()

    def _way_to(
        self, endpoint: Endpoint, config: paramiko.SSHConfig, timeout: float, depth: int
    ) -> Any:
        """A socket to the endpoint: through its jump hosts, its ProxyCommand, or plain TCP."""
        if endpoint.command:
            return paramiko.ProxyCommand(endpoint.command)
        transport: paramiko.Transport | None = None
        for number, jump in enumerate(endpoint.jumps):
            if depth >= _JUMPS or len(self._clients) >= _JUMPS:
                raise HostUnreachable(
                    self.host.name, "its ProxyJump goes round in circles", "see ~/.ssh/config"
                )
            hop = resolve_jump(jump, config, self.host, nearest=number == 0)
            sock = (
                self._way_to(hop, config, timeout, depth + 1)
                if transport is None
                else self._through(transport, hop, timeout)
            )
            transport = self._login(hop, sock, timeout)
        if transport is not None:
            return self._through(transport, endpoint, timeout)
        return self._dial(endpoint, timeout)

    def _through(
        self, transport: paramiko.Transport, endpoint: Endpoint, timeout: float
    ) -> paramiko.Channel:
        target = (endpoint.address, endpoint.port)
        try:
            return transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=timeout)
        except (SSHException, EOFError, OSError) as fault:
            raise HostUnreachable(
                self.host.name,
                f"the jump host cannot reach {endpoint.address} port {endpoint.port} ({fault})",
                "see that it is up and that the jump host may forward (AllowTcpForwarding)",
            ) from None

    def _dial(self, endpoint: Endpoint, timeout: float) -> socket.socket:
        at = f"{endpoint.address} port {endpoint.port}"
        try:
            sock = socket.create_connection((endpoint.address, endpoint.port), timeout)
        except socket.gaierror as fault:
            self._unreachable(
                f"{endpoint.address} is not a name that resolves ({fault.strerror})",
                "correct ansible_host, or add a HostName to ~/.ssh/config",
            )
        except TimeoutError:
            self._unreachable(
                f"{at} did not answer within {timeout:g} s", "see that it is up and lets SSH in"
            )
        except ConnectionRefusedError:
            self._unreachable(
                f"{at} refused the connection", "see that sshd runs there and on that port"
            )
        except OSError as fault:
            self._unreachable(f"{at}: {fault.strerror or fault}", "see that there is a route to it")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Without it a vanished host is noticed only when TCP gives up, a quarter of an hour on.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD * 1000))
        return sock

    def _unreachable(self, what: str, hint: str) -> NoReturn:
        raise HostUnreachable(self.host.name, what, hint) from None

    def _login(self, endpoint: Endpoint, sock: Any, timeout: float) -> paramiko.Transport:
        name = endpoint.key_alias or host_name(endpoint.address, endpoint.port)
        known = known_keys(self.host.name, name, endpoint.known_hosts_files)
        identities = Identities(self.host.name, endpoint, self._agent)
        client = paramiko.SSHClient()
        self._clients.append(client)
        # No host key is given to the client itself, so that it asks our policy about every one.
        client.set_missing_host_key_policy(_Verified(known, endpoint))
        try:
            client.connect(
                endpoint.address,
                endpoint.port,
                username=endpoint.user,
                sock=sock,
                timeout=timeout,
                banner_timeout=timeout,
                auth_timeout=timeout,
                channel_timeout=timeout,
                transport_factory=_preferring(known.types),
                auth_strategy=identities,
            )
        except HostError:
            raise
        except AuthenticationException as fault:
            self._refused(endpoint, identities, fault)
        except (SSHException, EOFError, OSError) as fault:
            if identities.tried.files or identities.tried.agent:
                self._refused(endpoint, identities, fault)
            told = str(fault) or type(fault).__name__
            self._unreachable(f"{endpoint}: no SSH session ({told})", "see that sshd answers there")
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(KEEPALIVE)
        return transport

    def _refused(self, endpoint: Endpoint, identities: Identities, fault: Exception) -> NoReturn:
        # A required key that cannot be used ends the attempt inside paramiko's own collecting.
        for source in getattr(fault, "result", ()):
            if isinstance(source.result, HostError):
                raise source.result from None
        hint = f"add your public key to {endpoint.user}'s authorized_keys there"
        if identities.tried.agent > 4:
            hint += ", or set IdentitiesOnly yes if sshd ends the login after too many keys"
        self._unreachable(
            f"{endpoint} {identities.tried}",
            f"{hint}, or name the right key with ansible_ssh_private_key_file",
        )


class _Verified(paramiko.MissingHostKeyPolicy):
    """Refuses every host key that is not on record."""

    def __init__(self, known: KnownKeys, endpoint: Endpoint) -> None:
        self._known = known
        self._endpoint = endpoint

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        endpoint = self._endpoint
        via = ",".join(endpoint.jumps)
        self._known.verify(key, address=endpoint.address, port=endpoint.port, via=via)


def _preferring(types: Sequence[str]) -> Callable[..., paramiko.Transport]:
    """Transports that ask first for host keys of the types on record, as ssh(1) does."""

    def make(sock: Any, **options: Any) -> paramiko.Transport:
        transport = paramiko.Transport(sock, **options)
        security = transport.get_security_options()
        offered = list(security.key_types)
        wanted = [name for kind in types for name in _algorithms(kind) if name in offered]
        security.key_types = [*wanted, *(name for name in offered if name not in wanted)]
        return transport

    return make


def _algorithms(kind: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
