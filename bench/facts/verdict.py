"""From what hosts sent and heard to what is open between them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.facts.data_network import DataNetwork


class Outcome(StrEnum):
    """What became of an attempt. ``smaller`` and ``black-hole`` are said of a path's MTU."""

    OPEN = "open"
    BLOCKED = "blocked"
    REFUSED = "refused"
    SMALLER = "smaller"
    BLACK_HOLE = "black-hole"
    NOT_TRIED = "not tried"


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
