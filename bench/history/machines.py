"""What asv calls a machine: the hosts of one inventory. And what is new on them in a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.likeness import differences
from bench.history.sequence import R
from bench.model import HostFacts, RunInfo
from bench.units import number

# A folder's name and a part of URLs.
_LONGEST = 60
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.+_-]+")


@dataclass(frozen=True, slots=True)
class Machine:
    """The fields that asv has for a machine; ``machine`` is its name."""

    machine: str
    arch: str
    cpu: str
    num_cpu: str
    os: str
    ram: str


def identity(info: RunInfo) -> tuple[object, ...]:
    """What hosts have that are the same from run to run, however they are set up by now: names and
    processors, and whether they share a kernel. Everything else is what a history is to show."""
    hosts = sorted((one.name, one.architecture, one.cpu_model, one.cpus) for one in info.hosts)
    return (*hosts, info.shared_kernel)


def machine_name(info: RunInfo) -> str:
    """The hosts' names and some digits of what else they are known by: the same in every export."""
    names = "+".join(sorted(host.name for host in info.hosts)) or "no-hosts"
    digits = hashlib.sha256(repr(identity(info)).encode()).hexdigest()[:6]
    return f"{_NOT_IN_A_NAME.sub('-', names)[:_LONGEST]}-{digits}"


def machine(info: RunInfo) -> Machine:
    """The machine as asv's pages show it, by a run's facts (the newest run's, say)."""
    return Machine(
        machine=machine_name(info),
        arch=_all(host.architecture for host in info.hosts),
        cpu=_all(host.cpu_model for host in info.hosts),
        num_cpu=_all(str(host.cpus) for host in info.hosts),
        os=_all(host.os for host in info.hosts),
        ram=_all(f"{number(host.memory / 2**30)} GiB" for host in info.hosts),
    )


def by_machine(runs: Iterable[R]) -> dict[str, tuple[R, ...]]:
    """The runs of each machine in their order; the machine that was measured last comes last."""
    found: dict[str, list[R]] = {}
    for run in runs:
        name = machine_name(run.info)
        found[name] = [*found.pop(name, []), run]
    return {name: tuple(its) for name, its in found.items()}


def what_changed(before: RunInfo, now: RunInfo) -> tuple[str, ...]:
    """A line for each thing that is not as it was in the run before, what matters first."""
    lines = [f"{one.what}: {one.base} -> {one.new}" for one in differences(before, now)]
    images = before.image.image_id, now.image.image_id
    if images[0] != images[1]:
        lines.append(f"toolbox image: {_short(images[0])} -> {_short(images[1])}")
    return tuple(lines)


def new_versions(before: RunInfo, now: RunInfo) -> tuple[str, ...]:
    """What becomes a tag: a kernel or an engine that the run before had not, as
    ``engine-26.1.5``."""
    told = (("kernel", kernels), ("engine", engines))
    return tuple(f"{what}-{of(now)}" for what, of in told if of(before) != of(now))


def kernels(info: RunInfo) -> str:
    return _versions(info.hosts, [host.kernel for host in info.hosts])


def engines(info: RunInfo) -> str:
    return _versions(info.hosts, [host.engine for host in info.hosts])


def _versions(hosts: Sequence[HostFacts], versions: Sequence[str]) -> str:
    """One version where all have it, else each host's, which no other state of them has."""
    if len(set(versions)) <= 1:
        return "".join(versions[:1])
    return "+".join(sorted(f"{host.name}-{one}" for host, one in zip(hosts, versions, strict=True)))


def _all(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, values)))


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:12]
