"""Which Debian mirror to build from: the one that this machine itself uses."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping

from bench.errors import ImageError

OVERRIDE = "NETBENCH_DEBIAN_MIRROR"
# In seconds; an idle machine takes a fraction of one.
WITHIN = 120.0

# apt reads both of its file formats and all of its settings better than we could.
_QUESTION = (
    "apt-get",
    "indextargets",
    "--format",
    "$(CREATED_BY)|$(LABEL)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)",
)
# What mmdebstrap takes as a mirror: not cdrom:, and not the mirror+file: of cloud images.
_FETCHABLE = ("http://", "https://", "file:///", "copy:///")


def find() -> str | None:
    """The URI of a Debian mirror: from the environment (NETBENCH_DEBIAN_MIRROR), else from this
    machine's apt sources if it is a Debian machine, else None: the builder's own default. Raises
    ImageError where apt does not answer."""
    if OVERRIDE in os.environ:
        return os.environ[OVERRIDE] or None
    system = _system()
    if system.get("ID") != "debian" or shutil.which("apt-get") is None:
        return None
    try:
        answer = subprocess.run(
            _QUESTION, capture_output=True, text=True, check=False, timeout=WITHIN, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise ImageError(
            f"apt-get did not say in {WITHIN:.0f} s which mirror this machine uses",
            f"set {OVERRIDE} to the URI of one",
        ) from None
    return choose(answer.stdout, system.get("VERSION_CODENAME", ""))


def choose(listing: str, codename: str) -> str | None:
    """The first archive of Debian proper in apt's list of index targets.

    Label and codename come from the archive's own release file, which is not there before the
    first ``apt-get update``: then the suite that the sources name has to do.
    """
    for line in listing.splitlines():
        made_by, _, rest = line.partition("|")
        label, _, rest = rest.partition("|")
        suite, _, rest = rest.partition("|")
        component, _, uri = rest.partition("|")
        if made_by != "Packages" or component != "main" or not uri.startswith(_FETCHABLE):
            continue
        plain = suite in (codename, "stable", "oldstable", "testing", "unstable", "sid")
        if label == "Debian" or (not label and plain):
            return uri
    return None


def _system() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
