"""The part of the doctor that looks at a host itself: one file, standard library, Python 3.6 on.

It is sent over standard input to ``python3 - look CONFIG``, watches for some seconds and prints a
JSON object. It leaves no file, process or interface behind. What cannot be read is left out, and
said in ``unread``.
"""

import contextlib
import ctypes
import glob
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from typing import Any, Dict, List  # noqa: UP035  # for Python 3.6

Json = Dict[str, Any]  # noqa: UP006  # for Python 3.6
Jsons = List[Json]  # noqa: UP006  # for Python 3.6

DOCKER = "/var/run/docker.sock"
SANDBOXES = "/run/docker/netns"
CLONE_NEWNET = 0x40000000
# From linux/ip_vs.h.
IP_VS_SO_GET_TIMEOUT = 64 + 1024 + 64 + 6


def look(config: "Json") -> "Json":
    """Everything about this host; what only grows is read twice, ``seconds`` apart."""
    unread: list[str] = []
    wrong = _checksums()
    dropped = _conntrack_drops()
    found = {
        "networks": _try(unread, "Docker's networks", _networks, []),
        "files": _try(unread, "the engine's open files", _files, []),
        "conntrack": _conntrack(),
        "balancers": _try(unread, "IPVS", _balancers, []),
        "keepalive": _number("/proc/sys/net/ipv4/tcp_keepalive_time"),
    }
    # While nothing of the doctor's own is at work.
    before = _cores()
    time.sleep(config["seconds"])
    found["cores"] = _shares(before, _cores())
    found["checksums"] = [
        dict(one, during=one["wrong"] - wrong.get(where, one)["wrong"], where=where)
        for where, one in _checksums().items()
    ]
    if found["conntrack"]:
        found["conntrack"]["dropped"] = max(0, _conntrack_drops() - dropped)
    found["unread"] = unread
    return found


def _try(unread: "list[str]", what: str, read: "Any", otherwise: "Any") -> "Any":
    try:
        return read()
    except Exception as fault:  # noqa: BLE001 - whatever it is, the rest is worth having
        said = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else fault
        unread.append(f"{what}: {said}")
        return otherwise


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _number(path: str) -> "int | None":
    said = _text(path).strip()
    return int(said) if said.isdigit() else None


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


def _cores() -> "list[list[int]]":
    lines = [line.split() for line in _text("/proc/stat").splitlines()]
    return [list(map(int, line[1:9])) for line in lines if re.match(r"cpu\d", line[0])]


def _shares(before: "list[list[int]]", after: "list[list[int]]") -> "Jsons":
    """Of each core: the shares of busy, softirq and stolen time."""
    found = []
    for old, new in zip(before, after):
        spent = [max(0, there - here) for here, there in zip(old, new)]
        whole = max(1, sum(spent))
        idle, steal = spent[3] + spent[4], spent[7]
        found.append(
            {
                "busy": (whole - idle - steal) / whole,
                "softirq": spent[6] / whole,
                "steal": steal / whole,
            }
        )
    return found


def _conntrack() -> "Json | None":
    count = _number("/proc/sys/net/netfilter/nf_conntrack_count")
    most = _number("/proc/sys/net/netfilter/nf_conntrack_max")
    return None if count is None or not most else {"count": count, "most": most, "dropped": 0}


def _conntrack_drops() -> int:
    """Connections that the table had no room for so far: dropped, or others thrown out for them."""
    lines = [line.split() for line in _text("/proc/net/stat/nf_conntrack").splitlines()]
    if not lines:
        return 0
    wanted = [lines[0].index(name) for name in ("drop", "early_drop") if name in lines[0]]
    return sum(int(line[at], 16) for line in lines[1:] for at in wanted if at < len(line))


