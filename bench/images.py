"""Seeing to it that every host has the toolbox image: built here, or from the user's registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import labels
from bench.errors import ImageError
from bench.model import ImageFacts
from bench.remote.api import Machine
from bench.remote.fleet import Fleet
from bench.toolbox.archive import Archive
from bench.toolbox.build import ensure_archive

# Docker's name for an architecture, and the kernel's, which is what engines tell.
KERNEL_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Shipped:
    """An image that every host has: the facts to record, and the ``name`` to start services from.

    That is the image's id wherever the engines know it by that, since a service's image that has
    any other name is asked for at a registry first, whether the host has it or not.
    """

    facts: ImageFacts
    name: str


def ship(fleet: Fleet, reference: str | None, stage: Callable[[str], None]) -> Shipped:
    """Make sure that every host has the same toolbox image; returns which.

    Without a ``reference`` the image is built (or taken from the cache) on the controller and sent,
    over each host's SSH connection and to all at once, to the hosts that lack that very image. With
    one, every host pulls it from its registry.
    """
    if reference is not None:
        return _pulled(fleet, reference, stage)
    archive = ensure_archive(stage)
    fleet.each(lambda machine: _refuse_other_architecture(machine, archive))
    names = _known_as(fleet, archive)
    lacking = [name for name, known in names.items() if known is None]
    if lacking:
        stage(f"sending the toolbox image to {', '.join(lacking)}")

        def send(machine: Machine) -> None:
            with archive.open() as file:
                machine.engine.load_image(file)

        fleet.each(send, lacking)
        names = _known_as(fleet, archive)
    by_id = all(known == archive.image_id for known in names.values())
    facts = ImageFacts(archive.reference, archive.image_id, dict(archive.tools))
    return Shipped(facts, archive.image_id if by_id else archive.reference)


def _known_as(fleet: Fleet, archive: Archive) -> dict[str, str | None]:
    """By which name each host's engine knows the image; None where it lacks it.

    Engines with containerd's image store know images by their manifest, not by the configuration
    that the id is made of; there the tag serves, which holds the content's digest too.
    """

    def known(machine: Machine) -> str | None:
        for name in (archive.image_id, archive.reference):
            if machine.engine.image_labels(name) is not None:
                return name
        return None

    return fleet.each(known)


def _refuse_other_architecture(machine: Machine, archive: Archive) -> None:
    found = machine.engine.facts().architecture
    kernel_name = KERNEL_NAMES.get(archive.architecture, archive.architecture)
    if found != kernel_name:
        raise ImageError(
            f"{machine.host.name}: is {found or 'of an unknown architecture'}, and the toolbox "
            f"image built on this machine is {kernel_name}",
            "use a controller of the hosts' architecture, or --image; see docs/toolbox.md",
        )


def _pulled(fleet: Fleet, reference: str, stage: Callable[[str], None]) -> Shipped:
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
    tools = {
        name.removeprefix(labels.TOOL): version
        for name, version in found.items()
        if name.startswith(labels.TOOL)
    }
    return Shipped(ImageFacts(reference, image_id, tools), image_id)
