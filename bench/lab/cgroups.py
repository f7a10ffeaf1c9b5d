"""The control groups that the hosts' engines make for their containers, cgroup v1 and v2 alike."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.errors import LabError
from bench.lab.layout import CGROUP

GONE_TIMEOUT = 5.0


def roots(mountinfo: str) -> Iterator[Path]:
    """Where cgroup hierarchies are mounted."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] in ("cgroup", "cgroup2"):
            yield Path(left.split()[4].encode().decode("unicode_escape"))


def clear(lab: str) -> None:
    """Remove the control groups of a lab whose processes have ended."""
    deadline = time.monotonic() + GONE_TIMEOUT
    for root in roots(Path("/proc/self/mountinfo").read_text()):
        for folder, _, _ in os.walk(root / CGROUP / lab, topdown=False):
            _remove(Path(folder), deadline)
        with suppress(OSError):  # other labs have theirs in it
            (root / CGROUP).rmdir()


def _remove(group: Path, deadline: float) -> None:
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as fault:
            # For a moment after its last process ended a group still counts as busy.
            if fault.errno != errno.EBUSY or time.monotonic() > deadline:
                raise LabError(
                    f"{group}: {fault.strerror}", "run `netbench lab down` for this lab again"
                ) from fault
            time.sleep(0.05)
        else:
            return
