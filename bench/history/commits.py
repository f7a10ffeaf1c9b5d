"""The commit that stands for a run: what it says, what its tree holds, which tags it gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bench.history.machines import by_machine, engines, kernels, new_versions, what_changed
from bench.history.sequence import Head
from bench.model import HostFacts, RunInfo
from bench.units import exact

# What git allows in a tag's name, less what is awkward in URLs and shells.
_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9._+-]+|\.\.+")
# Hosts of many versions make a long name, and a tag is a file.
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: ``when`` is its author's and committer's time, ``machine`` names the file whose
    content, ``state``, is what the machine is set to."""

    when: datetime
    message: str
    machine: str
    state: str
    tags: tuple[str, ...]


def commits(runs: Sequence[Head]) -> tuple[Commit, ...]:
    """A commit for each of the runs, which are in their order; by nothing else than the runs."""
    before: dict[str, str] = {}
    changes: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    machines = by_machine(runs)
    for name, its in machines.items():
        for one, other in zip((None, *its), its, strict=False):
            changes[other.info.run] = (
                ((), ())
                if one is None
                else (what_changed(one.info, other.info), new_versions(one.info, other.info))
            )
        before |= {run.info.run: name for run in its}
    taken: set[str] = set()
    made = []
    for run in runs:
        name = before[run.info.run]
        changed, versions = changes[run.info.run]
        first = run is machines[name][0]
        tags = tuple(_tag(version, run, name if len(machines) > 1 else "") for version in versions)
        tags = tuple(tag for tag in tags if tag not in taken)
        taken |= set(tags)
        message = _message(run, changed, versions, first=first)
        made.append(Commit(run.created, message, name, _state(run.info), tags))
    return tuple(made)


def _tag(version: str, run: Head, machine: str) -> str:
    """A version comes and goes and comes back, so a tag has its day."""
    words = (version[:_LONGEST], f"{run.created:%Y%m%d-%H%M}", machine)
    return _NOT_IN_A_TAG.sub("-", "-".join(filter(None, words)))


def _message(run: Head, changed: Sequence[str], versions: Sequence[str], *, first: bool) -> str:
    """The subject has what asv shows beside a hash; the body everything."""
    info = run.info
    told = [info.note] if info.note else []
    told += [f"now {version}" for version in versions]
    lines = [f"{info.run}: {'; '.join(told) or ('first run' if first else 'as before')}", ""]
    if not told and changed:
        lines[0] = f"{info.run}: {changed[0]}"
    hosts = ", ".join(host.name for host in info.hosts)
    lines.append(f"Measured {run.created:%Y-%m-%d %H:%M:%S} UTC on {hosts}.")
    if info.note:
        lines += ["", f"Note: {info.note}"]
    if first:
        lines += ["", "The first run of these hosts."]
    else:
        lines += ["", "Changed since the run before:" if changed else "Nothing changed."]
        lines += [f"  {change}" for change in changed]
    if info.checkout:
        dirty = " (and changes on top)" if info.checkout.changed else ""
        lines += ["", f"Inventory at commit {info.checkout.commit}{dirty}"]
    return "\n".join(lines) + "\n"


def _state(info: RunInfo) -> str:
    """What the hosts and netbench are, a line each: `git diff` between runs shows what changed."""
    lines = [
        f"kernel: {kernels(info)}",
        f"engine: {engines(info)}",
        f"netbench: {info.netbench}",
        f"toolbox image: {info.image.image_id}",
        *(f"tool {name}: {version}" for name, version in sorted(info.image.tools.items())),
        f"trial: {info.plan.duration} s after {info.plan.warmup} s, pin {info.plan.pin}",
    ]
    for host in info.hosts:
        lines += [f"{host.name} {line}" for line in _host(host)]
    return "\n".join(lines) + "\n"


def _host(host: HostFacts) -> list[str]:
    speed = exact(host.link_speed, "bit/s") if host.link_speed else "unknown"
    return [
        f"os: {host.os}",
        f"kernel: {host.kernel}",
        f"engine: {host.engine}",
        f"storage driver: {host.storage_driver or 'unknown'}",
        f"memory: {host.memory / 2**30:.1f} GiB",
        f"MTU: {host.data_mtu}",
        f"link: {speed}, {host.emulated_link or 'not emulated'}",
        f"tuning: {', '.join(host.tuning) or 'none'}",
    ]
