"""How a run was measured: its plan, how it ended, hosts, tools and networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.display import treatment
from bench.analysis.summary import Summary
from bench.analysis.verdict import plus_minus
from bench.model import HostFacts, Plan, RunEnd, RunInfo
from bench.report.grid import Grid, Row
from bench.report.words import counted, printable
from bench.units import NOTHING, human, lasting, number

Facts = list[tuple[str, str]]


def method(info: RunInfo, end: RunEnd | None, summary: Summary) -> Facts:
    """The plan and how it went, name by name."""
    plan = info.plan
    blocks = summary.blocks if plan.stopping else plan.blocks
    said = [
        ("netbench", printable(info.netbench)),
        ("Command", printable(" ".join(info.command))),
        ("Begun", printable(info.created)),
        ("Blocks", f"{blocks}, each a pass over all cells in a new random order"),
        *_stopping(plan, summary),
        ("Seed of the order", str(plan.seed)),
        ("Trial", _trial(info)),
        ("CPUs of the two ends (--pin)", _pinning(plan.pin)),
        *_rates(info),
    ]
    if info.shared_kernel:
        said.append(("Hosts", "share one kernel (lab): they are not machines of their own"))
    if end is not None:
        share = f", {100 * end.measuring / end.wall:.0f} % of it" if end.wall > 0 else ""
        said += [
            ("Outcome", printable(f"{end.outcome}. {end.message}" if end.message else end.outcome)),
            ("Wall time", _time(end.wall)),
            ("Tools ran for", f"{_time(end.measuring)}{share} (warm-up: {_time(end.warming)})"),
            ("Set-up and teardown", f"{_time(end.setup)} and {_time(end.teardown)}"),
            *_reading(end),
            ("Left on the hosts", printable("; ".join(end.outstanding)) or "nothing"),
        ]
    return said


def _rates(info: RunInfo) -> Iterator[tuple[str, str]]:
    """What was measured before the first block, for other workloads to take their rate from."""
    for workload, least in info.slowest_of_each().items():
        slowest = next(
            one for one in info.reached if (one.cell.workload, one.value) == (workload, least)
        )
        reached = human(least, slowest.unit)
        told = f"{reached} on the slowest treatment, {printable(str(slowest.cell))}"
        yield f"{printable(workload)} before the first block", f"{told}: others' rates follow"


def _trial(info: RunInfo) -> str:
    plan = info.plan
    more = {name: info.worked(name) - plan.duration - plan.warmup for name in info.working}
    return f"{plan.duration} s measured after {plan.warmup} s of warm-up, one at a time" + "".join(
        f"; {printable(name)} {more[name]:g} s more" for name in more if more[name] > 0
    )


def _stopping(plan: Plan, summary: Summary) -> Iterator[tuple[str, str]]:
    rule = plan.stopping
    if rule is None:
        return
    aim = (
        "as many blocks as the budget holds"
        if rule.target is None
        else f"until every headline ratio's interval is within {plus_minus(rule.target)}"
    )
    least = counted(rule.min_blocks, "block")
    yield "Stopping", f"{aim}; budget {lasting(rule.budget)}, no cell settled before {least}"
    rested = {row.cell: row for row in summary.cells if row.rested}
    if rested:
        yield (
            "Settled early, then at rest",
            "; ".join(
                f"{printable(f'{treatment(cell)}, {cell.placement}, {cell.workload}')} after "
                f"{row.planned - row.rested} of {counted(row.planned, 'block')}"
                for cell, row in rested.items()
            ),
        )


def _pinning(policy: str) -> str:
    if policy == "off":
        return "off: not held to any"
    if policy == "auto":
        return "auto: held to different ones where both ends are on the same processors"
    return f"{printable(policy)} (client:server)"


def _reading(end: RunEnd) -> Iterator[tuple[str, str]]:
    if end.reading > 0:
        share = f", {100 * end.reading / end.wall:.1f} % of the wall time" if end.wall > 0 else ""
        yield "Reading counters", f"{_time(end.reading)}{share}, never while a tool ran"


# What an engine does with a published port, by what was found on its host.
_PUBLISHING = {
    "docker-proxy": "docker-proxy (userland-proxy on)",
    "kernel": "kernel alone (userland-proxy off)",
}


def hosts(found: Sequence[HostFacts]) -> Grid:
    """The machines."""
    # Few are tuned: an empty column would only be in the way.
    tuned = any(host.tuning for host in found)
    publish = any(host.publishing for host in found)
    return Grid(
        "Hosts",
        (
            *("Host", "System", "Kernel", "Docker", "Storage", "CPU", "CPUs", "Memory"),
            *("Data network", "Line", "MTU"),
            *(("Published ports",) if publish else ()),
            *(("Tuning",) if tuned else ()),
        ),
        tuple(
            Row(
                (
                    printable(host.name),
                    printable(host.os),
                    printable(f"{host.kernel} {host.architecture}"),
                    printable(host.engine),
                    printable(host.storage_driver) or NOTHING,
                    printable(host.cpu_model) or NOTHING,
                    str(host.cpus),
                    f"{number(host.memory / 2**30)} GiB",
                    printable(f"{host.data_address} ({host.data_interface})"),
                    _line(host),
                    str(host.data_mtu),
                    *((_PUBLISHING.get(host.publishing, NOTHING),) if publish else ()),
                    *((printable(", ".join(host.tuning)) or NOTHING,) if tuned else ()),
                )
            )
            for host in found
        ),
        texts=6,
    )


def _line(host: HostFacts) -> str:
    if host.emulated_link:
        return f"emulated: {printable(host.emulated_link)}"
    return human(host.link_speed, "bit/s") if host.link_speed else NOTHING


def tools(info: RunInfo) -> Facts:
    """The image and the versions of what is in it."""
    image = info.image
    return [
        ("Image", printable(image.reference)),
        ("Image id", printable(image.image_id)),
        *((printable(tool), printable(version)) for tool, version in image.tools.items()),
    ]


def networks(info: RunInfo) -> Facts:
    """The networks by driver, and what fits between the hosts below them."""
    return [
        *((("Between the hosts", _underlay(info)),) if info.underlay else ()),
        *(
            (printable(name), printable(", ".join(f"{key}: {it}" for key, it in facts.items())))
            for name, facts in info.networks.items()
        ),
    ]


def _underlay(info: RunInfo) -> str:
    """The path MTUs, paths that are alike together."""
    alike: dict[str, list[str]] = {}
    for one in info.underlay:
        words = {
            "open": f"packets of {one.size} bytes arrive",
            "smaller": f"{one.largest} bytes arrive, routers refuse {one.size}",
            "black-hole": f"black hole: {one.largest} bytes arrive, {one.size} vanish",
        }.get(one.outcome, "path MTU not found out")
        alike.setdefault(words, []).append(f"{one.source} -> {one.target}")
    asked = {"auto": "", "default": "; the networks have Docker's own MTU (--mtu default)"}
    set_to = asked.get(info.plan.mtu, f"; the networks were made for {info.plan.mtu} bytes (--mtu)")
    several = len(alike) > 1
    told = [f"{words} ({', '.join(at)})" if several else words for words, at in alike.items()]
    return printable("; ".join(told) + set_to)


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
