"""The part of the doctor that tries a host's peers: one file, standard library, Python 3.6 on.

It is sent over standard input to ``python3 - look CONFIG``, looks at the data interface, tries
routes, echo requests and ARP to all peers and asks each name server, and prints a JSON object. It
leaves no file, process or interface behind.
"""

import array
import fcntl
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List  # noqa: UP035  # for Python 3.6

Json = Dict[str, Any]  # noqa: UP006  # for Python 3.6
Jsons = List[Json]  # noqa: UP006  # for Python 3.6

NOWHERE = "netbench-doctor.invalid"
PINGS = 12
# From linux/if_ether.h, linux/if_packet.h, linux/sockios.h and linux/ethtool.h.
ETH_P_ARP, SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 0x0806, 263, 1, 1
SIOCETHTOOL = 0x8946
FEATURES = {"tx-checksum": 0x16, "tso": 0x1E, "gso": 0x23}


def look(config: "Json") -> "Json":
    """Every peer tried, and the name servers, all at once."""
    unread: list[str] = []
    peers = config["peers"]
    with ThreadPoolExecutor(max(4, len(peers) + 8)) as pool:
        pings = [pool.submit(_ping, one["address"]) for one in peers]
        names = [pool.submit(_resolver, one) for one in _resolvers()]
        routes = [_route(one["address"]) for one in peers]
        arps: list[list[bool | None]] = [[None, None]] * len(peers)
        try:
            arps = _arps(config["interface"], [one["address"] for one in peers], routes)
        except OSError as fault:
            unread.append("MAC addresses: " + _words(fault))
        found = [
            dict(name=one["name"], own_mac=arp[0], other_mac=arp[1], **route, **ping.result())
            for one, route, arp, ping in zip(peers, routes, arps, pings)
        ]
        resolvers = [name.result() for name in names]
    offloads = {}
    try:
        offloads = _offloads(config["interface"])
    except OSError as fault:
        unread.append("offloads: " + _words(fault))
    return {
        "peers": found,
        "resolvers": resolvers,
        "queueing": _queueing(config["interface"]),
        "offloads": offloads,
        "unread": unread,
    }


def _words(fault: OSError) -> str:
    return os.strerror(fault.errno) if fault.errno else str(fault)


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _run(*argv: str) -> str:
    """What a command prints; nothing where the host does not have it."""
    try:
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, LC_ALL="C", PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"),
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.decode("utf-8", "replace")


def _ping(address: str) -> "Json":
    text = _run("ping", "-n", "-c", str(PINGS), "-i", "0.2", "-W", "1", address)
    answers = re.findall(r"icmp_seq=(\d+) ttl=(\d+) time=([\d.]+)", text)
    sent = re.search(r"(\d+) packets transmitted", text)
    times = sorted(float(one[2]) / 1000 for one in answers)
    return {
        "sent": int(sent.group(1)) if sent else 0,
        "answered": len({one[0] for one in answers}),
        "rtt": times[len(times) // 2] if times else None,
        "ttl": int(answers[-1][1]) if answers else None,
    }


def _route(address: str) -> "Json":
    words = _run("ip", "route", "get", address).split()
    told = {
        key: words[words.index(word) + 1] if word in words[:-1] else ""
        for key, word in (("via", "via"), ("interface", "dev"), ("source", "src"))
    }
    return dict(told, address=address)


def _arps(interface: str, addresses: "list[str]", routes: "Jsons") -> "list[list[bool | None]]":
    """For each address on this layer 2: whether it answers our MAC address, and a made-up one."""
    probe = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    probe.bind((interface, 0))
    index = socket.if_nametoindex(interface)
    # Answers to the made-up address are for nobody's card.
    every = struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b"")
    probe.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, every)
    own = probe.getsockname()[4]
    made_up = bytes([0x02, 0x6E, 0x62] + [random.randrange(256) for _ in range(3)])
    found: list[list[bool | None]] = []
    try:
        for address, route in zip(addresses, routes):
            near = not route["via"] and route["interface"] == interface
            found.append(
                [_arp(probe, mac, address) for mac in (own, made_up)] if near else [None, None]
            )
    finally:
        probe.close()
    return found


def _arp(probe: socket.socket, mac: bytes, address: str) -> bool:
    """Ask who has an address, as from ``mac`` and from no address (RFC 5227): is it answered?"""
    wanted = socket.inet_aton(address)
    head = b"\xff" * 6 + mac + struct.pack("!H", ETH_P_ARP)
    ask = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + bytes(4) + bytes(6) + wanted
    for _ in range(3):
        probe.send(head + ask)
        ends = time.monotonic() + 0.3
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                break
            probe.settimeout(left)
            try:
                frame = probe.recv(256)
            except OSError:
                break
            answer = frame[20:22] == b"\x00\x02" and frame[28:32] == wanted
            if answer and frame[32:38] == mac:
                return True
    return False


def _resolvers() -> "list[str]":
    return re.findall(
        r"^\s*nameserver\s+(\d+\.\d+\.\d+\.\d+)", _text("/etc/resolv.conf"), re.MULTILINE
    )


def _resolver(server: str) -> "Json":
    """Ask a name server for a name that does not exist."""
    labels = b"".join(bytes([len(one)]) + one.encode() for one in NOWHERE.split("."))
    query = struct.pack("!HHHHHH", random.randrange(65536), 0x0100, 1, 0, 0, 0)
    query += labels + b"\x00" + struct.pack("!HH", 1, 1)
    began = time.monotonic()
    outcome = "silent"
    for _ in range(2):
        ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ask.settimeout(1.5)
        try:
            ask.connect((server, 53))
            ask.send(query)
            if ask.recv(512)[:2] == query[:2]:
                outcome = "answered"
                break
        except socket.timeout:  # noqa: UP041  # no TimeoutError before Python 3.10
            continue
        except OSError:
            outcome = "refused"
            break
        finally:
            ask.close()
    return {"server": server, "outcome": outcome, "seconds": time.monotonic() - began}


def _queueing(interface: str) -> "list[str]":
    """What holds packets back when they leave the interface, as tc names it."""
    text = _run("tc", "qdisc", "show", "dev", interface)
    holding = re.compile(r"qdisc (tbf|htb|netem|hfsc|cake)")
    return [line.strip() for line in text.splitlines() if holding.match(line)]


def _offloads(interface: str) -> "dict[str, bool]":
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
        for name, command in FEATURES.items():
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(ask, SIOCETHTOOL, request)
            found[name] = bool(struct.unpack("II", value.tobytes())[1])
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look(json.loads(sys.argv[2]))) + "\n")
