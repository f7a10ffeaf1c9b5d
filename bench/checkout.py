"""At which commit of its repository an inventory was when a run began."""

from __future__ import annotations

from pathlib import Path

from bench.errors import GitError
from bench.git import git
from bench.model import Checkout


def checkout_of(inventory: Path) -> Checkout | None:
    """The commit that is checked out where ``inventory`` is kept; None where git does not keep it
    (another file, no repository, no git): a run is measured all the same."""
    folder, name = inventory.resolve().parent, inventory.resolve().name
    try:
        git("ls-files", "--error-unmatch", "--", name, at=folder, theirs=True)
        commit = git("rev-parse", "--verify", "HEAD^{commit}", at=folder, theirs=True).strip()
        state = git("status", "--porcelain", "--untracked-files=no", at=folder, theirs=True)
    except GitError:
        return None
    return Checkout(commit, changed=bool(state.strip()))
