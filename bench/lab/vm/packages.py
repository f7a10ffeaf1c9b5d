"""Debian packages as an archive that ``apt`` can use, without any tool of Debian's archives."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from bench.errors import LabError


def index(folder: Path) -> None:
    """Write the ``Packages`` file of all ``*.deb`` in ``folder``."""
    paragraphs = []
    for package in sorted(folder.glob("*.deb")):
        done = subprocess.run(
            ["dpkg-deb", "--field", str(package)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise LabError(f"{package}: {done.stderr.strip()}", "remove it and try again")
        content = package.read_bytes()
        paragraphs.append(
            f"{done.stdout.rstrip()}\n"
            f"Filename: ./{package.name}\n"
            f"Size: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(paragraphs))
