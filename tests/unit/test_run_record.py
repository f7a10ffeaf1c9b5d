"""What a run records beside its measurements: the user's note, the inventory's commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench.checkout import checkout_of
from bench.model import Checkout


def git(at: Path, *words: str) -> str:
    who = {
        f"GIT_{one}_{what}": "x@y" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    told = subprocess.run(
        ["git", *words],
        cwd=at,
        env={**os.environ, **who},
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """An inventory that git keeps."""
    git(tmp_path, "init", "-q")
    inventory = tmp_path / "hosts" / "mine.yaml"
    inventory.parent.mkdir()
    inventory.write_text("all: {}\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "hosts")
    return inventory


def test_the_commit_of_a_kept_inventory_is_known(kept: Path) -> None:
    head = git(kept.parent, "rev-parse", "HEAD")
    assert checkout_of(kept) == Checkout(head)
    (kept.parent / "other.yaml").write_text("all: {}\n")
    assert checkout_of(kept) == Checkout(head)
    kept.write_text("all: {vars: {}}\n")
    assert checkout_of(kept) == Checkout(head, changed=True)


def test_there_is_none_of_an_inventory_that_git_does_not_keep(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept.parent / "other.yaml").write_text("all: {}\n")
    assert checkout_of(kept.parent / "other.yaml") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout_of(kept) is None
