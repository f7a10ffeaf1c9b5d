"""Load balancing: how requests spread over a service's tasks, by each access, against even."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import gammaincc

from bench import capability
from bench.checked import Figure, Finding, Report, Skipped
from bench.checks.base import Check
from bench.deployment import LOOPBACK
from bench.drivers.base import NetworkSpec
from bench.errors import ParseError
from bench.model import Access
from bench.ports import CHECKS, mesh_port
from bench.remote.api import ServiceSpec, Task
from bench.stage import Stage

TASKS = 3
REQUESTS = 300
# Of kept connections: how many, and how many requests each carries.
KEPT = 30
# Spread less evenly than chance would in one of so many cases is said to be uneven.
UNLIKELY = 0.001
NEW = "new connections"
HELD = "kept connections"


@dataclass(frozen=True, slots=True)
class Spread:
    """How many requests each answered, by the host name of its container; and what the others came
    to."""

    answered: Mapping[str, int]
    failed: Mapping[str, int]


def parse(text: str) -> Spread:
    """What `netbench-ask spread` printed. Raises ParseError for anything else, and for nothing."""
    answered: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for line in text.splitlines():
        count, _, told = line.partition(" ")
        if not (count.isascii() and count.isdigit()) or not told.strip():
            raise ParseError(f"netbench-ask spread said {line!r:.80}")
        who, _, rest = told.strip().partition(" ")
        if who == "no":
            failed[rest] += int(count)
        else:
            answered[rest or who] += int(count)
    if not answered and not failed:
        raise ParseError("netbench-ask spread said nothing")
    return Spread(answered, failed)


def chance_of(counts: Sequence[int]) -> float:
    """How likely counts as uneven as these are, if all are equally likely: Pearson's chi-squared
    test. Its survival function is the regularised upper incomplete gamma function."""
    expected = sum(counts) / len(counts)
    statistic = sum((count - expected) ** 2 for count in counts) / expected
    return float(gammaincc((len(counts) - 1) / 2, statistic / 2))


def judged(group: str, how: str, spread: Spread, drawn: int) -> tuple[Finding, list[Figure], str]:
    """A spread over ``TASKS`` tasks of which ``drawn`` choices were made (a kept connection is one
    choice, however many requests it carries): what was found, the shares, and a note."""
    total = sum(spread.answered.values())
    counts = sorted(spread.answered.values(), reverse=True)
    counts += [0] * (TASKS - len(counts))
    shares = ", ".join(f"{count / total:.0%}" for count in counts) if total else "none"
    failure = ""
    if spread.failed:
        why, many = max(spread.failed.items(), key=lambda one: one[1])
        failure = f"{group}, {how}: {sum(spread.failed.values())} requests failed: {why} ({many})"
    elif len(counts) > TASKS:
        failure = f"{group}, {how}: {len(counts)} tasks answered, and the service has {TASKS}"
    figures = [
        Figure(f"{group}, {how}", f"share {number}", 100 * count / total, "%")
        for number, count in enumerate(counts, start=1)
        if total
    ]
    finding = Finding(group, how, f"answers of {TASKS} tasks alone", shares, failure)
    if not total:
        return finding, [], ""
    # What was drawn is connections; requests that share one are no evidence of their own.
    scale = drawn / total
    chance = chance_of([round(count * scale) for count in counts])
    verdict = "uneven" if chance < UNLIKELY else "as even as chance"
    note = f"{group}, {how}: {shares}: {verdict} (chi-squared, p = {chance:.2g})"
    return finding, figures, note


class Balance(Check):
    name = "balance"
    title = f"how requests spread over {TASKS} tasks"
    takes = "about 1 min"

    def run(self, stage: Stage) -> Report:
        findings: list[Finding] = []
        figures: list[Figure] = []
        notes: list[str] = []
        skipped: list[Skipped] = []
        network = stage.network(
            "balance", NetworkSpec("overlay", "swarm", subnet=str(stage.site.overlay_subnet))
        )
        client = stage.service("client", network, ("sleep", "infinity"), host=stage.hosts[0])
        plain = stage.service("plain", "host", ("sleep", "infinity"), host=stage.hosts[0])
        wanted: dict[Access, ServiceSpec] = {}
        for access in (Access.DNS, Access.VIP, Access.PUBLISHED_INGRESS):
            lack = capability.lack(
                capability.OF_ACCESS.get(access, frozenset()), stage.site.lacking
            )
            if lack:
                skipped.append(Skipped(access, lack))
            else:
                wanted[access] = _service(stage, access, network)
        running = stage.up([client, plain, *wanted.values()])
        for access, spec in wanted.items():
            asker = running[(plain if access is Access.PUBLISHED_INGRESS else client).name][0]
            for how, spread, drawn in _asked(stage, asker, *_where(stage, access, spec)):
                finding, some, note = judged(access, how, spread, drawn)
                findings.append(finding)
                figures += some
                notes += [note] if note else []
        return Report(tuple(findings), tuple(figures), tuple(skipped), tuple(notes))


def _service(stage: Stage, access: Access, network: str) -> ServiceSpec:
    mesh = (
        {stage.port: mesh_port(stage.port_base, 0, CHECKS)}
        if access is Access.PUBLISHED_INGRESS
        else {}
    )
    return stage.service(
        access.value,
        network,
        stage.answering(),
        replicas=TASKS,
        mode="dnsrr" if access is Access.DNS else "vip",
        mesh=mesh,
    )


def _where(stage: Stage, access: Access, spec: ServiceSpec) -> tuple[str, int]:
    if access is not Access.PUBLISHED_INGRESS:
        return spec.name, stage.port
    return stage.facts[stage.hosts[0]].data_address or LOOPBACK, mesh_port(
        stage.port_base, 0, CHECKS
    )


def _asked(stage: Stage, asker: Task, name: str, port: int) -> Iterator[tuple[str, Spread, int]]:
    """Spreads over new and over kept connections, and how many choices each was."""
    # Until it answers at all: names and addresses of a new service need a moment.
    stage.answer(asker, "netbench-ask", "first", "30", name, str(port))
    for how, connections in ((NEW, 0), (HELD, KEPT)):
        argv = ("netbench-ask", "spread", str(REQUESTS), str(connections), name, str(port))
        spread = parse(stage.answer(asker, *argv, within=600.0, about=f"spread {how}"))
        yield how, spread, connections or REQUESTS


CHECK = Balance()
