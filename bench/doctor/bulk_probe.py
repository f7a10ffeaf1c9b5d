"""The part of the doctor that moves bulk data: one file, standard library, Python 3.6 on.

It is sent over standard input to ``python3 - MODE CONFIG`` and has two modes:

``serve``  takes bulk data from one peer in the background and returns once it listens;
``send``   sends bulk data to a peer and says how much of it the peer took in each interval.

Each mode takes a JSON object and prints one. It leaves no file and no process behind.
"""

import json
import os
import re
import socket
import sys
import time
from typing import Any, Dict  # noqa: UP035  # for Python 3.6

Json = Dict[str, Any]  # noqa: UP006  # for Python 3.6

CHUNK = 1 << 18


def serve(config: "Json") -> "Json":
    """Listen for one peer's bulk data; a child process takes it and tells the peer."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((config["address"], config["port"]))
    server.listen(1)
    server.settimeout(config["seconds"] + 10)
    if os.fork() == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        try:
            _take(server, config)
        finally:
            os._exit(0)
    return {"listening": True}


def _take(server: socket.socket, config: "Json") -> None:
    peer, _ = server.accept()
    peer.settimeout(config["seconds"] + 5)
    before, began = _spent(), time.monotonic()
    taken: list[int] = []
    while True:
        part = peer.recv(CHUNK)
        if not part:
            break
        place = int((time.monotonic() - began) / config["interval"])
        taken += [0] * (place + 1 - len(taken))
        taken[place] += len(part)
    told = {"bytes": taken, "load": _load(before)}
    peer.sendall(json.dumps(told).encode())
    peer.close()


def send(config: "Json") -> "Json":
    """Send for ``seconds``; what the peer took by ``interval`` (seconds), in bytes."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    peer.settimeout(5)
    peer.connect((config["address"], config["port"]))
    # Little in stock: what waits here says nothing of the link.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 19)
    peer.settimeout(config["seconds"] + 5)
    data = bytes(CHUNK)
    before = _spent()
    ends = time.monotonic() + config["seconds"]
    while time.monotonic() < ends:
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
    said = b""
    while True:
        part = peer.recv(65536)
        if not part:
            break
        said += part
    taken: Json = json.loads(said.decode())
    taken["load"] = max(taken["load"], _load(before))
    return taken


def _spent() -> "list[float]":
    """The clock, this process's CPU seconds, and each core's ticks in interrupts and in all."""
    with open("/proc/stat") as file:
        lines = [line.split() for line in file if re.match(r"cpu\d", line)]
    ticks = [list(map(int, line[1:9])) for line in lines]
    found = [time.monotonic(), time.process_time()]
    for core in ticks:
        found += [core[5] + core[6], sum(core)]
    return found


def _load(before: "list[float]") -> float:
    """The share of a core that this process took since then, or interrupts on one core if more:
    work of others on the host is not meant."""
    passed = [max(0.0, new - old) for old, new in zip(before, _spent())]
    interrupts = [part / whole for part, whole in zip(passed[2::2], passed[3::2]) if whole]
    return min(1.0, max([passed[1] / max(passed[0], 1e-9), *interrupts]))


if __name__ == "__main__":
    MODES = {"serve": serve, "send": send}
    sys.stdout.write(json.dumps(MODES[sys.argv[1]](json.loads(sys.argv[2]))) + "\n")
