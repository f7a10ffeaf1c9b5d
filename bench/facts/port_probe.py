"""The part of the port probe that runs on the hosts: one file, standard library, Python 3.6 on.

It is sent over standard input to ``python3 - MODE CONFIG`` and has three modes:

``listen``   opens the ports that are free, starts to listen in the background and returns;
``send``     tries the ports, and pings, of all the other hosts;
``collect``  asks the listener of this host what it heard, and ends it.

Each mode takes a JSON object and prints one. Hosts are known here by their number in the inventory.
A listener that nobody collects ends by itself, after ``seconds``.
"""

import errno
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict  # noqa: UP035  # for Python 3.6

Json = Dict[str, Any]  # noqa: UP006  # for Python 3.6
Tried = Dict[int, int]  # noqa: UP006  # for Python 3.6

# The first byte must not be one that the owner of a busy port takes for its own protocol: 0x50 has
# VXLAN's "valid network" bit unset and is no encryption version of the gossip on 7946.
PAYLOAD = "PROBE netbench {id} {sender} {port}"
DATAGRAMS = 3
BETWEEN_DATAGRAMS = 0.12
TCP_TIMEOUT = 2.0
PING_DEADLINE = "2"
MAX_WORKERS = 64
# How many sizes between two are tried together to find a path's MTU to the byte.
AT_ONCE = 16
# And for how long (seconds), all paths of this host together.
NARROW_WITHIN = 10.0


def listen(config: "Json") -> "Json":
    """Open what is free on the data address; a child process goes on listening."""
    address = config["address"]
    streams, stream_states = [], {}
    for port in config["tcp"]:
        stream, state = _bind(socket.SOCK_STREAM, address, port)
        stream_states[port] = state
        if stream is not None:
            stream.listen(64)
            streams.append(stream)
    datagrams, datagram_states, watched = [], {}, set()
    for port in config["udp"]:
        datagram, state = _bind(socket.SOCK_DGRAM, address, port)
        datagram_states[port] = state
        if datagram is not None:
            datagrams.append(datagram)
        elif state == "in use":
            watched.add(port)
    raw = None
    if watched:
        # A raw socket gets a copy of what the firewall let in, whoever owns the port.
        try:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
            raw.bind((address, 0))
        except PermissionError:
            raw = None
            datagram_states.update(dict.fromkeys(watched, "in use, needs root"))
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.bind(_control(config["id"]))
    control.listen(4)
    if os.fork() == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        try:
            _hear(config, control, streams, datagrams, raw=raw, watched=watched)
        finally:
            os._exit(0)
    return {"tcp": stream_states, "udp": datagram_states}


def _bind(kind: int, address: str, port: int) -> "tuple[socket.socket | None, str]":
    sock = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as fault:
        sock.close()
        return None, "in use" if fault.errno == errno.EADDRINUSE else _words(fault)
    return sock, "listening"


def _hear(
    config: "Json",
    control: socket.socket,
    streams: "list[socket.socket]",
    datagrams: "list[socket.socket]",
    *,
    raw: "socket.socket | None",
    watched: "set[int]",
) -> None:
    """Take connections and datagrams until somebody collects what came, or time is up."""
    selector = selectors.DefaultSelector()
    for watching in [control, *streams, *datagrams] + ([raw] if raw else []):
        watching.setblocking(False)
        selector.register(watching, selectors.EVENT_READ)
    accepted: list[socket.socket] = []
    heard: set[tuple[int, int]] = set()
    start = "PROBE netbench {} ".format(config["id"]).encode()
    ends = time.monotonic() + config["seconds"]
    while time.monotonic() < ends:
        for key, _ in selector.select(timeout=0.5):
            sock: Any = key.fileobj
            try:
                if sock is control:
                    peer, _ = control.accept()
                    peer.setblocking(True)
                    peer.sendall(json.dumps({"heard": sorted(heard)}).encode())
                    peer.close()
                    return
                if sock in streams:
                    # Kept open: the side that closes first is left with a port in TIME_WAIT.
                    accepted.append(sock.accept()[0])
                    continue
                data = sock.recv(2048)
            except OSError:
                continue  # the peer went away in the meantime
            port = None
            if sock is raw:
                header = (data[0] & 0x0F) * 4
                port = struct.unpack("!H", data[header + 2 : header + 4])[0]
                data = data[header + 8 :]
                if port not in watched:
                    continue
            if data.startswith(start):
                sender, port = data[len(start) :].decode().split()
                heard.add((int(sender), int(port)))


