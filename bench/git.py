"""git, asked in a way that does not hang on the user's settings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.errors import GitError

# What the user, or a hook that called us, has set for another repository or another time.
_OTHERS = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_TEMPLATE_DIR", "GIT_CONFIG"),
    *("GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_DEFAULT_HASH", "GIT_TRACE"),
)
LONGEST = 120.0


def git(*words: str, at: Path, stdin: bytes = b"", theirs: bool = False) -> str:
    """What ``git WORDS`` prints in the folder ``at``.

    The user's settings are left out of it, but not for a repository of ``theirs``, which they may
    have had to tell git to trust. Raises GitError where git is missing, takes longer than two
    minutes or ends with anything but 0.
    """
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=at,
            env=_environment(theirs=theirs),
            input=stdin,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )
    except FileNotFoundError:
        if not at.is_dir():
            raise GitError(f"{at}: there is no such folder") from None
        raise GitError("git is not installed here", "apt-get install git") from None
    except NotADirectoryError:
        raise GitError(f"{at}: is not a folder") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {words[0]} in {at}: not done after {LONGEST:.0f} s") from None
    except OSError as fault:
        raise GitError(f"git {words[0]} in {at}: {fault.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(f"git {words[0]} in {at}: {said[-1] if said else 'failed'}")
    return done.stdout.decode(errors="replace")


def _environment(*, theirs: bool) -> Mapping[str, str]:
    """Ours, without what would have git look elsewhere or, unless ``theirs``, take settings."""
    kept = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    kept |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    if not theirs:
        kept |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        kept["GIT_CONFIG_NOSYSTEM"] = "1"
    return kept
