"""Seeing to it that every host has the toolbox image: built here, or from the user's registry."""

from __future__ import annotations

from collections.abc import Callable

from bench import labels
from bench.errors import ImageError
from bench.model import ImageFacts
from bench.remote.api import Machine
from bench.remote.fleet import Fleet
from bench.toolbox.archive import Archive
from bench.toolbox.build import ensure_archive

# Docker's name for an architecture, and the kernel's, which is what engines tell.
KERNEL_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def ship(fleet: Fleet, reference: str | None, stage: Callable[[str], None]) -> ImageFacts:
    """Make sure that every host has the same toolbox image; returns which.

    Without a ``reference`` the image is built (or taken from the cache) on the controller and sent,
    over each host's SSH connection and to all at once, to the hosts that lack that very image. With
    one, every host pulls it from its registry.
    """
    if reference is not None:
        return _pulled(fleet, reference, stage)
    archive = ensure_archive(stage)

    def has(machine: Machine) -> bool:
        _refuse_other_architecture(machine, archive)
        # Engines with containerd's image store know images by their manifest, not by the
        # configuration that the id is made of; the name holds the same content's digest.
        names = (archive.image_id, archive.reference)
        return any(machine.engine.image_labels(name) is not None for name in names)

    lacking = [name for name, there in fleet.each(has).items() if not there]
    if lacking:
        stage(f"sending the toolbox image to {', '.join(lacking)}")

        def send(machine: Machine) -> None:
            with archive.open() as file:
                machine.engine.load_image(file)

        fleet.each(send, lacking)
    return ImageFacts(archive.reference, archive.image_id, dict(archive.tools))


def _refuse_other_architecture(machine: Machine, archive: Archive) -> None:
    found = machine.engine.facts().architecture
    kernel_name = KERNEL_NAMES.get(archive.architecture, archive.architecture)
    if found != kernel_name:
        raise ImageError(
            f"{machine.host.name}: is {found or 'of an unknown architecture'}, and the toolbox "
            f"image built on this machine is {kernel_name}",
            "use a controller of the hosts' architecture, or --image; see docs/toolbox.md",
        )


def _pulled(fleet: Fleet, reference: str, stage: Callable[[str], None]) -> ImageFacts:
    stage(f"pulling {reference}")
    ids = fleet.each(lambda machine: machine.engine.pull_image(reference))
    if len(set(ids.values())) > 1:
        raise ImageError(
            f"{reference} is not the same image on every host: "
            + ", ".join(f"{name} has {key[:19]}" for name, key in ids.items()),
            "name it by digest, or remove the old one from the hosts",
        )
    first, image_id = next(iter(ids.items()))
    found = fleet[first].engine.image_labels(image_id) or {}
    if labels.TOOLBOX not in found:
        raise ImageError(
            f"{reference} is not a toolbox image of netbench: it has no label {labels.TOOLBOX}",
            "push the image that netbench builds; docs/toolbox.md says how",
        )
    return ImageFacts(reference, image_id)
