"""The toolbox image, built once for each recipe and then taken from the cache."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.building import alone, cache_folder
from bench.errors import ImageError
from bench.toolbox import debian, recipe
from bench.toolbox.archive import Archive, oci_architecture, write_archive, write_layer

DPKG = "./var/lib/dpkg/"


def ensure_archive(progress: Callable[[str], None] | None = None) -> Archive:
    """The toolbox image for this machine's architecture, from the cache or built now.

    Building takes about half a minute and the network; ``progress`` is told what is being done, a
    line at a time. Two callers at once build once. Raises ImageError.
    """
    tell = progress or (lambda _line: None)
    architecture = debian.architecture()
    folder = cache_folder()
    stem = f"toolbox-{recipe.digest(architecture)[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cached = _cached(folder, stem)
        if cached is not None:
            return cached
        with alone(folder / "toolbox.lock", "the toolbox image", tell):
            # Whoever held the lock may have built it.
            return _cached(folder, stem) or _build(folder, stem, architecture, tell)
    except OSError as fault:
        where = fault.filename or folder
        raise ImageError(
            f"the toolbox image: {where}: {fault.strerror or fault}",
            "make room there and make it writable, or set XDG_CACHE_HOME to another folder",
        ) from fault


def _cached(folder: Path, stem: str) -> Archive | None:
    """The image in the cache. Its description is written last: without it there is no image."""
    path = folder / f"{stem}.tar.gz"
    try:
        found: Any = json.loads((folder / f"{stem}.json").read_bytes())
        if path.stat().st_size != found["size"]:
            return None
        return Archive(
            path,
            str(found["image_id"]),
            str(found["reference"]),
            {str(tool): str(version) for tool, version in found["tools"].items()},
            str(found["architecture"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _build(folder: Path, stem: str, architecture: str, tell: Callable[[str], None]) -> Archive:
    for left in folder.glob("build-*"):
        # Of a build that was killed: we hold the lock, so nobody is at work in it.
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as name:
        work = Path(name)
        tree, layer, packed = work / "tree.tar", work / "layer.tar", work / "image.tar.gz"
        tell("building the toolbox image from Debian packages (once)")
        debian.build_tree(tree, tell)
        tell("packing the image")
        tools = _tools(tree, work / "dpkg")
        write_layer(tree, layer)
        with packed.open("wb") as out:
            image_id, reference = write_archive(layer, out, architecture, tools)
            out.flush()
            os.fsync(out.fileno())
        archive = Archive(
            folder / f"{stem}.tar.gz", image_id, reference, tools, oci_architecture(architecture)[0]
        )
        description = work / "image.json"
        described = {
            "image_id": image_id,
            "reference": reference,
            "architecture": archive.architecture,
            "size": packed.stat().st_size,
            "tools": tools,
        }
        description.write_text(json.dumps(described, indent=2) + "\n")
        packed.replace(archive.path)
        description.replace(folder / f"{stem}.json")
    for old in folder.glob("toolbox-*"):
        # Of recipes that are no more: nothing would ever ask for them again.
        if old.name not in (f"{stem}.tar.gz", f"{stem}.json"):
            old.unlink(missing_ok=True)
    tell(f"the toolbox image is built: {archive.path.stat().st_size / 1e6:.0f} MB")
    return archive


def _tools(tree: Path, admin: Path) -> dict[str, str]:
    """The tools' versions, as dpkg's own records inside the tree say."""
    admin.mkdir()
    with tarfile.open(tree) as source:
        status = source.extractfile(f"{DPKG}status")
        if status is None:
            raise ImageError("the toolbox image: the built tree has no package records")
        (admin / "status").write_bytes(status.read())
    return dict(debian.versions(admin))
