"""Trying every path once before the first block: what cannot work is skipped with its reason."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from bench import drivers, workloads
from bench.deployment import TRIED_WITH, Deployment
from bench.drivers.base import MTU_OPTION
from bench.errors import DeployError, HostUnreachable, NetbenchError
from bench.model import Access, Cell, HostPair, Placement, UnderlayPath
from bench.remote.api import Completed
from bench.remote.fleet import Fleet

PROBE_WITHIN = 10.0
# A slow host may need all of that for one try, at a moment when its networks still settled.
LEAST_TRIES = 3
POLL = 0.15
# How long a probe waits for an answer, and how much longer its process may take to begin and end:
# a busy machine of emulated processors needs more than 20 s for that.
PATIENCE = 3
STARTS_WITHIN = 60.0
# More at once on one host make none of them faster, and a few processors late.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Path:
    """What a probe tries: a workload's way from client to server, on one pair of hosts."""

    driver: str
    access: Access
    placement: Placement
    pair: HostPair
    workload: str

    @property
    def cell(self) -> Cell:
        return Cell(self.driver, self.access, self.placement, self.workload)


# What netbench-probe says where small requests pass and large ones do not.
_LARGE_LOST = "is the MTU too large for the path?"


def probe(
    fleet: Fleet,
    deployment: Deployment,
    paths: Iterable[Path],
    underlay: Iterable[UnderlayPath] = (),
    processors: Mapping[str, int] | None = None,
) -> dict[Path, str]:
    """Why each path does not work; the ones that do are not in the result.

    A path works when a request of a few bytes and one of 64 KiB come back unchanged from the very
    server that was meant, and the workload's own server answers too. New networks need a moment to
    settle: a path is tried until it works or ``PROBE_WITHIN`` seconds are over. As many are tried
    at once from one host as it has ``processors``. Raises HostUnreachable where a client's host is
    lost.
    """
    possible = [
        path for path in paths if not deployment.why_not(path.driver, path.access, path.placement)
    ]
    refused = {path: why for path in possible if (why := _refusal(deployment, path))}
    wanted = [path for path in possible if path not in refused]
    clients = {path.pair.client_for(path.placement) for path in wanted}
    with ExitStack() as stack:
        pools = {
            host: stack.enter_context(
                ThreadPoolExecutor(min(AT_ONCE, (processors or {}).get(host, AT_ONCE)))
            )
            for host in clients
        }
        tried = {
            path: pools[path.pair.client_for(path.placement)].submit(
                patiently, fleet, deployment, path
            )
            for path in wanted
        }
        try:
            answers = {path: answer.result() for path, answer in tried.items()}
        finally:
            # Once a host is lost, what has not begun need not.
            for answer in tried.values():
                answer.cancel()
    return refused | {
        path: f"{named(why, deployment, path, tuple(underlay))}; {path.driver} needs "
        f"{drivers.known()[path.driver].needs_for(path.access, path.placement)}"
        for path, why in answers.items()
        if why
    }


def _refusal(deployment: Deployment, path: Path) -> str:
    """Why the workload cannot be where the path leads to; empty where it can."""
    workload = workloads.named(path.workload)
    with suppress(NetbenchError):
        # Where there is no address, the first try says so.
        address, _ = deployment.endpoint(path.cell, path.pair, workload.port)
        return workload.refusal(address)
    return ""


def named(why: str, deployment: Deployment, path: Path, underlay: Sequence[UnderlayPath]) -> str:
    """The complaint by its name where full-size packets vanish and small ones do not, with what
    each side of it is known to be."""
    if _LARGE_LOST not in why:
        return why
    told = ["black hole", why]
    if path.driver in deployment.networks and path.driver != drivers.BASELINE:
        mtu = deployment.networks[path.driver].get(MTU_OPTION)
        told.append(f"the network was made with {f'MTU {mtu}' if mtu else 'no MTU of its own'}")
    ends = {path.pair.client, path.pair.server}
    fits = [one for one in underlay if {one.source, one.target} == ends and one.largest]
    if fits:
        least = min(fits, key=lambda one: one.largest or 0)
        told.append(
            f"{least.source} -> {least.target} carries packets of {least.largest} bytes at most, "
            f"and the interface's MTU is {least.size}"
        )
    return f"{told[0]}: {'; '.join(told[1:])}"


def refuse_without_baseline(broken: Mapping[Path, str], paths: Iterable[Path]) -> None:
    """Raise DeployError where the baseline works on no pair at all in a placement and workload:
    nothing that is measured there could be compared."""
    baselines: dict[tuple[Placement, str], list[Path]] = {}
    for path in paths:
        if path.driver == drivers.BASELINE:
            baselines.setdefault((path.placement, path.workload), []).append(path)
    for (placement, workload), tried in baselines.items():
        if all(path in broken for path in tried):
            raise DeployError(
                f"the baseline, {drivers.BASELINE}, does not work {placement} for {workload}: "
                f"{tried[0].pair.server}: {broken[tried[0]]}",
                "see `netbench check`",
            )


def patiently(fleet: Fleet, deployment: Deployment, path: Path) -> str:
    """Try one path until it works; why it still does not after ``PROBE_WITHIN`` s, or nothing.

    Raises HostUnreachable where the client's host is lost.
    """
    deadline = time.monotonic() + PROBE_WITHIN
    for tries in itertools.count(1):
        try:
            why = _probe(fleet, deployment, path)
        except HostUnreachable:
            raise
        except NetbenchError as fault:
            why = str(fault)
        if not why or (tries >= LEAST_TRIES and time.monotonic() > deadline):
            break
        time.sleep(POLL)
    return why


def _probe(fleet: Fleet, deployment: Deployment, path: Path) -> str:
    """One try: why the path does not work, or nothing."""
    engine = fleet[path.pair.client_for(path.placement)].engine
    client = deployment.client(path.cell, path.pair)
    server = deployment.server(path.cell, path.pair)
    echo = workloads.known()[TRIED_WITH]
    address, port = deployment.endpoint(path.cell, path.pair, echo.port)
    argv: tuple[str, ...] = ("netbench-probe", address, str(port), str(PATIENCE))
    within = PATIENCE + STARTS_WITHIN
    tried = engine.exec(client.container_id, argv, timeout=within)
    answered = tried.stdout.decode(errors="replace").strip()
    if tried.exit_code != 0:
        return tried.stderr.decode(errors="replace").strip() or answered
    if answered != server.service:
        return f"{address}:{port} was answered by {answered!r}, not by {server.service!r}"
    workload = workloads.named(path.workload)
    argv = workload.probe(*deployment.endpoint(path.cell, path.pair, workload.port))
    if not argv:
        return ""
    return _complaint(argv[0], engine.exec(client.container_id, argv, timeout=within))


def _complaint(tool: str, tried: Completed) -> str:
    if tried.exit_code == 0:
        return ""
    said = tried.stderr.decode(errors="replace") or tried.stdout.decode(errors="replace")
    return f"{tool}: {' '.join(said.split())[-200:] or f'exit code {tried.exit_code}'}"
