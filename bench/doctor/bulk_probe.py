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
    before, began = _cores(), time.monotonic()
    taken: list[int] = []
    while True:
        part = peer.recv(CHUNK)
        if not part:
            break
        place = int((time.monotonic() - began) / config["interval"])
        taken += [0] * (place + 1 - len(taken))
        taken[place] += len(part)
    told = {"bytes": taken, "kernel": _kernel(before, _cores())}
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
    before = _cores()
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
    taken["kernel"] = max(taken["kernel"], _kernel(before, _cores()))
    return taken


def _cores() -> "list[list[int]]":
    with open("/proc/stat") as file:
        lines = [line.split() for line in file]
    return [list(map(int, line[1:9])) for line in lines if re.match(r"cpu\d", line[0])]


def _kernel(before: "list[list[int]]", after: "list[list[int]]") -> float:
    """The largest share of a core's time that its kernel took, interrupts included."""
    shares = [0.0]
    for old, new in zip(before, after):
        spent = [max(0, there - here) for here, there in zip(old, new)]
        shares.append((spent[2] + spent[5] + spent[6]) / max(1, sum(spent)))
    return max(shares)


if __name__ == "__main__":
    MODES = {"serve": serve, "send": send}
    sys.stdout.write(json.dumps(MODES[sys.argv[1]](json.loads(sys.argv[2]))) + "\n")
