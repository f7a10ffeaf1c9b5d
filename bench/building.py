"""What all builds from Debian packages share: where results are kept, one builder at a time, and
mmdebstrap listened to."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LINES_KEPT = 4
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How a mmdebstrap ended: its status, and the last lines that told no progress."""

    status: int
    last: list[str]


def cache_folder() -> Path:
    """Where built images are kept: $XDG_CACHE_HOME/netbench, else ~/.cache/netbench."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "netbench"


@contextmanager
def alone(path: Path, what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of those who build ``what``, which the kernel drops when its holder dies."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another netbench that is building {what}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def mmdebstrap(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    tell: Callable[[str], None],
    record: Callable[[str], object] = lambda _line: None,
) -> Ended:
    """Run a command that ends in mmdebstrap; ``tell`` hears its progress, ``record`` every line."""
    last: deque[str] = deque(maxlen=LINES_KEPT)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        # In a process group of its own: mmdebstrap hangs up its whole group when it fails.
        process_group=0,
    ) as process:
        try:
            for line in process.stderr or ():
                said = line.strip()
                record(said)
                if said.startswith("I: "):
                    tell(said.removeprefix("I: "))
                elif said:
                    last.append(said)
        except BaseException:
            _stop(process)
            raise
    return Ended(process.returncode, list(last))


def _stop(process: subprocess.Popen[str]) -> None:
    """End mmdebstrap so that it can take down its mounts and its temporary tree."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
