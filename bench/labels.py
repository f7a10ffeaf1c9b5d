"""The labels by which netbench knows its own: nothing without them is ever removed."""

from __future__ import annotations

from collections.abc import Mapping

RUN = "netbench.run"
# On what a check of `netbench verify` made: the run's id and the check's name.
CHECK = "netbench.check"
# On the marker volume of a host that a run made join a swarm: the node id of the manager it joined.
JOINED = "netbench.joined"
# On the toolbox image, which outlives runs: the digest of its content.
TOOLBOX = "netbench.toolbox"
# Also on it, with a tool's name behind it: that tool's version.
TOOL = "netbench.tool."


def of_run(run: str) -> Mapping[str, str]:
    """The labels of one run's object."""
    return {RUN: run}


def selector(run: str | None) -> str:
    """What to ask an engine for: the objects of one run, or of every run for None."""
    return RUN if run is None else f"{RUN}={run}"
