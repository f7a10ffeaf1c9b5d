"""Whether two runs were made on the same kind of thing in the same way.

A change between two runs is the change of what was altered on purpose only where all else is alike.
What a network's speed hangs on *matters*; what it does not (netbench's own version, the settings of
interfaces, which may be the very thing under test) is worth a *note*. Names and addresses of hosts
are neither: a cloud hands out new ones every night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.model import HostFacts, Metric, RunInfo
from bench.units import human, number

# Two machines of one type tell a little more or less memory; a larger one tells twice as much.
MEMORY_TOLERANCE = 0.05
# Latencies at rates that differ by more are latencies of something else.
RATE_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two runs, in words; ``matters`` where values then do not compare."""

    what: str
    base: str
    new: str
    matters: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {self.base} in BASE, {self.new} in NEW"


def differences(base: RunInfo, new: RunInfo) -> tuple[Difference, ...]:
    """All that differs, what matters first."""
    found = [*_machines(base, new), *_ways(base, new), *_metrics(base, new)]
    if base.netbench != new.netbench:
        found.append(Difference("netbench itself", base.netbench, new.netbench, matters=False))
    found += _settings(base, new)
    return tuple(sorted(found, key=lambda one: not one.matters))


_Told = Callable[[HostFacts], str]

_FACTS: tuple[tuple[str, _Told], ...] = (
    ("CPU model", lambda host: host.cpu_model),
    ("CPUs", lambda host: str(host.cpus)),
    ("architecture", lambda host: host.architecture),
    ("kernel", lambda host: host.kernel),
    ("Docker engine", lambda host: host.engine),
    ("operating system", lambda host: host.os),
    ("MTU of the data network", lambda host: f"{host.data_mtu} bytes"),
    ("tuning", lambda host: ", ".join(host.tuning) or "none"),
    ("link emulation", lambda host: host.emulated_link or "none"),
    ("published ports", lambda host: host.publishing),
    ("link speed", lambda host: "" if not host.link_speed else human(host.link_speed, "bit/s")),
)
# Facts that older runs, or hosts that do not tell, are without: not known is not different.
_MAY_BE_UNKNOWN = {"CPU model", "link speed", "published ports"}


def _machines(base: RunInfo, new: RunInfo) -> Iterator[Difference]:
    if len(base.hosts) != len(new.hosts):
        yield Difference("number of hosts", str(len(base.hosts)), str(len(new.hosts)))
    if base.shared_kernel != new.shared_kernel:
        yield Difference("hosts", _kind(base), _kind(new))
    couples = _couples(base.hosts, new.hosts)
    for what, told in _FACTS:
        yield from _fact(what, [(name, told(one), told(other)) for name, one, other in couples])
    yield from _fact(
        "memory", [(name, *_memories(one.memory, other.memory)) for name, one, other in couples]
    )


def _memories(one: int, other: int) -> tuple[str, str]:
    near = abs(one - other) <= MEMORY_TOLERANCE * max(one, other)
    return f"{number(one / 2**30)} GiB", f"{number((one if near else other) / 2**30)} GiB"


def _kind(run: RunInfo) -> str:
    return "sharing one kernel" if run.shared_kernel else "with a kernel each"


def _couples(
    base: tuple[HostFacts, ...], new: tuple[HostFacts, ...]
) -> list[tuple[str, HostFacts, HostFacts]]:
    """Which host stands for which: those of one name, or where names differ those of one place."""
    by_name = {host.name: host for host in new}
    if {host.name for host in base} == set(by_name):
        return [(host.name, host, by_name[host.name]) for host in base]
    return [
        (one.name if one.name == other.name else f"{one.name}/{other.name}", one, other)
        for one, other in zip(base, new, strict=False)
    ]


