"""``netbench lab link``: a lab's links made like the ones that one will have.

What is set is in the lab's record and from there in its inventories, where a run reads it.
The switch's ports and all that is on them go with the switch.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from bench.errors import LabError, UsageError
from bench.lab import handout, lifecycle, processes, shaping, state, wire
from bench.lab.layout import DATA_INTERFACE, SWITCH, Lab, Link
from bench.lab.preflight import PATH, find
from bench.lab.shaping import Words
from bench.lab.vm import machines

ASK_TIMEOUT = 60.0
# The addresses of the underlay that are no host's: the controller's and the package server's.
CONTROL_PREFIX = 30
# What tc says where a kernel has no such thing.
_LACKS = re.compile(
    r"kind is unknown|classifier not found|load TC action|Operation not supported|No such file"
)


def shape(name: str, link: Link | None, hosts: Sequence[str] = ()) -> Lab:
    """Make the links of ``hosts`` (none: all) like ``link``, or with None like they were at first.

    Returns the lab as it is then. Raises LabError; none of those links is shaped then, but inside a
    virtual machine that does not answer.
    """
    with lifecycle.in_words(name), state.locked():
        lab = look(name)
        chosen = _chosen(lab, hosts)
        enter = _switch(lab)
        wanted = _where(lab, link, enter)
        links = dict(lab.links)
        try:
            for host in chosen:
                _clear(lab, host, enter, links.get(host))
                links.pop(host, None)
            if wanted is not None:
                for host in chosen:
                    _shape(lab, host, enter, wanted)
                    links[host] = wanted
        except BaseException:
            for host in chosen:
                _give_up(lab, host, enter, links, wanted)
            raise
        finally:
            # Whatever came: a run reads from the inventory what its links are like.
            lab = _record(lab, links)
        return lab


def look(name: str) -> Lab:
    """The lab, with its links as they were set. Raises LabError if there is none."""
    lab = lifecycle.find(name)
    if lab is None:
        raise LabError(f"there is no lab {name}", f"run `netbench lab up --name {name}`")
    return lab


def _chosen(lab: Lab, hosts: Sequence[str]) -> list[str]:
    for host in hosts:
        if host not in lab.hosts:
            raise UsageError(
                f"lab {lab.name} has no host {host}", f"its hosts are {', '.join(lab.hosts)}"
            )
    return [host for host in lab.hosts if not hosts or host in hosts]


def _switch(lab: Lab) -> Words:
    """The words that make a command one in the switch's network namespace."""
    first = processes.firsts(lab.name).get(SWITCH)
    if first is None:
        raise LabError(
            f"lab {lab.name}: its switch is not running",
            f"run `netbench lab down --name {lab.name}`, then `lab up`",
        )
    return (find("nsenter"), f"--net=/proc/{first}/ns/net", "--")


def _where(lab: Lab, link: Link | None, enter: Words) -> Link | None:
    """``link``, ``within`` where this kernel has no netem and the machines' own can do it.

    Raises LabError where none can.
    """
    if link is None or not (link.delay or link.loss):
        return link
    # On an interface that nothing uses.
    if _tc(enter, ("qdisc", "replace", "dev", "lo", "root", "netem")) is None:
        _tc(enter, ("qdisc", "del", "dev", "lo", "root"))
        return link
    if lab.machines is None:
        raise LabError(
            "this machine's kernel has no netem (module sch_netem), so --delay and --loss cannot "
            "be had in a lab of namespaces",
            "set --rate alone, or use `netbench lab up --backend vm`, whose kernels have it",
        )
    return replace(link, within=True)


def _shape(lab: Lab, host: str, enter: Words, link: Link) -> None:
    control, (port, up) = _control(lab), _names(lab, host)
    outer = Link(link.rate) if link.within else link
    orders: list[Words] = []
    if outer.words:
        orders += shaping.towards(port, outer, control)
    if link.rate:
        _make_up(host, up, enter)
        orders += shaping.outwards(port, up, link, control)
    for words in orders:
        if fault := _tc(enter, words):
            raise _refused(host, ("tc", *words), fault)
    if link.within:
        _inside(lab, host, shaping.within(DATA_INTERFACE, link, control))


def _clear(lab: Lab, host: str, enter: Words, before: Link | None) -> None:
    """Take away what shapes a host's link, whatever there is of it."""
    port, up = _names(lab, host)
    _tc(enter, ("qdisc", "del", "dev", port, "root"))
    _tc(enter, ("qdisc", "del", "dev", port, "ingress"))
    _run((*enter, find("ip"), "link", "del", "dev", up))
    if before is not None and before.within:
        _inside(lab, host, ())


