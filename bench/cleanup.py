"""Taking away what runs created, found by label on the hosts themselves.

The end of a run and ``netbench clean`` are the same act. Objects without a label of
netbench's are not touched.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench import ingress, labels, routes
from bench.errors import HostError, HostUnreachable, NetbenchError
from bench.remote.api import Labelled, Machine
from bench.remote.fleet import Fleet
from bench.swarm import GATEWAY

GONE_WITHIN = 20.0
POLL = 0.15
# How long engines are left alone before they leave a swarm.
REST = 0.5
# Where the engines of a swarm gossip about networks (TCP).
GOSSIP_PORT = 7946

T = TypeVar("T")
Wanted = Callable[[Labelled], bool]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, by kind, and what could not be, each with its host and why."""

    removed: dict[str, int]
    outstanding: tuple[str, ...]


def clean(fleet: Fleet, run: str | None = None) -> Cleaned:
    """Remove everything of ``run`` (of every run for None) from the hosts in reach.

    Never raises for what a host does or fails to do: that is what ``outstanding`` reports.
    """
    return _Cleaner(fleet, run).clean()


class _Cleaner:
    """One pass over the hosts; each step goes on with the hosts that still answer."""

    def __init__(self, fleet: Fleet, run: str | None) -> None:
        self.fleet = fleet
        self.run = run
        self.selector = labels.selector(run)
        self.alive = list(fleet)
        self.removed: Counter[str] = Counter()
        self.outstanding: list[str] = []
        self.refused: dict[str, str] = {}

    def clean(self) -> Cleaned:
        managers = [name for name, yes in self.ask(_manages, self.alive).items() if yes]
        self.remove(managers[:1], _is("service"), GONE_WITHIN)
        # Swarm would end the containers of a removed service by itself, in its own good time.
        self.remove(self.alive, _is("container"), GONE_WITHIN)
        self.remove(managers[:1], _is("network", "swarm"), GONE_WITHIN)
        for number in self.ask(routes.lift, self.alive).values():
            self.removed["route"] += number
        ours = [name for name, yes in self.ask(self.joined_by_us, self.alive).items() if yes]
        # Managers last: a worker that leaves first is not missed by anybody.
        self.leave(sorted(ours, key=lambda name: name in managers))
        left = [name for name in ours if name in self.alive]
        busy = self.rid_of_ingress(left)
        # Only now: the swarm's own gateway bridge is in use for as long as there is a swarm.
        idle = [name for name in self.alive if name not in busy]
        self.remove(idle, _is("network", "local"), GONE_WITHIN)
        self.remove(busy, _local_but_gateway, GONE_WITHIN)
        self.outstanding.extend(filter(None, self.ask(_gossiping, left).values()))
        self.remove(self.alive, _is("volume"), GONE_WITHIN)
        self.note_what_is_left()
        return Cleaned(dict(+self.removed), tuple(dict.fromkeys(self.outstanding)))

    def ask(self, do: Callable[[Machine], T], names: Iterable[str]) -> dict[str, T]:
        """What each host answers; one that is lost is reported once and not asked again."""
        answers: dict[str, T] = {}
        for name, answer in self.fleet.attempt(do, names).items():
            if isinstance(answer, NetbenchError):
                self.outstanding.append(str(answer))
                if isinstance(answer, HostUnreachable) and name in self.alive:
                    self.alive.remove(name)
            else:
                answers[name] = answer
        return answers

    def found(self, machine: Machine, wanted: Wanted) -> list[Labelled]:
        return [thing for thing in machine.engine.labelled(self.selector) if wanted(thing)]

    def remove(self, names: Iterable[str], wanted: Wanted, within: float) -> None:
        """Remove what is ``wanted``, trying again while the engine says that it is in use."""

        def remove_all(machine: Machine) -> Counter[str]:
            deadline = time.monotonic() + within
            gone: Counter[str] = Counter()
            while True:
                refused = False
                for thing in self.found(machine, wanted):
                    try:
                        machine.engine.remove(thing)
                        gone[thing.kind] += 1
                    except HostUnreachable:
                        raise
                    except HostError as fault:
                        refused = True
                        self.refused[thing.object_id] = fault.what
                if not refused or time.monotonic() > deadline:
                    return gone
                time.sleep(POLL)

        names = [name for name in names if name in self.alive]
        for gone in self.ask(remove_all, names).values():
            self.removed.update(gone)

    def joined_by_us(self, machine: Machine) -> bool:
        """Whether it was netbench that made this host join the swarm it is in."""
        state = machine.engine.facts().swarm
        if not state.active:
            return False
        if state.is_manager and self.is_ours(machine.engine.swarm_labels()):
            return True
        joined = [
            marker.labels[labels.JOINED]
            for marker in self.found(machine, _is("volume"))
            if labels.JOINED in marker.labels
        ]
        # A join that timed out goes on in the engine, which then knows its manager by address
        # alone. The marker is made only on a host that is in no swarm, so that join is ours.
        under_way = state.state in {"pending", "error"}
        return any(under_way or manager in state.managers for manager in joined)

    def rid_of_ingress(self, left: Iterable[str]) -> list[str]:
        """See to it that no engine has the ``ingress`` of a swarm that it has ``left``; name those
        that still have.

        The gateway with our label stays until then: an engine that is late uses it, and makes none
        of its own that nobody could tell from somebody else's.
        """
        left = frozenset(left)
        mark = labels.of_run(self.run or "clean")

        def gone(machine: Machine) -> bool:
            if ingress.INGRESS not in machine.engine.network_names():
                return True
            if machine.engine.facts().swarm.active:
                return True
            # A gateway of ours outside a swarm: of a leave that an earlier clean-up had to give up
            # waiting for.
            ours = machine.host.name in left or bool(self.found(machine, _is_gateway))
            return not ours or ingress.rid(machine, mark)

        done = self.ask(gone, self.alive)
        busy = [name for name in self.alive if not done.get(name)]
        self.outstanding.extend(
            f"{name}: its engine is still busy with the network ingress of a swarm that it has "
            "left; run `netbench clean` again in a minute, or restart Docker there"
            for name in busy
        )
        return busy

    def note_what_is_left(self) -> None:
        """Look once more: only what is still there is outstanding, with the engine's reason."""
        deadline = time.monotonic() + GONE_WITHIN

        def left(machine: Machine) -> list[str]:
            self.await_no_networks(machine, deadline)
            return [
                f"{machine.host.name}: {thing.kind} {thing.name} is still there"
                + (f" ({self.refused[thing.object_id]})" if thing.object_id in self.refused else "")
                for thing in self.found(machine, lambda _thing: True)
            ]

        for lines in self.ask(left, self.alive).values():
            self.outstanding.extend(lines)

    def await_no_networks(self, machine: Machine, deadline: float) -> None:
        """Give the swarm's networks a moment to go: Swarm has accepted their removal before the
        engines are rid of them."""
        while self.found(machine, _is("network", "swarm")) and time.monotonic() < deadline:
            time.sleep(POLL)

    def is_ours(self, found: Mapping[str, str]) -> bool:
        owner = found.get(labels.RUN)
        return owner is not None and self.run in (None, owner)

    def leave(self, names: Sequence[str]) -> None:
        """Have hosts leave their swarm, in this order.

        An engine has 1 s for its farewell, and with one peer left needs 0.8 s of it: four messages,
        one at each tick of 0.2 s (see ``_gossiping``). So they leave one by one, and only when what
        was removed before is gone and the engines have nothing else to do.
        """
        deadline = time.monotonic() + GONE_WITHIN

        def quiet(machine: Machine) -> None:
            self.await_no_networks(machine, deadline)

        def leave(machine: Machine) -> None:
            machine.engine.swarm_leave()

        if not names:
            return
        self.ask(quiet, names)
        time.sleep(REST)
        for name in names:
            if name in self.alive and self.ask(leave, [name]):
                self.removed["swarm membership"] += 1