def _fact(what: str, told: list[tuple[str, str, str]]) -> Iterator[Difference]:
    """One line for all hosts that differ in the same way, as they mostly do."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for name, one, other in told:
        unknown = what in _MAY_BE_UNKNOWN and not (one and other)
        if one != other and not unknown:
            hosts.setdefault((one, other), []).append(name)
    for (one, other), names in hosts.items():
        who = "" if len(names) == len(told) else f" of {', '.join(names)}"
        yield Difference(f"{what}{who}", one, other)


def _ways(base: RunInfo, new: RunInfo) -> Iterator[Difference]:
    """How it was measured."""
    for what, one, other in (
        ("measured part of a trial", f"{base.plan.duration} s", f"{new.plan.duration} s"),
        ("warm-up of a trial", f"{base.plan.warmup} s", f"{new.plan.warmup} s"),
        ("CPU pinning (--pin)", base.plan.pin, new.plan.pin),
        ("MTU of the networks (--mtu)", base.plan.mtu, new.plan.mtu),
    ):
        if one != other:
            yield Difference(what, one, other)
    yield from _working(base, new)
    yield from _rates(base, new)
    tools = (base.image.tools, new.image.tools)
    for name in dict.fromkeys([*tools[0], *tools[1]]):
        one, other = (known.get(name, "none") for known in tools)
        if one != other:
            yield Difference(f"version of {name}", one, other)


def _working(base: RunInfo, new: RunInfo) -> Iterator[Difference]:
    """Tools that were at work for another time than the plans, which agree, would have it: they
    were told something else."""
    plans = ((base.plan.duration, base.plan.warmup), (new.plan.duration, new.plan.warmup))
    for workload in base.metrics:
        one, other = base.worked(workload), new.worked(workload)
        if workload in new.metrics and plans[0] == plans[1] and one != other:
            yield Difference(f"time of the tool of {workload}", f"{one:g} s", f"{other:g} s")


def _rates(base: RunInfo, new: RunInfo) -> Iterator[Difference]:
    """What the rates of other workloads follow from: it is measured anew in every run."""
    reached = base.slowest_of_each(), new.slowest_of_each()
    for workload, one in reached[0].items():
        other, unit = reached[1].get(workload, one), base.unit_reached(workload)
        if abs(one - other) > RATE_TOLERANCE * max(one, other):
            yield Difference(
                f"{workload} on the slowest treatment, which sets the rates of others",
                *(human(one, unit), human(other, unit)),
                matters=False,
            )


def _metrics(base: RunInfo, new: RunInfo) -> Iterator[Difference]:
    """Metrics of one name that do not mean the same."""
    for workload, described in base.metrics.items():
        others = {metric.name: metric for metric in new.metrics.get(workload, ())}
        for metric in described:
            other = others.get(metric.name)
            if other is not None and not same_metric(metric, other):
                what = f"metric {metric.name} of {workload}"
                yield Difference(what, _meaning(metric), _meaning(other))


def same_metric(one: Metric, other: Metric) -> bool:
    """Whether values of the two can be set against each other at all."""
    return (one.name, one.unit, one.better) == (other.name, other.unit, other.better)


def _meaning(metric: Metric) -> str:
    return f"{metric.unit}, {metric.better} is better"


def _settings(base: RunInfo, new: RunInfo) -> Iterator[Difference]:
    """MTU and offloads of interfaces on the drivers' paths that both runs tell of."""
    known = {(one.driver, one.host, one.where): one for one in new.paths}
    for path in base.paths:
        other = known.get((path.driver, path.host, path.where))
        if other is None:
            continue
        who = f"of {path.driver} on {path.host}, {path.where}"
        if path.mtu != other.mtu:
            yield Difference(f"MTU {who}", str(path.mtu), str(other.mtu), matters=False)
        changed = [
            name
            for name, on in path.offloads.items()
            if name in other.offloads and other.offloads[name] != on
        ]
        if changed:
            one, two = (_switches(side.offloads, changed) for side in (path, other))
            yield Difference(f"offloads {who}", one, two, matters=False)


def _switches(offloads: dict[str, bool], names: list[str]) -> str:
    return ", ".join(f"{name} {'on' if offloads[name] else 'off'}" for name in names)
