"""docs/trust.md from what was found."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.estimate import Range
from bench.store import StoredRun
from benchmarks.trust.judged import Alarms, Fidelity, Found, Share

# What is not this page's own, and before what it stands.
AGREEMENT, END = "## Do two tools agree?", "## What this does not show"


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the page says."""

    run: StoredRun
    window: int
    pilot: int
    alarms: list[Alarms]
    found: list[Found]
    fidelity: list[Fidelity]

    @property
    def all_alarms(self) -> Share:
        return Share(
            sum(one.share.hits for one in self.alarms), sum(one.share.of for one in self.alarms)
        )


def write(findings: Findings, page: Path) -> None:
    """Write the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown from our own figures
    )
    environment.filters.update(share=_share, percent=_percent, ratio=_ratio, middle=_middle)
    environment.filters.update(fidelity=fidelity_row)
    info = findings.run.info
    text = environment.get_template("trust.md.j2").render(
        findings=findings,
        info=info,
        host=info.hosts[0],
        system=platform.platform(),
        date=info.created[:10],
        trials=len(findings.run.trials),
        windows=info.plan.blocks // findings.window,
    )
    page.write_text(text.replace(END, _kept(page) + END), encoding="utf-8")


def _kept(page: Path) -> str:
    """The part of the page that is there already and of other measurements (see
    `benchmarks.crosscheck`)."""
    there = page.read_text(encoding="utf-8") if page.exists() else ""
    found = re.search(rf"^{re.escape(AGREEMENT)}$.*?(?=^## )", there, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def fidelity_row(found: Fidelity) -> str:
    """The row of the page's table."""
    return f"| {found.workload} | {_ratio(found.ratio, found.bounds)} | {found.pairs} |"


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.hits} of {share.of} ({100 * low:.0f} to {100 * high:.0f} %)"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _ratio(value: float, bounds: Range | None) -> str:
    return f"{value:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else "")


def _middle(values: tuple[float, ...]) -> str:
    return _percent(float(np.median(values))) if values else "-"