def _is(kind: str, scope: str | None = None) -> Wanted:
    return lambda thing: thing.kind == kind and scope in (None, thing.scope)


def _gossiping(machine: Machine) -> str:
    """What to say when the engine has not ended the gossip of the swarm that it has left, or "".

    It gives up when its farewell has not gone out within 1 s, without closing the port (Docker's
    libnetwork/networkdb/cluster.go, clusterLeave; memberlist's Leave). Nothing but its restart
    closes it, and until then it can take part in no overlay network.
    """
    listening = machine.shell.run(["ss", "-Hltn", "sport", "=", f":{GOSSIP_PORT}"])
    # In a swarm again already, by somebody else's hand: then the port is as it should be.
    if listening.exit_code or not listening.stdout or machine.engine.facts().swarm.active:
        return ""
    return (
        f"{machine.host.name}: its engine still listens on TCP {GOSSIP_PORT} for a swarm that it "
        "has left, and overlay networks will fail there; restart Docker on it"
    )


def _is_gateway(thing: Labelled) -> bool:
    return thing.kind == "network" and thing.name == GATEWAY


def _local_but_gateway(thing: Labelled) -> bool:
    return _is("network", "local")(thing) and not _is_gateway(thing)


def _manages(machine: Machine) -> bool:
    return machine.engine.facts().swarm.is_manager