def send(config: "Json") -> "Json":
    """Try every port and ping size of every other host, all at the same time."""
    jobs: list[tuple[str, int, int, Any]] = []
    with ThreadPoolExecutor(MAX_WORKERS) as pool:
        for target in config["targets"]:
            number, address = target["to"], target["address"]
            jobs += [
                ("tcp", number, port, pool.submit(_connect, address, port))
                for port in target["tcp"]
            ]
            for port in target["udp"]:
                payload = PAYLOAD.format(id=config["id"], sender=config["from"], port=port)
                task = pool.submit(_throw, address, port, payload.encode())
                jobs.append(("udp", number, port, task))
            jobs += [
                ("ping", number, size, pool.submit(_ping, address, size))
                for size in target["sizes"]
            ]
        answer: Json = {"tcp": [], "udp": [], "ping": []}
        for kind, number, what, task in jobs:
            answer[kind].append([number, what, *task.result()])
        ends = time.monotonic() + NARROW_WITHIN
        for target in config["targets"]:
            number, address = target["to"], target["address"]
            tried = {size: code for to, size, code, _ in answer["ping"] if to == number}
            for size, code, text in _narrowed(pool, address, tried, target["most"], ends):
                answer["ping"].append([number, size, code, text])
    return answer


def _narrowed(
    pool: ThreadPoolExecutor, address: str, tried: "Tried", most: int, ends: float
) -> "list[tuple[int, int, str]]":
    """Between the largest size that arrived and the next that did not, the very largest, ``most``
    at the most: several sizes at a time, until none is left or time is up. Interfaces may take
    more than their MTU, which nobody can rely on; nothing is tried where all arrived, or none."""
    found = []
    while time.monotonic() < ends:
        good = max((size for size, code in tried.items() if code == 0), default=None)
        bad = min((size for size, code in tried.items() if good and size > good), default=None)
        if good is None or bad is None or min(bad, most + 1) - good <= 1:
            break
        bad = min(bad, most + 1)
        step = max(1, (bad - good) // (AT_ONCE + 1))
        sizes = list(range(good + step, bad, step))[:AT_ONCE]
        answers = list(pool.map(lambda it: _ping(address, it), sizes))
        for place, size in enumerate(sizes):
            code, text = answers[place]
            tried[size] = code
            found.append((size, code, text))
    return found


def _connect(address: str, port: int) -> "tuple[str, str]":
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(TCP_TIMEOUT)
    try:
        sock.connect((address, port))
    except ConnectionRefusedError:
        return "refused", ""
    except socket.timeout:  # noqa: UP041  # no TimeoutError before Python 3.10
        return "blocked", ""
    except OSError as fault:
        return "blocked", _words(fault)
    finally:
        sock.close()
    return "open", ""


def _throw(address: str, port: int, payload: bytes) -> "tuple[str, str]":
    """Send a few datagrams; the connected socket hears of it when they are rejected."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    outcome = ("sent", "")
    try:
        sock.connect((address, port))
        for _ in range(DATAGRAMS):
            sock.send(payload)
            time.sleep(BETWEEN_DATAGRAMS)
        pending = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if pending == errno.ECONNREFUSED:
            outcome = ("refused", "")
        elif pending:
            outcome = ("blocked", os.strerror(pending))
    except ConnectionRefusedError:
        outcome = ("refused", "")
    except OSError as fault:
        outcome = ("blocked", _words(fault))
    finally:
        sock.close()
    return outcome


def _ping(address: str, size: int) -> "tuple[int, str]":
    """One echo request of ``size`` bytes, headers included, that must not be fragmented."""
    argv = ["ping", "-n", "-c", "1", "-w", PING_DEADLINE, "-M", "do", "-s", str(size - 28), address]
    try:
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, LC_ALL="C"),
            check=False,
        )
    except OSError as fault:
        return 127, "ping: " + _words(fault)
    return done.returncode, done.stdout.decode("utf-8", "replace")[-600:]


def collect(config: "Json") -> "Json":
    """What the listener of this host heard."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.settimeout(5)
    control.connect(_control(config["id"]))
    said = b""
    while True:
        part = control.recv(65536)
        if not part:
            break
        said += part
    heard: Json = json.loads(said.decode())
    return heard


def _control(probe: str) -> str:
    # An abstract socket: it is gone with its process and leaves no file.
    return "\0netbench-port-probe-" + probe


def _words(fault: OSError) -> str:
    return os.strerror(fault.errno) if fault.errno else str(fault)


if __name__ == "__main__":
    MODES = {"listen": listen, "send": send, "collect": collect}
    sys.stdout.write(json.dumps(MODES[sys.argv[1]](json.loads(sys.argv[2]))) + "\n")
