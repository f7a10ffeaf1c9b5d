"""Sequences of small runs, a night apart, for what looks at many of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.model import Placement

from .synthetic import FACTOR, write_run

BEGIN = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
# What is special about a night, by its number.
Special = Callable[[int], Mapping[str, Any]]


def ordinary(_night: int) -> Mapping[str, Any]:
    return {}


def nights(
    folder: Path,
    count: int,
    *,
    special: Special = ordinary,
    spread: float = 0.02,
    seed: int = 3,
    **choices: Any,
) -> list[Path]:
    """Write ``count`` runs below ``folder``, whose drivers vary from run to run by ``spread``."""
    random = np.random.default_rng(seed)
    made = []
    for night in range(count):
        own = dict(special(night))
        changes = own.pop("changes", {})
        wobble = np.exp(random.normal(0, spread, len(FACTOR)))
        factors = {
            name: factor * float(by) * changes.get(name, 1.0)
            for (name, factor), by in zip(FACTOR.items(), wobble, strict=True)
        }
        when = BEGIN + timedelta(days=night)
        name = f"{when:%Y%m%d-%H%M%S}-{seed:04x}"
        settings: dict[str, Any] = {
            "driver_names": ["host", "bridge", "overlay"],
            "workload_names": ["iperf3-tcp"],
            "placements": [Placement.CROSS_HOST],
            "blocks": 4,
            "drift": 0.02,
            "aa": None,
            "name": name,
            "created": when.isoformat(),
            **choices,
            **own,
        }
        path = folder / f"night{night:02}"
        made.append(write_run(path, seed=100 * seed + night, factors=factors, **settings))
    return made
