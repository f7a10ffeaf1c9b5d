"""The lab's network: a bridge in the switch's namespace, a cable to each host and one to here.

The bridge is in a namespace of its own so that neither the machine's firewall nor its forwarding
has a say in the lab's traffic, and none of the machine's settings changes. Everything goes when the
switch's namespace goes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Network

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from bench.errors import LabError
from bench.lab.layout import DATA_INTERFACE, SWITCH, UNDERLAY, Lab
from bench.lab.preflight import find

GONE_TIMEOUT = 10.0
TRUNK = "ctl"
BRIDGE = "br0"
# From the kernel's if_tun.h.
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
# The shortest prefix, in bits, of a route that is a network's and not a part of the default's.
WIDEST = 8


def free_subnet(taken: set[int]) -> int:
    """The first 198.18.X.0/24 that no other lab has and that no address or route here overlaps.

    One whose interface would have a name that is there already is not free either.
    """
    with IPRoute() as machine:
        used = list(_networks(machine))
        names = {link.get_attr("IFLA_IFNAME") for link in machine.get_links()}
    for subnet, network in enumerate(UNDERLAY.subnets(new_prefix=24)):
        if subnet in taken or Lab("", subnet, 0).controller_interface in names:
            continue
        if not any(network.overlaps(other) for other in used):
            return subnet
    raise LabError(
        f"every /24 of {UNDERLAY} is in use on this machine",
        "see `ip route`; `netbench lab down --all` removes the labs",
    )


def connect(lab: Lab, firsts: Mapping[str, int]) -> None:
    """Wire the hosts, whose process 1s are ``firsts``, and this machine to the switch."""
    ports = {
        port(number): (DATA_INTERFACE, firsts[host])
        for number, host in enumerate(lab.hosts, start=1)
    }
    with _switch(lab, firsts[SWITCH]) as (switch, bridge):
        for name, (end, pid) in ports.items():
            _cable(switch, bridge, name, end, pid)
    for host, address in lab.hosts.items():
        with _inside(firsts[host]) as own:
            own.link("set", ifname="lo", state="up")
            _address(own, DATA_INTERFACE, f"{address}", lab.network.prefixlen)


def connect_taps(lab: Lab, first: int) -> None:
    """Make the switch, whose process 1 is ``first``, with a tap for each host and a cable to here.

    The switch has an address of its own, for what it serves.
    """
    with _switch(lab, first) as (switch, bridge):
        switch.link("set", index=switch.link_lookup(ifname="lo")[0], state="up")
        _address(switch, BRIDGE, f"{lab.packages}", lab.network.prefixlen)
        for number in range(1, lab.size + 1):
            with ThreadPoolExecutor(max_workers=1) as thread:
                thread.submit(_tap_in, first, port(number)).result()
            switch.link("set", ifname=port(number), master=bridge, state="up")


def only_mac(first: int, name: str, mac: str) -> None:
    """Let only frames from and to ``mac`` (and to many) through a port of the switch, whose process
    1 is ``first``: what clouds do with each machine's interface."""
    enter = [find("nsenter"), f"--net=/proc/{first}/ns/net", "--", find("bridge")]
    for words in (
        ["fdb", "replace", mac, "dev", name, "master", "static"],
        ["link", "set", "dev", name, "learning", "off", "flood", "off", "locked", "on"],
    ):
        done = subprocess.run([*enter, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(
                f"{name}: MAC addresses cannot be filtered here: {done.stderr.strip()}",
                "that takes Linux 5.18 and iproute2 5.18 or newer; leave out --filter-macs",
            )


def port(number: int) -> str:
    """The switch's end of the wire of the host with that number, counted from 1."""
    return f"port{number}"


@contextmanager
def _switch(lab: Lab, first: int) -> Iterator[tuple[IPRoute, int]]:
    """Make the bridge and this machine's cable to it; what is wired within is up at the end."""
    with IPRoute() as machine, _inside(first) as switch:
        with _needs("bridge"):
            switch.link("add", ifname=BRIDGE, kind="bridge", br_stp_state=0)
        bridge = switch.link_lookup(ifname=BRIDGE)[0]
        _cable(switch, bridge, TRUNK, lab.controller_interface, os.getpid())
        yield switch, bridge
        switch.link("set", index=bridge, state="up")
        _address(machine, lab.controller_interface, f"{lab.controller}", lab.network.prefixlen)


def _cable(switch: IPRoute, bridge: int, name: str, end: str, pid: int) -> None:
    """A cable from the switch's port ``name`` to the interface ``end`` where ``pid`` is."""
    with _needs("veth"):
        switch.link("add", ifname=name, kind="veth", peer={"ifname": end, "net_ns_pid": pid})
    switch.link("set", ifname=name, master=bridge, state="up")


def _tap_in(pid: int, name: str) -> None:
    """Make a tap in the network namespace of a process. Leaves the calling thread there."""
    netns.setns(f"/proc/{pid}/ns/net", flags=0, fork=False)
    try:
        # struct ifreq: the name, and flags in a union that fills it up to 40 bytes.
        request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI)
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(handle, TUNSETIFF, request)
            fcntl.ioctl(handle, TUNSETPERSIST, 1)
        finally:
            os.close(handle)
    except OSError as fault:
        raise LabError(
            f"/dev/net/tun: {fault.strerror}", "load the module tun; virtual machines need it"
        ) from fault


def disconnect(lab: Lab) -> None:
    """Remove this machine's end of the lab's wires, if it is there, and wait until it is gone."""
    deadline = time.monotonic() + GONE_TIMEOUT
    with IPRoute() as machine:
        while found := machine.link_lookup(ifname=lab.controller_interface, kind="veth"):
            try:
                machine.link("del", index=found[0])
            except NetlinkError as fault:
                # Its other end went with the switch in the same moment.
                if fault.code != errno.ENODEV:
                    raise LabError(f"{lab.controller_interface}: {fault}") from fault
            if time.monotonic() > deadline:
                raise LabError(
                    f"{lab.controller_interface}: this interface does not go away",
                    "look at `dmesg`, then run `netbench lab down` for this lab again",
                )


@contextmanager
def _inside(pid: int) -> Iterator[IPRoute]:
    """Netlink in the network namespace of a process.

    pyroute2's own way there is a forked copy of this program, which it then ends by SIGTERM: our
    handler would run in the copy and take down what is being built. A thread that enters the
    namespace and opens the socket serves as well; the namespace of a socket never changes.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        opened = thread.submit(_socket_in, pid).result()
    with IPRoute(fileno=opened.detach()) as route:
        yield route


def _socket_in(pid: int) -> socket.socket:
    """A netlink socket of another namespace. Leaves the calling thread there."""
    netns.setns(f"/proc/{pid}/ns/net", flags=0, fork=False)
    return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)


@contextmanager
def _needs(kind: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as fault:
        if fault.code == errno.EOPNOTSUPP:
            raise LabError(
                f"this machine's kernel has no {kind} interfaces",
                f"load the module {kind}, or use a machine whose kernel has it",
            ) from fault
        raise LabError(f"a {kind} interface could not be made: {fault}") from fault


def _address(route: IPRoute, interface: str, address: str, prefix: int) -> None:
    index = route.link_lookup(ifname=interface)[0]
    route.addr("add", index=index, address=address, prefixlen=prefix)
    route.link("set", index=index, state="up")


def _networks(machine: IPRoute) -> Iterator[IPv4Network]:
    """Every IPv4 network that this machine has an address in or a route to, but the default."""
    for address in machine.get_addr(family=2):
        yield IPv4Network((address.get_attr("IFA_ADDRESS"), address["prefixlen"]), strict=False)
    for route in machine.get_routes(family=2):
        destination = route.get_attr("RTA_DST")
        # A VPN may halve the default route; a /24 on a link wins over that as over the whole.
        if destination and route["dst_len"] >= WIDEST:
            yield IPv4Network((destination, route["dst_len"]), strict=False)