def _give_up(
    lab: Lab, host: str, enter: Words, links: dict[str, Link], wanted: Link | None
) -> None:
    """Take away what shapes or was to shape a host's link, and from ``links`` what is gone."""
    before = links.pop(host, None)
    try:
        _clear(lab, host, enter, before or wanted)
    except LabError:
        # What the machine itself was told to do remains.
        if before is not None:
            links[host] = replace(before, rate=None)


def _inside(lab: Lab, host: str, orders: Iterable[Words]) -> None:
    """In a virtual machine itself: take away what is on its interface, and give these orders."""
    clear = f"tc qdisc del dev {DATA_INTERFACE} root >/dev/null || :"
    fault = _told(lab, host, (clear, *(f"tc {shlex.join(words)}" for words in orders)))
    if fault:
        raise LabError(
            f"{host}: its link cannot be set in the virtual machine: {fault}",
            f"see `netbench lab status --name {lab.name}`; a restart of the machine clears it",
        )


def _told(lab: Lab, host: str, commands: Iterable[str]) -> str:
    """Have a virtual machine's shell carry out commands, up to one that fails; what it then says,
    or nothing."""
    script = ("exec 2>&1", "PATH=/usr/sbin:/sbin:$PATH", "set -e", *commands, "echo done")
    said = machines.ask(lab, host, "\n".join(script), ASK_TIMEOUT).split()
    return "" if said[-1:] == ["done"] else " ".join(said) or "it does not answer"


def _make_up(host: str, up: str, enter: Words) -> None:
    modprobe = shutil.which("modprobe", path=PATH)
    if modprobe:
        # Loaded by the kernel itself it would leave two interfaces on this machine.
        _run((modprobe, "--quiet", "ifb", "numifbs=0"))
    for words in (("add", "name", up, "type", "ifb"), ("set", "dev", up, "up")):
        if fault := _run((*enter, find("ip"), "link", *words)):
            raise _refused(host, ("ip", "link", *words), fault)


def _refused(host: str, words: Words, fault: str) -> LabError:
    told = f"{host}: `{' '.join(words)}`: {' '.join(fault.split())}"
    if _LACKS.search(fault):
        return LabError(
            f"{told}: this machine's kernel cannot shape links",
            "it takes the modules sch_htb, sch_ingress, cls_u32, act_mirred and ifb",
        )
    return LabError(told, "run `netbench lab link --off`, then try again")


def _names(lab: Lab, host: str) -> tuple[str, str]:
    number = list(lab.hosts).index(host) + 1
    return wire.port(number), f"up{number}"


def _control(lab: Lab) -> IPv4Network:
    return IPv4Network((lab.controller, CONTROL_PREFIX), strict=False)


def _record(lab: Lab, links: Mapping[str, Link]) -> Lab:
    """Write down what is set, in the lab's record and in its inventories."""
    lab = replace(lab, links={host: links[host] for host in lab.hosts if host in links})
    state.save(lab)
    for inventory in lab.handouts:
        handout.renew(lab, inventory)
    return lab


def _tc(enter: Words, words: Words) -> str | None:
    return _run((*enter, find("tc"), *words))


def _run(argv: Words) -> str | None:
    """None, or what the command had to say when it failed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"


def cut(name: str, host: str, *, off: bool) -> None:
    """Have a host of a lab hear nothing and say nothing but to the controller, as if its link were
    down; or put it on again.

    It is not recorded: whoever cuts a host off puts it on again. Raises LabError.
    """
    lab = look(name)
    (chosen,) = _chosen(lab, [host])
    first = processes.firsts(lab.name).get(chosen)
    if first is None:
        raise LabError(f"{chosen} is not running: it cannot be cut off", "take the lab up anew")
    orders = [
        ("iptables", "-w", "-I" if off else "-D", chain, *match, "-j", "DROP")
        for chain, *match in (
            ("INPUT", "-i", DATA_INTERFACE, "!", "-s", f"{lab.controller}"),
            ("OUTPUT", "-o", DATA_INTERFACE, "!", "-d", f"{lab.controller}"),
            ("FORWARD", "-i", DATA_INTERFACE),
            ("FORWARD", "-o", DATA_INTERFACE),
        )
    ]
    if lab.machines is not None:
        if said := _told(lab, chosen, map(shlex.join, orders)):
            raise LabError(f"{chosen}: `iptables` in the virtual machine: {said}")
        return
    enter = (find("nsenter"), f"--net=/proc/{first}/ns/net", "--")
    for words in orders:
        if fault := _run((*enter, find(words[0]), *words[1:])):
            raise LabError(f"{chosen}: `{shlex.join(words)}`: {' '.join(fault.split())}")
