"""Root file systems of Debian for hosts that are namespaces: another engine than the machine's.

A host lays a layer of its own over the tree (init.py), which all hosts of all labs share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from bench import building
from bench.lab import debian
from bench.lab.debian import Product

ROOM = 2 << 30

_PACKAGES = (*debian.BASE, "ca-certificates", "ethtool", "sudo")


def ensure(suite: str, tell: Callable[[str], None]) -> Path:
    """The tree of a Debian suite, from the cache or built now (about a minute, and the network).

    ``tell`` is told what is being done, a line at a time. Raises LabError.
    """
    total = hashlib.sha256()
    for code in (__file__, debian.__file__, building.__file__):
        total.update(Path(code).read_bytes())
    name, digest = f"the {suite} root file system", total.hexdigest()[:16]
    product = Product(name, f"root-{suite}", digest, ROOM, debian.TOOLS)

    def make(work: Path) -> Path:
        tell(f"building {product.name} from Debian packages (once)")
        packages = (*_PACKAGES, *debian.DOCKER[suite])
        return debian.bootstrap(
            work, product, suite, packages=packages, hooks=(debian.STRIP,), tell=tell
        )

    return debian.ensure(product, make, tell)
