"""The interfaces on the treatments' paths: how they were set, and what they counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bench.analysis.display import treatment
from bench.analysis.ends import by_cell, passages
from bench.model import PathFacts
from bench.report.grid import Grid, Row
from bench.report.words import printable
from bench.store import StoredRun
from bench.units import NOTHING, human

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
