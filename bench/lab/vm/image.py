"""The disk image of a machine, built once for each recipe and then taken from the cache.

~/.cache/netbench/vm-SUITE-FLAVOUR-DIGEST/    disk, kernel, initramfs, packages/ (bare only)
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import LabError
from bench.lab import debian
from bench.lab.debian import Product
from bench.lab.vm import initramfs, packages, recipe
from bench.lab.vm.recipe import Flavour

ROOM = 3 << 30


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine starts from. ``packages`` is an apt archive for bare machines, else None."""

    disk: Path
    kernel: Path
    initramfs: Path
    packages: Path | None


def ensure(flavour: Flavour, tell: Callable[[str], None]) -> Image:
    """The image of a flavour, from the cache or built now (minutes, and the network).

    ``tell`` is told what is being done, a line at a time. Raises LabError.
    """
    tools = {**debian.TOOLS, "mkfs.ext4": "e2fsprogs"}
    product = Product("the machine image", flavour.stem, recipe.digest(flavour), ROOM, tools)

    def make(work: Path) -> Path:
        return _make(work, product, flavour, tell)

    folder = debian.ensure(product, make, tell)
    offered = folder / "packages"
    return Image(
        folder / "disk", folder / "kernel", folder / "initramfs", offered if flavour.bare else None
    )


def _make(work: Path, product: Product, flavour: Flavour, tell: Callable[[str], None]) -> Path:
    result = work / "image"
    result.mkdir(mode=0o755)
    tell(f"building the {flavour.suite} machine image from Debian packages (once, minutes)")
    tree = debian.bootstrap(
        work,
        product,
        flavour.suite,
        packages=recipe.packages(flavour),
        hooks=(recipe.FETCH, debian.STRIP) if flavour.bare else (debian.STRIP,),
        tell=tell,
        extra={"OFFERED": " ".join(recipe.OFFERED), "PACKAGES": str(work / "packages")},
    )
    _settle(tree)
    release = max(path.name for path in (tree / "usr/lib/modules").iterdir())
    shutil.copyfile(tree / f"boot/vmlinuz-{release}", result / "kernel")
    (result / "initramfs").write_bytes(initramfs.build(tree, release, recipe.MODULES))
    if flavour.bare:
        packages.index(work / "packages")
        (work / "packages").rename(result / "packages")
    tell("making the disk")
    with (result / "disk").open("wb") as disk:
        disk.truncate(recipe.DISK_BYTES)
    _run("mkfs.ext4", "-q", "-F", "-L", "root", "-d", str(tree), str(result / "disk"))
    return result


def _settle(tree: Path) -> None:
    """Put the settings that all machines share into the tree."""
    for path, text in recipe.FILES.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    units = tree / "etc/systemd/system"
    for unit in recipe.MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "systemd-networkd.service").unlink(missing_ok=True)
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=debian.environment()
    )
    if done.returncode:
        raise LabError(f"the machine image: {argv[0]}: {done.stderr.strip()[-300:]}")
