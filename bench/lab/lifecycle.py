"""A lab's life: up, status, down. Each can be called again, and after any interruption.

``up`` writes down what it is about to make before it makes it. Whatever kills it, ``down`` finds
the rest by that record, by the reserved names of folders, interface and control groups, and by what
the processes are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import LabError
from bench.lab import (
    blueprint,
    cgroups,
    handout,
    health,
    keys,
    preflight,
    processes,
    roots,
    state,
    wire,
)
from bench.lab.handout import Owner
from bench.lab.health import HostHealth
from bench.lab.layout import SWITCH, Lab, Machines, check_name
from bench.lab.vm import machines as vm

DEFAULT_HOSTS = 3
DEFAULT_MACHINES = 2


@dataclass(frozen=True, slots=True)
class Status:
    """A lab and its hosts as they answer now."""

    lab: Lab
    hosts: list[HostHealth]


def up(
    name: str,
    size: int | None,
    inventory: Path,
    owner: Owner,
    *,
    machines: Machines | None = None,
    suite: str | None = None,
    tell: Callable[[str], None] = lambda _line: None,
) -> tuple[Lab, bool]:
    """Bring a lab up and write its inventory; returns it, and whether it was up already.

    ``size`` is the number of hosts, None for the number that the lab has or else three (two
    virtual machines); ``inventory`` is absolute; ``machines`` asks for virtual machines, which take
    minutes, ``suite`` for namespaces with Debian root file systems of their own: ``tell`` is told
    what is being done. Raises LabError; what was begun has been taken
    down again then.
    """
    check_name(name)
    start = _prepare_machines(name, size, machines, tell)
    tree = _prepare_tree(name, suite, tell)
    with in_words(name), ExitStack() as held:
        with state.locked():
            lab = state.load(name)
            if lab is not None and lab.complete:
                _must_be_well(lab, size, machines, suite)
                return _hand_out(lab, inventory, owner), True
            if (machines is not None and start is None) or (suite is not None and tree is None):
                raise LabError(f"lab {name} was taken down in this moment", "run `lab up` again")
            handout.check(name, inventory)
            state.check_unclaimed(name)
            _raze(name, lab)
            taken = {other.subnet for label in state.names() if (other := state.load(label))}
            lab = Lab(name, wire.free_subnet(taken), _size(size, machines), suite=suite)
            if start is not None:
                lab = replace(lab, machines=start.machines)
            state.save(lab)
            try:
                if start is None:
                    _build(lab, tree)
                    return _complete(lab, inventory, owner), False
                held.enter_context(state.claimed(name))
                vm.begin(lab, start.image)
            except BaseException:
                _raze(name, lab)
                raise
        # Machines take minutes to come up: other labs must not wait for this one.
        try:
            vm.wait(lab, tell)
            with state.locked():
                return _complete(lab, inventory, owner), False
        except BaseException:
            with state.locked():
                _raze(name, state.load(name) or lab)
            raise


def status(name: str) -> Status | None:
    """How a lab's hosts are; None if there is no such lab. Raises LabError as :func:`find` does."""
    lab = find(name)
    return None if lab is None else Status(lab, _look(lab))


def find(name: str) -> Lab | None:
    """A lab by its name; None if there is no such lab.

    Raises LabError for a lab whose ``up`` is not finished, or left nothing but pieces.
    """
    check_name(name)
    lab = state.load(name)
    if lab is None and not state.traces(name) and not processes.found(name):
        return None
    if lab is None or not lab.complete:
        raise LabError(
            f"lab {name} is not complete: its `lab up` is at work, or was cut off",
            f"wait for it, or remove the pieces with `netbench lab down --name {name}`",
        )
    return lab


def down(name: str, inventory: Path) -> bool:
    """Take a lab down, whatever state it is in; True if there was anything of it.

    ``inventory`` is where to look for the inventory of a lab that has no record any more.
    """
    check_name(name)
    with in_words(name), state.locked():
        state.check_unclaimed(name)
        lab = state.load(name)
        existed = lab is not None or state.traces(name) or bool(processes.found(name))
        _raze(name, lab)
        # Nothing to remove is no fault; an inventory of somebody else's is not touched.
        return handout.remove(name, inventory) or existed


def every() -> list[str]:
    """The names of all labs on this machine that left any trace."""
    return sorted({*state.names(), *(process.lab for process in processes.found())})


