"""Proof that a container with no network has none: what is in its namespace, and what gets through.

Three things are tried on every host: the namespace has addresses on its loopback alone and no
route; no server of the run answers it, at any host's data address; and its own server answers
nobody at the host's loopback.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench import drivers, workloads
from bench.deployment import CLIENT, LOOPBACK, SERVER, Deployment, Place
from bench.errors import HostUnreachable, NetbenchError, ParseError
from bench.remote.api import Completed, Machine
from bench.remote.fleet import Fleet

WITHIN = 30.0
# Seconds that each try to get in or out may take.
PATIENCE = "2"
LINKS = ("ip", "-j", "addr", "show")
ROUTES = ("ip", "-j", "route", "show")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found on one host; ``complaint`` says what is not as it has to be, empty for
    nothing."""

    words: str
    complaint: str = ""


def prove(fleet: Fleet, deployment: Deployment, driver: str) -> dict[str, Proof]:
    """Try it on every host where the driver's containers run.

    Raises HostUnreachable; what else a host does is a complaint.
    """

    def on_host(machine: Machine) -> Proof:
        try:
            return _prove(machine, deployment, driver)
        except HostUnreachable:
            raise
        except NetbenchError as fault:
            return Proof("", f"its isolation cannot be told: {fault}")

    wanted = (driver, CLIENT)
    return fleet.each(
        on_host, [at.host for at in deployment.tasks if (at.driver, at.role) == wanted]
    )


def parse_addressed(text: str) -> dict[str, tuple[str, ...]]:
    """The interfaces of ``ip -j addr show`` that have addresses, and which. Raises ParseError."""
    try:
        return {
            str(one["ifname"]): tuple(str(info["local"]) for info in one["addr_info"])
            for one in json.loads(text or "[]")
            if one and one.get("addr_info")
        }
    except _NOT_SO as fault:
        raise ParseError(f"`ip -j addr show` printed no interfaces: {text!r:.60}") from fault


def parse_routes(text: str) -> tuple[str, ...]:
    """The destinations of ``ip -j route show``. Raises ParseError."""
    try:
        return tuple(str(one["dst"]) for one in json.loads(text or "[]") if one)
    except _NOT_SO as fault:
        raise ParseError(f"`ip -j route show` printed no routes: {text!r:.60}") from fault


_NOT_SO = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def _prove(machine: Machine, deployment: Deployment, driver: str) -> Proof:
    host = machine.host.name
    inside = deployment.tasks[Place(driver, CLIENT, host)].container_id
    server = deployment.tasks[Place(driver, SERVER, host)].service
    outside = deployment.tasks[Place(drivers.BASELINE, CLIENT, host)].container_id
    port = str(deployment.port_base + workloads.known()["http-echo"].port)

    def ask(container: str, *argv: str) -> Completed:
        return machine.engine.exec(container, argv, timeout=WITHIN)

    addressed = parse_addressed(_said(ask(inside, *LINKS)))
    routes = parse_routes(_said(ask(inside, *ROUTES)))
    complaints = [f"{name} has {', '.join(has)}" for name, has in addressed.items() if name != "lo"]
    complaints += [f"it has a route to {route}" for route in routes]
    refusals: dict[str, None] = {}
    for address in deployment.data_addresses.values():
        tried = ask(inside, "netbench-probe", address, port, PATIENCE)
        if tried.exit_code == 0:
            complaints.append(f"it gets out: {_said(tried).strip()} answers it at {address}")
        refusals[" ".join(tried.stderr.decode(errors="replace").split()).rpartition(": ")[2]] = None
    back = ask(outside, "netbench-probe", LOOPBACK, port, PATIENCE)
    if back.exit_code == 0 and _said(back).strip() == server:
        complaints.append(f"it is reached from outside, at {LOOPBACK} of the host")
    words = (
        f"interfaces with addresses: {', '.join(addressed) or 'none'}; routes: "
        f"{', '.join(routes) or 'none'}; out to {len(deployment.data_addresses)} hosts: "
        f"{', '.join(refusals) or 'nothing said'}; in from the host: not answered"
    )
    told = "; ".join(complaints)
    return Proof(words, f"{host}: it is not isolated: {told}" if told else "")


def _said(done: Completed) -> str:
    return done.stdout.decode(errors="replace")


def summary(proofs: Mapping[str, Proof]) -> str:
    """What was found, hosts that are alike together."""
    alike: dict[str, list[str]] = {}
    for host, proof in proofs.items():
        alike.setdefault(proof.complaint or proof.words, []).append(host)
    return "; ".join(f"{', '.join(hosts)}: {words}" for words, hosts in alike.items())