def _files() -> "Jsons":
    found = []
    pid = _number("/run/docker.pid") or _number("/var/run/docker.pid")
    if pid:
        limit = re.search(r"^Max open files\s+(\d+)", _text(f"/proc/{pid}/limits"), re.MULTILINE)
        if limit:
            used = len(os.listdir(f"/proc/{pid}/fd"))
            found.append({"process": "dockerd", "used": used, "most": int(limit.group(1))})
    words = _text("/proc/sys/fs/file-nr").split()
    if len(words) == 3:
        found.append({"process": "all processes", "used": int(words[0]), "most": int(words[2])})
    return found


def _checksums() -> "dict[str, Json]":
    """Segments and datagrams that arrived with a wrong checksum, by network namespace."""
    found: dict[str, Json] = {}
    own = os.readlink("/proc/self/ns/net")
    seen: set[str] = set()
    processes = ["self"] + [path.split("/")[2] for path in glob.glob("/proc/[0-9]*/ns/net")]
    for process in processes:
        try:
            space = os.readlink(f"/proc/{process}/ns/net")
        except OSError:
            continue
        if space in seen or len(seen) >= 64:
            continue
        seen.add(space)
        counted = _protocols(_text(f"/proc/{process}/net/snmp"))
        where = "host" if space == own else f"container (pid {process})"
        for name, whole in (("Tcp", "InSegs"), ("Udp", "InDatagrams")):
            if name + ".InCsumErrors" in counted:
                key = f"{where}, {name.upper()}"
                found[key] = {
                    "wrong": counted[name + ".InCsumErrors"],
                    "received": counted.get(name + "." + whole, 0),
                }
    return found


def _protocols(text: str) -> "dict[str, int]":
    found = {}
    lines = [line.split() for line in text.splitlines()]
    for above, below in zip(lines[::2], lines[1::2]):
        for name, number in zip(above[1:], below[1:]):
            found[above[0].rstrip(":") + "." + name] = int(number)
    return found


def _networks() -> "Jsons":
    """The engine's networks with their subnets, as its API lists them."""
    talk = http.client.HTTPConnection("docker")
    talk.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    talk.sock.settimeout(5)
    talk.sock.connect(DOCKER)
    talk.request("GET", "/networks")
    listed = json.loads(talk.getresponse().read().decode())
    talk.close()
    found = []
    for one in listed:
        options = one.get("Options") or {}
        subnets = [it.get("Subnet", "") for it in (one.get("IPAM") or {}).get("Config") or []]
        size = options.get("com.docker.network.driver.mtu", "")
        found.append(
            {
                "name": one["Name"],
                "driver": one["Driver"],
                "subnets": [subnet for subnet in subnets if subnet],
                "interface": options.get("com.docker.network.bridge.name", "br-" + one["Id"][:12]),
                "mtu": int(size) if size.isdigit() else None,
            }
        )
    return found


def _balancers() -> "Jsons":
    """The namespaces in which IPVS shares out services, and after how long it forgets a silent
    connection."""
    found = []
    for path in sorted(glob.glob(SANDBOXES + "/lb_*") + glob.glob(SANDBOXES + "/ingress_sbox")):
        parent, child = os.pipe()
        if os.fork() == 0:
            told = {}
            with contextlib.suppress(Exception):
                told = _inside(path)
            os.write(child, json.dumps(told).encode())
            os._exit(0)
        os.close(child)
        with os.fdopen(parent) as answer:
            told = json.loads(answer.read() or "{}")
        os.wait()
        if told:
            found.append(dict(told, namespace=os.path.basename(path)))
    return found


def _inside(path: str) -> "Json":
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path) as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            return {}
    table = _run("cat", "/proc/net/ip_vs")
    services = len(re.findall(r"^(?:TCP|UDP|FWM)\s", table, re.MULTILINE))
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    tcp, _, udp = struct.unpack("iii", raw.getsockopt(socket.IPPROTO_IP, IP_VS_SO_GET_TIMEOUT, 12))
    return {"services": services, "tcp": tcp, "udp": udp}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look(json.loads(sys.argv[2]))) + "\n")
