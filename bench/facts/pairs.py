"""The ports and the path MTU between every two hosts, really tried in both directions.

Every host runs ``port_probe.py``: first all listen, then all send to all others, then what each
heard is collected. Nothing is installed, and a port that a program has open stays with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import NetbenchError
from bench.facts.data_network import DataNetwork
from bench.facts.script import Script
from bench.facts.verdict import Pairs, judge
from bench.remote.api import Machine

# How long a listener stays that nobody collects (seconds), and the deadline of one step.
LISTEN_FOR = 30
STEP_WITHIN = 20.0
PROBE = Script(
    "bench.facts",
    "port_probe.py",
    "the port probe",
    "ports to and from {host} were not tried",
)
# MTUs that are usual on the way: plain, PPPoE, VXLAN or GRE below, tunnels, IPv6's least, and a
# size that passes wherever an echo request is answered at all.
USUAL_MTUS = (1500, 1492, 1450, 1400, 1280, 576)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports to try, by protocol."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]


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
            _target(names, networks, name, other, ports) for other in listeners if other != name
        ]
        return _run(machine, "send", {"id": token, "from": names.index(name), "targets": targets})

    sent = _answers(everywhere(send, list(listeners)), faults)
    heard = _answers(
        everywhere(lambda machine: _run(machine, "collect", {"id": token}), list(listeners)), faults
    )
    return judge(names, networks, listeners=listeners, sent=sent, heard=heard, faults=faults)


def path_mtus(everywhere: Everywhere, networks: Mapping[str, DataNetwork]) -> Pairs:
    """Try the path MTU alone between every two hosts of ``networks``, in both directions.

    Never raises for what a host does.
    """
    names = list(networks)

    def send(machine: Machine) -> dict[str, Any]:
        name = machine.host.name
        none = Ports((), ())
        targets = [_target(names, networks, name, other, none) for other in names if other != name]
        return _run(machine, "send", {"id": "", "from": names.index(name), "targets": targets})

    faults: dict[str, str] = {}
    sent = _answers(everywhere(send, names), faults)
    nobody: dict[str, dict[str, Any]] = {name: {"tcp": {}, "udp": {}} for name in names}
    return judge(names, networks, listeners=nobody, sent=sent, heard={}, faults=faults)


def _target(
    names: Sequence[str],
    networks: Mapping[str, DataNetwork],
    source: str,
    target: str,
    ports: Ports,
) -> dict[str, Any]:
    """What ``source`` is to try of ``target``, in the words of port_probe.py."""
    return {
        "to": names.index(target),
        "address": networks[target].address,
        "tcp": ports.tcp,
        "udp": ports.udp,
        "sizes": sizes(networks[source].mtu, networks[target].mtu),
        "most": min(networks[source].mtu, networks[target].mtu),
    }


def sizes(own: int, other: int) -> list[int]:
    """The packet sizes (bytes) to try from an interface with MTU ``own`` to one with ``other``."""
    return sorted({own, *(size for size in (other, *USUAL_MTUS) if size < own)}, reverse=True)


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
    return PROBE.run(machine, mode, config, STEP_WITHIN)
