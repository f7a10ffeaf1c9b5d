"""Runs on the commits of the user's own repository: that of their inventories and roles."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.git import git
from bench.history.repository import BRANCH
from bench.history.sequence import Head


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A run and the commit that stands for it, ``committed`` then."""

    run: Head
    commit: str
    committed: datetime


@dataclass(frozen=True, slots=True)
class _Times:
    """Commits by the time from which on each was the one, in the order of these times."""

    seconds: tuple[int, ...]
    commits: tuple[str, ...]

    def at(self, when: datetime) -> str | None:
        place = bisect_right(self.seconds, int(when.timestamp()))
        return self.commits[place - 1] if place else None


def placed_on(path: Path, runs: Sequence[Head], copy: Path) -> tuple[list[Placed], tuple[str, ...]]:
    """Each run with the commit of the repository at ``path`` that was checked out then, and a line
    on each run that has none.

    That is the commit that the run recorded; of a run that recorded none, the one that the
    repository's reflog has for its time, or where that does not reach back, the last one of the
    current branch before it. The branch's history is copied to ``copy``, as its ``main``, for asv.
    Raises GitError, also where there is no commit at all.
    """
    found = git("rev-parse", "--verify", "HEAD^{commit}", at=path, theirs=True)
    _copy(path, found.strip(), copy)
    line = _line(copy)
    moves = _moves(path)
    dates = dict(zip(line.commits, line.seconds, strict=True))
    placed, left_out = [], []
    for run in runs:
        recorded = run.info.checkout.commit if run.info.checkout else None
        commit = recorded if recorded in dates else None
        if recorded is None:
            commit = moves.at(run.created) or line.at(run.created)
        if commit is None or commit not in dates:
            left_out.append(_why(run, recorded, commit, path))
            continue
        when = datetime.fromtimestamp(dates[commit], UTC)
        placed.append(Placed(run, commit, when))
    return placed, tuple(left_out)


def _why(run: Head, recorded: str | None, commit: str | None, path: Path) -> str:
    if recorded is None and commit is None:
        return f"{run.path}: is older than every commit of {path}"
    which = (recorded or commit or "")[:12]
    return f"{run.path}: was made at {which}, which the current branch of {path} has not had itself"


def _copy(path: Path, head: str, copy: Path) -> None:
    """What asv needs of the user's repository, which it is not to depend on or change."""
    copy.mkdir(parents=True)
    git(
        *("init", "--quiet", "--bare", "--template=", f"--initial-branch={BRANCH}", "."),
        at=copy,
    )
    source = str(path.resolve())
    wanted = (f"+{head}:refs/heads/{BRANCH}", "+refs/tags/*:refs/tags/*")
    git(
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        source,
        *wanted,
        at=copy,
        theirs=True,
    )


def _line(copy: Path) -> _Times:
    """The commits that the branch itself has had: asv shows no others."""
    told = git("log", "--first-parent", "--reverse", "--format=%ct %H", BRANCH, at=copy)
    return _times(told)


def _moves(path: Path) -> _Times:
    """Which commit was checked out from when on, as far as the reflog goes back."""
    told = git(
        "log",
        "--walk-reflogs",
        "--date=unix",
        "--format=%gd %H",
        "HEAD",
        "--",
        at=path,
        theirs=True,
    )
    lines = []
    for line in told.splitlines():
        when, _, commit = line.rpartition(" ")
        lines.append(f"{when.partition('@{')[2].rstrip('}')} {commit}")
    return _times("\n".join(reversed(lines)))


def _times(told: str) -> _Times:
    """Times that only go up, of ``SECONDS COMMIT`` lines: a clock may have been set back."""
    seconds: list[int] = []
    commits = []
    for line in told.splitlines():
        when, _, commit = line.partition(" ")
        if when.isdecimal():
            seconds.append(max(int(when), seconds[-1] if seconds else 0))
            commits.append(commit)
    return _Times(tuple(seconds), tuple(commits))
