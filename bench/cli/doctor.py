"""``netbench doctor``: why is my overlay slow or broken?"""

from __future__ import annotations

import json
import textwrap
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli._choices import inventory_option

if TYPE_CHECKING:
    from bench.doctor import Examination, Finding

WIDTH = 100


@click.command("doctor")
@inventory_option
@click.option("--json", "as_json", is_flag=True, help="Print findings and all that was seen.")
def command(inventory: Path, *, as_json: bool) -> int:
    """Take a minute's look at hosts and say what makes their container networks slow or breaks
    them: each finding with its evidence, how sure it is, and what to do.

    Exits with 1 where there are findings, with 0 where there are none. Looks and tries only: forms
    no swarm, creates no network, changes no setting. What is looked for is in docs/doctor.md.
    """
    from bench.doctor import diagnose, examine
    from bench.inventory import load_inventory

    began = time.monotonic()
    seen = examine(load_inventory(inventory))
    findings = diagnose(seen)
    if as_json:
        told = {"findings": [asdict(one) for one in findings], "seen": asdict(seen)}
        click.echo(json.dumps(told, indent=2))
    else:
        _show(seen, findings, time.monotonic() - began)
    return 1 if findings else 0


def _show(seen: Examination, findings: tuple[Finding, ...], seconds: float) -> None:
    from bench.doctor import known

    for number, one in enumerate(findings, start=1):
        click.echo(textwrap.fill(f"{number}. {one.where}: {one.what}", WIDTH))
        for word, said in (
            ("sure", one.sure.value),
            ("seen", one.evidence),
            ("do", one.advice),
        ):
            told = textwrap.fill(said, WIDTH - 10, break_on_hyphens=False)
            click.echo(textwrap.indent(told, " " * 10).replace(" " * 10, f"   {word:<7}", 1))
    unseen = {host: look.unread for host, look in seen.hosts.items() if look.unread}
    for host, why in unseen.items():
        click.echo(f"not looked at on {host}: {'; '.join(why)}")
    for flow in seen.flows:
        if flow.fault:
            click.echo(f"no bulk data from {flow.source} to {flow.target}: {flow.fault}")
    clean = [rule.title for name, rule in known().items() if name not in {f.rule for f in findings}]
    click.echo(f"nothing found of: {'; '.join(clean)}")
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}" if findings else "healthy"
    click.echo(f"{count}; {len(seen.hosts)} hosts looked at in {seconds:.0f} s")
