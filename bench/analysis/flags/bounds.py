"""What cannot be, or not without an explanation: zeros, other paths, more than the line or host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench import drivers
from bench.analysis.display import is_ceiling, ratio_span, treatment
from bench.analysis.flags.flag import BEATING, LINE_TOLERANCE, Flag, Kind, Severity
from bench.analysis.summary import CellSummary, Outcome, Summary
from bench.analysis.verdict import Kind as Judged
from bench.model import Better, Cell, Metric, Placement, RunInfo, Status
from bench.store import StoredRun
from bench.units import human
from bench.waypoint import End, vxlan

# How the reason of a trial begins whose packets were not where its driver should have them.
NOT_TAKEN = "path not taken"
# What a packet of IPv4 and TCP has beside its payload: both headers, and TCP's time stamps.
_HEADERS = 20 + 20 + 12
# What a packet of the MTU takes on an Ethernet beside itself: preamble, header, checksum, gap.
_FRAME = 8 + 14 + 4 + 12
# What VXLAN puts around an inner packet: IP, UDP, VXLAN and the inner Ethernet header.
_VXLAN = 20 + 8 + 8 + 14


def bounds(run: StoredRun, summary: Summary) -> Iterator[Flag]:
    """The flags on numbers that are not what they claim to be, or need an explanation."""
    yield from _zeros(summary)
    yield from _not_taken(summary)
    yield from _above_the_line(run, summary)
    yield from _beats_host(summary)
    yield from _unattested(run)


def subject(cell: Cell, metric: Metric | None = None) -> str:
    """A cell in words, and which of its metrics."""
    what = cell.workload if metric is None else metric.title
    return f"{treatment(cell)}, {cell.placement}, {what}"


def goodput(info: RunInfo, cell: Cell, line: float, outer: int) -> float:
    """What of a line's bit/s can be TCP's payload, with the MTU ``outer`` on the line.

    That is (MTU - 52) / (MTU + 38); through a VXLAN its 50 bytes are taken from the payload. Where
    an interface on the treatment's path was read to have a smaller MTU, that one's packets count.
    """
    around = _VXLAN if _tunnelled(cell) else 0
    read = [one.mtu for one in info.paths if one.driver == cell.driver and one.mtu > _HEADERS]
    inner = min([*read, outer - around])
    return line * (inner - _HEADERS) / (inner + around + _FRAME)


def _tunnelled(cell: Cell) -> bool:
    driver = drivers.known().get(cell.driver)
    path = driver.path(cell.placement, cell.access) if driver else ()
    return any(one.where == vxlan(End.CLIENT).where and one.carries for one in path)


def _zeros(summary: Summary) -> Iterator[Flag]:
    for row in summary.cells:
        if row.zeros:
            yield Flag(
                Kind.ZERO,
                Severity.ALARM,
                subject(row.cell, row.metric),
                f"{row.zeros} of {row.completed} completed trials came to 0 {row.unit}; they are "
                "left out, as failures",
            )


def _not_taken(summary: Summary) -> Iterator[Flag]:
    # Each trial counted other bytes, so that nearly each has a reason of its own.
    found: dict[Cell, list[Outcome]] = {}
    for one in summary.outcomes:
        if one.status is Status.FAILED and one.reason.startswith(NOT_TAKEN):
            found.setdefault(one.cell, []).append(one)
    for cell, outcomes in found.items():
        trials = sum(one.trials for one in outcomes)
        most = max(outcomes, key=lambda one: one.trials)
        example = "" if len(outcomes) == 1 else "for example "
        yield Flag(
            Kind.PATH_NOT_TAKEN,
            Severity.ALARM,
            subject(cell),
            f"in {trials} {'trial' if trials == 1 else 'trials'}, which failed: {example}"
            f"{most.reason.removeprefix(NOT_TAKEN).lstrip(': ')}",
        )


def _above_the_line(run: StoredRun, summary: Summary) -> Iterator[Flag]:
    rates = {
        (workload, metric.name): metric
        for workload, metric in summary.headlines
        if metric.unit == "bit/s"
    }
    hosts = {host.name: host for host in run.info.hosts}
    trials: Counter[tuple[Cell, Metric]] = Counter()
    above: dict[tuple[Cell, Metric], list[tuple[float, float, float]]] = {}
    for trial in run.results if any(host.link_speed for host in run.info.hosts) else ():
        ends = [hosts.get(trial.pair.client), hosts.get(trial.pair.server)]
        lines = [(end.link_speed, end.data_mtu) for end in ends if end and end.link_speed]
        if trial.cell.placement is not Placement.CROSS_HOST or not lines:
            continue
        line, mtu = min(lines)
        most = goodput(run.info, trial.cell, line, mtu)
        for sample in trial.samples:
            metric = rates.get((trial.cell.workload, sample.metric))
            if metric is not None:
                trials[trial.cell, metric] += 1
                if sample.value > most * (1 + LINE_TOLERANCE):
                    found = above.setdefault((trial.cell, metric), [])
                    found.append((sample.value, most, line))
    for (cell, metric), found in above.items():
        value, most, line = max(found)
        yield Flag(
            Kind.LINE_RATE,
            Severity.ALARM,
            subject(cell, metric),
            f"{len(found)} of {trials[cell, metric]} trials, the fastest {human(value, 'bit/s')}; "
            f"a line of {human(line, 'bit/s')} can carry {human(most, 'bit/s')} of TCP's payload",
        )


def _beats_host(summary: Summary) -> Iterator[Flag]:
    headlines = set(summary.headlines)
    for row in summary.cells:
        if (row.workload, row.metric) in headlines and _beats(row):
            yield Flag(
                Kind.BEATS_HOST,
                Severity.WARNING,
                subject(row.cell, row.metric),
                f"{ratio_span(row.ratio, row.ratio_ci)} of the host network in {row.pairs} blocks, "
                f"{row.verdict.words}; a network with more to do is not faster by itself: look for "
                "another core, other offloads or another path",
            )


def _beats(row: CellSummary) -> bool:
    # A namespace of nothing but a loopback has less to do than the host's, not more.
    if row.verdict.kind is not Judged.BETTER or row.cell.aa or is_ceiling(row.cell):
        return False
    if row.ratio_ci is None:
        return False
    low, high = row.ratio_ci
    near = low if row.metric.better is Better.HIGHER else 1 / high
    return near >= 1 + BEATING


def _unattested(run: StoredRun) -> Iterator[Flag]:
    missed: Counter[tuple[str, str]] = Counter()
    trials: Counter[str] = Counter()
    for trial in run.results:
        if trial.status is Status.COMPLETED:
            name = f"{treatment(trial.cell)}, {trial.cell.placement}"
            trials[name] += 1
            if trial.unattested:
                missed[name, trial.unattested] += 1
    for (name, why), count in missed.items():
        yield Flag(
            Kind.UNATTESTED,
            Severity.NOTE,
            name,
            f"{count} of {trials[name]} trials: {why}",
        )
