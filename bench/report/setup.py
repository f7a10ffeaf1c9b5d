"""How a run was measured: its plan, how it ended, hosts, tools, networks and paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bench.analysis.display import treatment
from bench.analysis.ends import by_cell, passages
from bench.analysis.summary import Summary
from bench.analysis.verdict import plus_minus
from bench.model import HostFacts, PathFacts, Plan, RunEnd, RunInfo
from bench.report.grid import Grid, Row
from bench.report.words import counted, printable
from bench.store import StoredRun
from bench.units import NOTHING, human, lasting, number

Facts = list[tuple[str, str]]

# What people who tune networks call ethtool's features.
_SHORT = {
    "tcp-segmentation-offload": "TSO",
    "generic-segmentation-offload": "GSO",
    "generic-receive-offload": "GRO",
    "large-receive-offload": "LRO",
    "rx-checksumming": "rx checksum",
    "tx-checksumming": "tx checksum",
    "tx-udp_tnl-segmentation": "tunnel segmentation",
    "tx-udp_tnl-csum-segmentation": "tunnel segmentation with checksum",
}


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
        slowest = next(one.cell for one in info.reached if one.value == least)
        told = f"{human(least, '1/s')} on the slowest treatment, {printable(str(slowest))}"
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


def hosts(found: Sequence[HostFacts]) -> Grid:
    """The machines."""
    # Few are tuned: an empty column would only be in the way.
    tuned = any(host.tuning for host in found)
    return Grid(
        "Hosts",
        (
            *("Host", "System", "Kernel", "Docker", "Storage", "CPU", "CPUs", "Memory"),
            *("Data network", "Line", "MTU"),
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


def paths(found: Sequence[PathFacts]) -> Grid:
    """What the interfaces on the treatments' paths were set to, hosts that are alike together."""
    alike: dict[tuple[object, ...], list[PathFacts]] = {}
    for one in found:
        key = (one.driver, one.where, one.mtu, tuple(one.offloads.items()))
        alike.setdefault(key, []).append(one)
    rows = [
        (
            printable(same[0].driver),
            _each(f"{one.where} ({one.interface})" for one in same),
            _each(one.host for one in same),
            str(same[0].mtu),
            _offloads(same[0], on=True),
            _offloads(same[0], on=False),
            _each(one.route for one in same if one.route),
        )
        for same in alike.values()
    ]
    return Grid(
        "Interfaces on the paths",
        ("Driver", "Interface", "Hosts", "MTU", "Offloads on", "Offloads off", "Routes"),
        _rows(rows),
        texts=7,
        wide=("Interface", "Hosts", "Offloads on", "Offloads off", "Routes"),
        note="Read once, before the first block.",
    )


def _each(texts: Iterable[str]) -> str:
    return printable("; ".join(dict.fromkeys(texts))) or NOTHING


def _offloads(one: PathFacts, *, on: bool) -> str:
    named = (_SHORT.get(name, name) for name, is_on in one.offloads.items() if is_on == on)
    return printable(", ".join(named)) or NOTHING


def attested(run: StoredRun) -> Grid:
    """Which interfaces counted each cell's bytes: of every interface the median trial's."""
    trials, whats, counts = passages(run)
    where = [where for _, where, _ in run.readings.whats]
    rows = []
    for cell, completed in by_cell(run):
        own = completed[trials]
        if own.any():
            seen = dict.fromkeys(where[what] for what in whats[own].tolist())
            medians = {
                one: float(np.median(counts[own & np.isin(whats, _places(where, one))]))
                for one in seen
            }
            rows.append(
                (
                    printable(f"{cell.workload}, {cell.placement}"),
                    printable(treatment(cell)),
                    printable(
                        "; ".join(f"{one} {human(count, 'B')}" for one, count in medians.items())
                    ),
                    str(np.unique(trials[own]).size),
                )
            )
    counted_column = "Bytes that its interfaces counted in the median trial"
    return Grid(
        "Paths attested",
        ("Cell", "Driver", counted_column, "Trials"),
        _rows(sorted(rows, key=lambda row: row[0])),
        texts=3,
        wide=(counted_column,),
    )


def _places(texts: Sequence[str], text: str) -> list[int]:
    return [place for place, one in enumerate(texts) if one == text]


def _rows(rows: Sequence[tuple[str, ...]]) -> tuple[Row, ...]:
    return tuple(
        Row(row, repeats=place > 0 and rows[place - 1][0] == row[0])
        for place, row in enumerate(rows)
    )


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
