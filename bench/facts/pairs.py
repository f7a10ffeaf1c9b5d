"""The ports and the path MTU between every two hosts, really tried in both directions.

Every host runs ``port_probe.py``: first all listen, then all send to all others, then what each
heard is collected. Nothing is installed, and a port that a program has open stays with it.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import Any

from bench.errors import HostError, NetbenchError
from bench.facts.network import DataNetwork
from bench.remote.api import Machine

# How long a listener stays that nobody collects (seconds), and the deadline of one step.
LISTEN_FOR = 30
STEP_WITHIN = 20.0
# MTUs that are usual on the way: plain, PPPoE, VXLAN or GRE below, tunnels, IPv6's least, and a
# size that passes wherever an echo request is answered at all.
USUAL_MTUS = (1500, 1492, 1450, 1400, 1280, 576)


class Outcome(StrEnum):
    """What became of an attempt. ``smaller`` and ``black-hole`` are said of a path's MTU."""

    OPEN = "open"
    BLOCKED = "blocked"
    REFUSED = "refused"
    SMALLER = "smaller"
    BLACK_HOLE = "black-hole"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports to try, by protocol."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PortResult:
    """One port, tried from one host to another."""

    source: str
    target: str
    protocol: str
    port: int
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PathMtu:
    """The path from one host to another. ``size`` is the source's MTU in bytes, which is the packet
    that was tried; ``largest`` the largest one of those tried that arrived, if any did."""

    source: str
    target: str
    size: int
    outcome: Outcome
    largest: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Everything tried between hosts.

    ``in_use`` are the ports that a program of a host has open: host, protocol, port. ``faults``
    says why nothing, or not all, could be tried on a host.
    """

    ports: tuple[PortResult, ...] = ()
    paths: tuple[PathMtu, ...] = ()
    in_use: tuple[tuple[str, str, int], ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)


Everywhere = Callable[
    [Callable[[Machine], dict[str, Any]], Sequence[str]],
    Mapping[str, dict[str, Any] | NetbenchError],
]


def probe(everywhere: Everywhere, networks: Mapping[str, DataNetwork], ports: Ports) -> Pairs:
    """Try all ``ports`` and the path MTU between every two hosts of ``networks``.

    ``everywhere`` calls a function with the machines of the named hosts, all at once, and returns
    what each returned or raised. Never raises for what a host does.
    """
    token = uuid.uuid4().hex
    names = list(networks)

    def listen(machine: Machine) -> dict[str, Any]:
        address = networks[machine.host.name].address
        config = {"address": address, "tcp": ports.tcp, "udp": ports.udp, "seconds": LISTEN_FOR}
        return _run(machine, "listen", {"id": token, **config})

    faults: dict[str, str] = {}
    listeners = _answers(everywhere(listen, names), faults)

    def send(machine: Machine) -> dict[str, Any]:
        name = machine.host.name
        targets = [
            {
                "to": names.index(other),
                "address": networks[other].address,
                "tcp": ports.tcp,
                "udp": ports.udp,
                "sizes": sizes(networks[name].mtu, networks[other].mtu),
            }
            for other in listeners
            if other != name
        ]
        return _run(machine, "send", {"id": token, "from": names.index(name), "targets": targets})

    sent = _answers(everywhere(send, list(listeners)), faults)
    heard = _answers(
        everywhere(lambda machine: _run(machine, "collect", {"id": token}), list(listeners)), faults
    )
    return judge(names, networks, listeners=listeners, sent=sent, heard=heard, faults=faults)


def sizes(own: int, other: int) -> list[int]:
    """The packet sizes (bytes) to try from an interface with MTU ``own`` to one with ``other``."""
    return sorted({own, *(size for size in (other, *USUAL_MTUS) if size < own)}, reverse=True)


def judge(
    names: Sequence[str],
    networks: Mapping[str, DataNetwork],
    *,
    listeners: Mapping[str, dict[str, Any]],
    sent: Mapping[str, dict[str, Any]],
    heard: Mapping[str, dict[str, Any]],
    faults: Mapping[str, str],
) -> Pairs:
    """Put together what was sent and what was heard. Pure."""
    ports: list[PortResult] = []
    paths: list[PathMtu] = []
    for source, tries in sent.items():
        for number, port, outcome, detail in tries["tcp"]:
            target = names[number]
            state = listeners[target]["tcp"][str(port)]
            ports.append(_judge_tcp(source, target, port, state, (outcome, detail)))
        for number, port, outcome, detail in tries["udp"]:
            target = names[number]
            state = listeners[target]["udp"][str(port)]
            arrived = None
            if target in heard:
                arrived = [names.index(source), port] in heard[target]["heard"]
            ports.append(
                _judge_udp(source, target, port, state, (outcome, detail), arrived=arrived)
            )
        for target in listeners:
            pings = {
                size: (exit_code, text)
                for number, size, exit_code, text in tries["ping"]
                if names[number] == target
            }
            if pings:
                paths.append(judge_path(source, target, networks[source].mtu, pings))
    in_use = [
        (name, protocol, int(port))
        for name, states in listeners.items()
        for protocol in ("tcp", "udp")
        for port, state in states[protocol].items()
        if state.startswith("in use")
    ]
    return Pairs(tuple(ports), tuple(paths), tuple(in_use), dict(faults))


def _judge_tcp(
    source: str, target: str, port: int, state: str, tried: tuple[str, str]
) -> PortResult:
    outcome, detail = tried
    if outcome != Outcome.OPEN and state not in ("listening", "in use"):
        return PortResult(source, target, "tcp", port, Outcome.NOT_TRIED, state)
    return PortResult(source, target, "tcp", port, Outcome(outcome), detail)


def _judge_udp(
    source: str,
    target: str,
    port: int,
    state: str,
    tried: tuple[str, str],
    *,
    arrived: bool | None,
) -> PortResult:
    outcome, detail = tried
    if arrived:
        return PortResult(source, target, "udp", port, Outcome.OPEN)
    listening = state.startswith(("listening", "in use"))
    if outcome != "sent" and listening:
        # A rejection came back, or this end could not even send: no listener is needed to know.
        return PortResult(source, target, "udp", port, Outcome(outcome), detail)
    if state not in ("listening", "in use"):
        return PortResult(source, target, "udp", port, Outcome.NOT_TRIED, state)
    if arrived is None:
        detail = "what arrived could not be asked"
        return PortResult(source, target, "udp", port, Outcome.NOT_TRIED, detail)
    return PortResult(source, target, "udp", port, Outcome.BLOCKED)


def judge_path(
    source: str, target: str, size: int, pings: Mapping[int, tuple[int, str]]
) -> PathMtu:
    """The path MTU from pings of several sizes: size -> exit code and output. Pure."""
    arrived = [tried for tried, (exit_code, _) in pings.items() if exit_code == 0]
    largest = max(arrived, default=None)
    if largest == size:
        return PathMtu(source, target, size, Outcome.OPEN, largest)
    _, text = pings[size]
    if largest is None:
        # ping's own complaint where it could not even begin; else nobody answered.
        lines = text.strip().splitlines()
        why = "no answer to any ping"
        if "packets transmitted" not in text and lines:
            why = lines[0]
        return PathMtu(source, target, size, Outcome.NOT_TRIED, None, why)
    told = re.search(r"\bmtu ?= ?(\d+)", text)
    if told:
        detail = f"routers on the way say {told[1]}"
        return PathMtu(source, target, size, Outcome.SMALLER, largest, detail)
    return PathMtu(source, target, size, Outcome.BLACK_HOLE, largest)


def _answers(
    results: Mapping[str, dict[str, Any] | NetbenchError], faults: dict[str, str]
) -> dict[str, dict[str, Any]]:
    answers = {}
    for name, result in results.items():
        if isinstance(result, NetbenchError):
            faults.setdefault(name, str(result).removeprefix(f"{name}: "))
        else:
            answers[name] = result
    return answers


def _run(machine: Machine, mode: str, config: dict[str, Any]) -> dict[str, Any]:
    argv = ("python3", "-", mode, json.dumps(config))
    script = files("bench.facts").joinpath("port_probe.py").read_bytes()
    done = machine.shell.run(argv, stdin=script, timeout=STEP_WITHIN)
    name = machine.host.name
    if done.exit_code != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"exit code {done.exit_code}"
        raise HostError(
            name,
            f"`{shlex.join(argv[:3])}` of the port probe failed: {why}",
            f"ports to and from {name} were not tried: it needs python3, 3.6 or newer",
        )
    try:
        answer = json.loads(done.stdout)
    except ValueError as fault:
        raise HostError(name, f"the port probe printed no JSON: {done.stdout!r:.60}") from fault
    if not isinstance(answer, dict):
        raise HostError(name, f"the port probe printed no JSON object: {done.stdout!r:.60}")
    return answer
