"""The image as a file: a docker-archive whose image id is known before any engine has seen it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from bench import labels
from bench.toolbox import recipe

REPOSITORY = "netbench-toolbox"

# Debian's names for architectures, in the words of OCI images.
_ARCHITECTURES = {
    "armel": ("arm", "v5"),
    "armhf": ("arm", "v7"),
    "arm64": ("arm64", "v8"),
    "i386": ("386", None),
    "ppc64el": ("ppc64le", None),
}


@dataclass(frozen=True, slots=True)
class Archive:
    """The toolbox image on this machine's disk, ready to be loaded by an engine.

    ``image_id`` (``sha256:...``) and ``reference`` (``netbench-toolbox:DIGEST``) both follow from
    the image's content. ``tools`` are the versions of what is in it. ``architecture`` is in
    Docker's words.
    """

    path: Path
    image_id: str
    reference: str
    tools: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""

    def open(self) -> BinaryIO:
        """The archive's bytes, from their beginning: a gzipped tar file."""
        return self.path.open("rb")


def write_layer(tree: Path, layer: Path) -> None:
    """Make the image's layer from a tar file of Debian's packages, and our own files.

    Only what the recipe wants is taken, with nothing in it that differs from one building machine
    or moment to another.
    """
    with tarfile.open(tree) as source, tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as out:
        for member in source:
            path = member.name.removeprefix("./").rstrip("/")
            kind = member.isreg() or member.isdir() or member.issym() or member.islnk()
            if path in ("", ".") or not kind or not recipe.wanted(path):
                continue
            content = source.extractfile(member) if member.isreg() else None
            out.addfile(_normal(member, path), content)
        folder = tarfile.TarInfo(recipe.FILES_AT)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        out.addfile(_normal(folder, folder.name))
        for path, mode, data in recipe.own_files():
            file = tarfile.TarInfo(path)
            file.mode, file.size = mode, len(data)
            out.addfile(_normal(file, path), io.BytesIO(data))


def write_archive(
    layer: Path, out: IO[bytes], architecture: str, tools: Mapping[str, str]
) -> tuple[str, str]:
    """Write the docker-archive for ``layer``; returns the image's id and its reference."""
    with layer.open("rb") as file:
        diff = hashlib.file_digest(file, "sha256").hexdigest()
    reference = f"{REPOSITORY}:{diff[:12]}"
    config = _json(_config(diff, architecture, tools))
    config_id = hashlib.sha256(config).hexdigest()
    # One entry a list: engines read more than one image from an archive.
    manifest = [
        {"Config": f"{config_id}.json", "RepoTags": [reference], "Layers": [f"{diff}/layer.tar"]}
    ]
    with (
        # Neither name nor time: the file follows from its content alone.
        gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        layer.open("rb") as file,
    ):
        for name, content, size in (
            ("manifest.json", io.BytesIO(_json(manifest)), len(_json(manifest))),
            (f"{config_id}.json", io.BytesIO(config), len(config)),
            (f"{diff}/layer.tar", file, layer.stat().st_size),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = size, 0o644, recipe.EPOCH
            tar.addfile(member, content)
    return f"sha256:{config_id}", reference


def oci_architecture(debian: str) -> tuple[str, str | None]:
    """Docker's name for Debian's name of an architecture, and its variant if it has one."""
    return _ARCHITECTURES.get(debian, (debian, None))


def _normal(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    """``member`` under ``path``, owned by number alone and no younger than the recipe."""
    member.name = path
    if member.islnk():
        member.linkname = member.linkname.removeprefix("./")
    member.uname = member.gname = ""
    member.mtime = min(int(member.mtime), recipe.EPOCH) if member.mtime else recipe.EPOCH
    member.pax_headers = {}
    return member


def _config(diff: str, architecture: str, tools: Mapping[str, str]) -> dict[str, Any]:
    name, variant = oci_architecture(architecture)
    created = datetime.fromtimestamp(recipe.EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "architecture": name,
        **({"variant": variant} if variant else {}),
        "os": "linux",
        "created": created,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Labels": {
                labels.TOOLBOX: diff[:12],
                **{labels.TOOL + tool: version for tool, version in tools.items()},
            },
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
        "history": [{"created": created, "created_by": "netbench"}],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
