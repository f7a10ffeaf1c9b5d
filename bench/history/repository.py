"""The small git repository whose commits stand for runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from bench.errors import StoreError
from bench.git import git
from bench.history.commits import Commit

BRANCH = "main"
# Nobody's: the same for every user, so that the same runs have the same hashes everywhere.
AUTHOR = "netbench <netbench@localhost>"


def write(path: Path, commits: Sequence[Commit]) -> tuple[str, ...]:
    """Make a bare repository at ``path``, which is not there, and return the commits' hashes.

    The same commits have the same hashes. Raises GitError, StoreError where it cannot be written.
    """
    try:
        path.mkdir(parents=True)
    except OSError as fault:
        raise StoreError(f"{path}: {fault.strerror}") from fault
    git(
        *("init", "--quiet", "--bare", "--template=", "--object-format=sha1"),
        *(f"--initial-branch={BRANCH}", "."),
        at=path,
    )
    marks = path / "marks"
    stream = b"".join(_stream(commits))
    git(
        "fast-import", "--quiet", "--date-format=raw", "--export-marks=marks", at=path, stdin=stream
    )
    found = dict(line[1:].split() for line in marks.read_text().splitlines())
    marks.unlink()
    return tuple(found[str(number)] for number, _ in enumerate(commits, start=1))


def _stream(commits: Sequence[Commit]) -> Iterator[bytes]:
    """What git-fast-import(1) reads."""
    for number, commit in enumerate(commits, start=1):
        when = f"{AUTHOR} {_seconds(commit.when)} +0000"
        yield f"commit refs/heads/{BRANCH}\nmark :{number}\n".encode()
        yield f"author {when}\ncommitter {when}\n".encode()
        yield _data(commit.message)
        if number > 1:
            yield f"from :{number - 1}\n".encode()
        yield f"M 100644 inline {commit.machine}.txt\n".encode()
        yield _data(commit.state)
        for tag in commit.tags:
            yield f"reset refs/tags/{tag}\nfrom :{number}\n\n".encode()
    yield b"done\n"


def _data(text: str) -> bytes:
    # Of all that a text may hold, a commit must not have this.
    raw = text.replace("\0", "?").encode(errors="replace")
    return f"data {len(raw)}\n".encode() + raw + b"\n"


def _seconds(when: datetime) -> int:
    return max(0, int(when.timestamp()))
