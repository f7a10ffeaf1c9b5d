"""Running checks: prepare the hosts, give each check its stage, store what it found, take all down.

Whatever ends it goes the same way out as a run does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__, cleanup
from bench.checked import FORMAT, Checked, Report, Verification, outcome_of
from bench.checks.base import Check
from bench.errors import HostUnreachable, NetbenchError, StoreError
from bench.facts import gather
from bench.model import Inventory
from bench.preparation import Ready, settle
from bench.remote.fleet import Fleet
from bench.signals import interrupted_once, uninterrupted
from bench.stage import Cut, Stage
from bench.store import claim
from bench.store.verification import VerificationWriter
from bench.swarm import Swarm, form


@dataclass(frozen=True, slots=True)
class Asked:
    """Which checks to run on which hosts, and where to keep what they find: as for a run.

    With ``plant_leak`` the isolation check is given a leak to find; with ``cut`` the failover check
    cuts a host off. ``each`` hears of every check
    that is done.
    """

    inventory: Inventory
    checks: Sequence[Check]
    out: Path
    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] = ()
    plant_leak: bool = False
    cut: Cut | None = None
    each: Callable[[Checked], None] = lambda _checked: None


def verify(
    asked: Asked, connect: Callable[[], Fleet], say: Callable[[str], None]
) -> tuple[Path, Verification]:
    """Run the checks; returns where all is stored, and what it is.

    Raises NetbenchError for what stops it before anything is created; from then on an error ends it
    and is told in the result.
    """
    now = datetime.now(UTC)
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    path = asked.out / (asked.name or run)
    claim(path)
    say("connecting")
    with connect() as fleet:
        say("reading the hosts' facts")
        ready = settle(fleet, asked.inventory, fleet.each(gather), (), say, image=asked.image)
        writer = VerificationWriter(path)
        done: list[Checked] = []
        crash: BaseException | None = None
        ending, message = "finished", ""
        with interrupted_once(say):
            try:
                _run_checks(asked, fleet, ready=ready, run=run, writer=writer, done=done, say=say)
            except KeyboardInterrupt:
                ending, message = "interrupted", "interrupted"
            except NetbenchError as fault:
                ending, message = "failed", str(fault)
            except BaseException as fault:  # noqa: BLE001 - raised again after clean-up
                ending, message, crash = "failed", f"{type(fault).__name__}: {fault}", fault
            with uninterrupted():
                say("cleaning up")
                outstanding = cleanup.clean(fleet, run).outstanding
        found = Verification(
            format=FORMAT,
            run=run,
            created=now.isoformat(timespec="seconds"),
            netbench=__version__,
            command=asked.command,
            hosts=tuple(ready.facts.values()),
            image=ready.image.facts,
            checks=tuple(done),
            ending=ending,
            message=message,
            outstanding=outstanding,
        )
        writer.write(found)
    if crash is not None:
        raise crash
    return path, found


def _run_checks(
    asked: Asked,
    fleet: Fleet,
    *,
    ready: Ready,
    run: str,
    writer: VerificationWriter,
    done: list[Checked],
    say: Callable[[str], None],
) -> None:
    say("forming the swarm")
    addresses = {name: facts.data_address for name, facts in ready.facts.items()}
    swarm: Swarm = form(fleet, addresses, run)
    site = replace(ready.site, swarm_elsewhere=swarm.elsewhere)
    ready = replace(ready, site=site)
    for check in asked.checks:
        say(f"check {check.name}: {check.title}")
        stage = Stage(
            fleet=fleet,
            ready=ready,
            swarm=swarm,
            run=run,
            check=check.name,
            port_base=asked.inventory.port_base,
            keep=writer.raw,
            say=say,
            plant_leak=asked.plant_leak,
            cut=asked.cut,
        )
        done.append(_one(check, stage))
        asked.each(done[-1])
        if check is not asked.checks[-1]:
            stage.clear()


def _one(check: Check, stage: Stage) -> Checked:
    """One check to its end. A host that is lost ends it, and by the next check the rest."""
    begun = time.monotonic()
    report, fault = Report(), ""
    try:
        report = check.run(stage)
    except (StoreError, HostUnreachable):
        raise
    except NetbenchError as error:
        fault = str(error)
    return Checked(
        check=check.name,
        title=check.title,
        outcome=outcome_of(report, fault),
        seconds=time.monotonic() - begun,
        report=report,
        fault=fault,
        raw=tuple(stage.raw),
    )
