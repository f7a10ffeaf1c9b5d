"""Seeing to it that an engine is rid of the network ``ingress`` of a swarm that it has left.

An engine has the network ``ingress`` in every swarm. It sets it up and takes it away in the
background, one job after the other, and leaving a swarm queues the job that takes it away and waits
5 s for it (Docker's daemon/network.go, startIngressWorker; daemon/daemon.go, DaemonLeavesCluster).
Two things hold the jobs up for longer; then the leave has succeeded and the engine goes on:

- While it sets ingress up it waits 30 s for each peer that does not answer, as one does not that
  leaves at that time (libnetwork/networkdb: JoinNetwork, bulkSyncNode). Then it attaches ingress to
  the gateway bridge, making one where there is none, and only then takes ingress away again, but
  not the bridge.
- Any change of its node (that a network of the swarm was removed, say) makes it set ingress up
  again. If it gets to that after the leave has closed its gossip, it waits for the gossip to come
  back, which it does in the next swarm (AgentInitWait in libnetwork/controller.go). Outside a swarm
  its API can remove neither ingress ("not a swarm manager") nor a bridge that ingress uses.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench.errors import EngineError, RemoteTimeout
from bench.remote.api import Machine

INGRESS = "ingress"
# Three peers' worth of waiting and some seconds for all the rest.
GONE_WITHIN = 100.0
POLL = 0.15
# An engine that is just about to be done is left alone for this long.
GRACE = 1.0
# Nobody reaches a swarm there, and no other of the host's addresses has to be known.
NOWHERE = "127.0.0.1"
# How long the ingress of the short swarm is there before that is left: its node does not change
# any more by then, so nothing is set up anew while it is left.
STEADY = 0.5


def rid(machine: Machine, labels: Mapping[str, str]) -> bool:
    """Wait until a host that has left its swarm has no ``ingress``; False if it keeps it.

    Where it does not go by itself, the engine is put into a swarm of its own on the loopback
    address for a moment, which has ``labels`` as long as it is there: its jobs go on. Raises
    EngineError or HostUnreachable, naming the host.
    """
    deadline = time.monotonic() + GONE_WITHIN
    while stale := _ingress(machine):
        time.sleep(GRACE)
        if not _ingress(machine) or machine.engine.facts().swarm.active:
            # In a swarm again it is by somebody else's hand, and so is its ingress.
            return True
        if time.monotonic() > deadline:
            return False
        _go_on(machine, stale, labels, deadline)
    return True


def _ingress(machine: Machine) -> str:
    return machine.engine.network_ids().get(INGRESS, "")


def _go_on(machine: Machine, stale: str, labels: Mapping[str, str], deadline: float) -> None:
    """A swarm of one host, until its own ingress has taken the place of the ``stale`` one."""
    try:
        machine.engine.swarm_init(NOWHERE, labels)
    except (EngineError, RemoteTimeout):
        state = machine.engine.facts().swarm
        if state.active and state.node_address != NOWHERE:
            # Somebody was quicker, and the caller will see it.
            return
        machine.engine.swarm_leave()
        raise
    try:
        while _ingress(machine) in ("", stale) and time.monotonic() < deadline:
            time.sleep(POLL)
        time.sleep(STEADY)
    finally:
        machine.engine.swarm_leave()