@contextmanager
def in_words(name: str) -> Iterator[None]:
    """Make what this machine refuses (room on a disk, say) an error that names it."""
    try:
        yield
    except OSError as fault:
        about = f"{fault.filename}: " if fault.filename else ""
        raise LabError(
            f"lab {name}: {about}{fault.strerror or fault}", "see to that, and run this again"
        ) from fault


def _size(size: int | None, machines: Machines | None) -> int:
    return size or (DEFAULT_MACHINES if machines else DEFAULT_HOSTS)


def _prepare_machines(
    name: str, size: int | None, machines: Machines | None, tell: Callable[[str], None]
) -> vm.Start | None:
    """What the machines start from; None if none are to be started.

    Making it takes minutes, so it is done before the lock.
    """
    lab = state.load(name)
    if machines is None or (lab is not None and lab.complete):
        return None
    state.check_unclaimed(name)
    preflight.check_machines(_size(size, machines), machines.memory)
    return vm.prepare(machines, tell)


def _prepare_tree(name: str, suite: str | None, tell: Callable[[str], None]) -> Path | None:
    """The tree below the hosts' roots, made before the lock as well; None if none is wanted."""
    lab = state.load(name)
    if suite is None or (lab is not None and lab.complete):
        return None
    state.check_unclaimed(name)
    preflight.check(suite)
    return roots.ensure(suite, tell)


def _complete(lab: Lab, inventory: Path, owner: Owner) -> Lab:
    lab = replace(_hand_out(lab, inventory, owner), complete=True)
    state.save(lab)
    return lab


def _build(lab: Lab, tree: Path | None) -> None:
    preflight.check(lab.suite)
    keys.make(lab)
    authorized = keys.public(lab, keys.USER)
    specs = {SWITCH: blueprint.prepare_switch(lab)}
    for host in lab.hosts:
        host_key = keys.private(lab, host)
        specs[host] = blueprint.prepare(
            lab, host, host_key=host_key, authorized=authorized, tree=tree
        )
    with processes.Nursery(lab) as nursery:
        for host, spec in specs.items():
            nursery.begin(host, spec)
        nursery.wait_ready()
        firsts = processes.firsts(lab.name)
        wire.connect(lab, firsts)
        nursery.go()
    health.wait(lab, firsts)


def _look(lab: Lab) -> list[HostHealth]:
    return health.look(lab) if lab.machines is None else vm.look(lab)


def _must_be_well(
    lab: Lab, size: int | None, machines: Machines | None, suite: str | None = None
) -> None:
    if machines is not None and (
        lab.machines is None
        or replace(machines, accelerator=lab.machines.accelerator) != lab.machines
    ):
        raise LabError(
            f"lab {lab.name} is up with hosts of another kind",
            f"run `netbench lab down --name {lab.name}` first, or use --name for one beside it",
        )
    if suite not in (None, lab.suite):
        has = f"a {lab.suite} root file system" if lab.suite else "this machine's own files"
        raise LabError(
            f"lab {lab.name} is up with hosts on {has}, not on {suite}",
            f"run `netbench lab down --name {lab.name}` first, or use --name for one beside it",
        )
    if size not in (None, lab.size):
        raise LabError(
            f"lab {lab.name} is up with another number of hosts ({lab.size}, not {size})",
            f"run `netbench lab down --name {lab.name}` first",
        )
    for host in _look(lab):
        if host.problem:
            raise LabError(
                f"{host.name}: {host.problem}",
                f"run `netbench lab down --name {lab.name}` and then `lab up` with that name again",
            )


def _hand_out(lab: Lab, inventory: Path, owner: Owner) -> Lab:
    """Write the user's files and record where; recorded first, so that ``down`` finds them."""
    handout.check(lab.name, inventory)
    if inventory not in lab.handouts:
        lab = replace(lab, handouts=(*lab.handouts, inventory))
        state.save(lab)
    handout.write(lab, keys.for_user(lab), inventory, owner)
    return lab


def _raze(name: str, lab: Lab | None) -> None:
    """Remove all there is of a lab; the record last, so that an interrupted removal can go on."""
    processes.kill(name)
    if lab is not None:
        wire.disconnect(lab)
    cgroups.clear(name)
    state.clear_data(name)
    for inventory in lab.handouts if lab is not None else ():
        handout.remove(name, inventory)
    state.forget(name)
