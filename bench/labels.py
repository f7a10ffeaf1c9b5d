"""The labels by which netbench knows its own: nothing without them is ever removed."""

from __future__ import annotations

from collections.abc import Mapping

RUN = "netbench.run"
ROLE = "netbench.role"
DRIVER = "netbench.driver"
HOST = "netbench.host"
# On the marker volume of a host that a run made join a swarm: the node id of the manager it joined.
JOINED = "netbench.joined"
# On the toolbox image, which outlives runs: the digest of its content.
TOOLBOX = "netbench.toolbox"


def of_run(run: str, **more: str) -> Mapping[str, str]:
    """The labels of one run's object; keywords are role, driver and host."""
    return {RUN: run, **{f"netbench.{key}": value for key, value in more.items()}}


def selector(run: str | None) -> str:
    """What to ask an engine for: the objects of one run, or of every run for None."""
    return RUN if run is None else f"{RUN}={run}"
