"""Trying every path once before the first block: what cannot work is skipped with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench import workloads
from bench.deploy import Deployment
from bench.errors import NetbenchError
from bench.model import Access, Cell, HostPair, Placement
from bench.remote.fleet import Fleet

PROBE_WITHIN = 10.0
POLL = 0.15


@dataclass(frozen=True, slots=True)
class Path:
    """What a probe tries: a driver's way from client to server in one placement on one pair."""

    driver: str
    access: Access
    placement: Placement
    pair: HostPair


def probe(fleet: Fleet, deployment: Deployment, paths: Iterable[Path]) -> dict[Path, str]:
    """Why each path does not work; the ones that do are not in the result.

    A path works when a request of a few bytes and one of 64 KiB come back unchanged from the very
    server that was meant. New networks need a moment to settle: a path is tried until it works or
    ``PROBE_WITHIN`` seconds are over.
    """
    wanted = [path for path in paths if path.driver not in deployment.unavailable]
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = pool.map(lambda path: _probe(fleet, deployment, path), wanted)
        return {path: why for path, why in zip(wanted, answers, strict=True) if why}


def _probe(fleet: Fleet, deployment: Deployment, path: Path) -> str:
    echo = workloads.known()["http-echo"]
    cell = Cell(path.driver, path.access, path.placement, echo.name)
    address, port = deployment.endpoint(cell, path.pair, echo.port)
    client, server = deployment.client(cell, path.pair), deployment.server(cell, path.pair)
    engine = fleet[path.pair.client_for(path.placement)].engine
    deadline = time.monotonic() + PROBE_WITHIN
    while True:
        why = ""
        try:
            tried = engine.exec(
                client.container_id, ("netbench-probe", address, str(port), "3"), timeout=8.0
            )
        except NetbenchError as fault:
            why = str(fault)
        else:
            answered = tried.stdout.decode(errors="replace").strip()
            if tried.exit_code != 0:
                why = tried.stderr.decode(errors="replace").strip() or answered
            elif answered != server.service:
                why = f"{address}:{port} was answered by {answered!r}, not by {server.service!r}"
        if not why or time.monotonic() > deadline:
            return why
        time.sleep(POLL)
