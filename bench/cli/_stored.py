"""Finding the stored run that a command line means."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.errors import StoreError


def newest(folder: Path) -> Path:
    """The run at ``folder``, or the newest of the runs in it, which is said on standard error."""
    if (folder / "run.json").exists():
        return folder
    try:
        runs = [entry for entry in sorted(folder.iterdir()) if (entry / "run.json").is_file()]
    except FileNotFoundError:
        raise StoreError(f"{folder}: there is no such folder", "give the folder of a run") from None
    except OSError as fault:
        raise StoreError(f"{folder}: {fault.strerror}", "give the folder of a run") from None
    if not runs:
        raise StoreError(
            f"{folder}: is not a run, and holds none: there is no run.json",
            "give the folder that `netbench run` named",
        )
    last = max(runs, key=_begun)
    click.echo(f"{folder} holds {len(runs)} runs; this is the newest, {last}", err=True)
    return last


def _begun(run: Path) -> tuple[str, str]:
    """When a run began, to sort by; one whose head cannot be read is older than any other."""
    try:
        head = json.loads((run / "run.json").read_bytes())
    except (OSError, ValueError):
        return "", run.name
    return str(head.get("created", "")) if isinstance(head, dict) else "", run.name
