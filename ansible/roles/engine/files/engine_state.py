#!/usr/bin/python3
"""engine_state.py remember|restore RECORD: what a Docker engine changes beside its packages.

``remember``, before one is installed, writes down in RECORD what there is. ``restore``, after it
was stopped, takes out what engines leave behind, and nothing else: what RECORD names was there
before, and what has not the very shape that Docker gives it is somebody else's. Says
``left: what and why`` for what it leaves because others may depend on it by now.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDERS = ("/var/lib/docker", "/var/lib/containerd", "/etc/docker", "/etc/containerd")
OWN_FOLDERS = ("/opt/containerd", "/run/docker", "/run/containerd")
# Made empty by containerd; what somebody has put there is no engine's.
EMPTY_FOLDERS = ("/etc/cni/net.d", "/etc/cni")
# Data in these would be taken over by a new engine, containers and all.
DATA = FOLDERS[:2]
# What the engine sets for the whole machine when it starts, and to what.
SETTINGS = {
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/ipv4/neigh/default/gc_thresh1": "8192",
    "net/ipv4/neigh/default/gc_thresh2": "49152",
    "net/ipv4/neigh/default/gc_thresh3": "65536",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
FORWARDING = "net/ipv4/ip_forward"
SYSCTL_FILES = ("sysctl.conf", "sysctl.d/*.conf", "ufw/sysctl.conf")
COMMANDS = ("iptables", "ip6tables")

_BRIDGE = r"(docker0|docker_gwbridge|br-[0-9a-f]{12})"
_CHAIN = re.compile(r"DOCKER(-(USER|ISOLATION-STAGE-[12]|INGRESS|FORWARD|BRIDGE|CT|INTERNAL))?")
_JUMPS_FROM = {"PREROUTING", "OUTPUT", "FORWARD"}
_RULE = re.compile(
    rf"-A FORWARD -o {_BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    rf"|-A FORWARD -i {_BRIDGE} (! )?-o {_BRIDGE} -j (ACCEPT|DROP)"
    rf"|-A POSTROUTING -s [0-9a-f.:/]+ ! -o {_BRIDGE} -j MASQUERADE"
    rf"|-A POSTROUTING -o {_BRIDGE} -m addrtype --src-type LOCAL -j MASQUERADE"
)

Rules = dict[str, list[str]]


def said(*argv: str) -> str:
    """What a command prints; nothing where it is not there or fails."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def tables(text: str) -> Rules:
    """The output of iptables-save: the lines of each table, without counters."""
    found: Rules = {}
    for line in text.splitlines():
        if line.startswith("*"):
            rows = found.setdefault(line[1:].strip(), [])
        elif line.startswith(":"):
            rows.append(" ".join(line.split()[:2]))
        elif line.startswith("-A"):
            rows.append(line.strip())
    return found


def _jump(rule: str) -> str:
    found = re.search(r" -[jg] (\S+)", rule)
    return found[1] if found else ""


def _removable(rows: list[str], before: list[str]) -> set[str]:
    """The engine's chains of a table, without those that others use by now."""
    chains = {row[1:].split()[0] for row in rows if row.startswith(":")}
    known = {row[1:].split()[0] for row in before if row.startswith(":")}
    ours = {chain for chain in chains - known if _CHAIN.fullmatch(chain)}
    rules = [row for row in rows if row.startswith("-A")]
    used = {_jump(rule) for rule in rules if rule.split()[1] not in ours | _JUMPS_FROM}
    # The chain in which Docker lets others put their rules.
    if any(rule.split()[1] == "DOCKER-USER" and _jump(rule) != "RETURN" for rule in rules):
        used.add("DOCKER-USER")
    return ours - used


def removal(now: Rules, before: Rules) -> str:
    """What takes the engine's chains and rules out, for ``iptables-restore --noflush``."""
    lines = []
    for table, rows in now.items():
        known = before.get(table, [])
        gone = _removable(rows, known)
        rules = [
            f"-D{row[2:]}"
            for row in rows
            if row.startswith("-A")
            and row not in known
            and row.split()[1] not in gone
            and (_RULE.fullmatch(row) or (_jump(row) in gone and row.split()[1] in _JUMPS_FROM))
        ]
        if rules or gone:
            lines += [f"*{table}", *rules]
            lines += [f"-F {chain}" for chain in sorted(gone)]
            lines += [f"-X {chain}" for chain in sorted(gone)]
            lines += ["COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def saved(command: str) -> Rules:
    return tables(said(f"{command}-save"))


def bridges() -> list[str]:
    return sorted(path.parent.name for path in Path("/sys/class/net").glob("*/bridge"))


def setting(name: str) -> str | None:
    path = Path("/proc/sys", name)
    return path.read_text().strip() if path.exists() else None


def remember(record: Path) -> str:
    """Write RECORD; the reason why no engine should be installed here, or nothing."""
    for folder in DATA:
        inside = Path(folder)
        if inside.is_dir() and {path.name for path in inside.iterdir()} - {"lost+found"}:
            return f"there is no engine, but data of one in {folder}: move it away, or install one"
    conf = Path("/proc/sys/net/ipv4/conf")
    found = {
        "rules": {command: saved(command) for command in COMMANDS},
        "bridges": bridges(),
        "settings": {name: setting(name) for name in (*SETTINGS, FORWARDING)},
        "forwarding": [p.name for p in conf.iterdir() if (p / "forwarding").read_text() == "1\n"],
        "folders": [
            folder for folder in (*FOLDERS, *OWN_FOLDERS, *EMPTY_FOLDERS) if Path(folder).exists()
        ],
        "group": bool(said("getent", "group", "docker")),
    }
    record.write_text(json.dumps(found, indent=1) + "\n")
    return ""


def take_out_bridges(before: list[str]) -> None:
    for name in bridges():
        if name in before or not re.fullmatch(_BRIDGE, name):
            continue
        if any(Path("/sys/class/net", name, "brif").iterdir()):
            sys.stdout.write(f"left: the bridge {name}, as something is on it\n")
        else:
            subprocess.run(["ip", "link", "delete", name], check=True)


def take_out_rules(before: dict[str, Rules], *, forwarded: bool) -> bool:
    """Whether nobody else filters what this machine forwards by now.

    Docker changes the policy of FORWARD only on a machine that did not forward before.
    """
    alone = True
    for command in COMMANDS:
        known = before[command]
        if words := removal(saved(command), known):
            argv = [f"{command}-restore", "-w", "--noflush"]
            subprocess.run(argv, input=words, text=True, check=True)
        filters = known.get("filter", [])
        rows = set(saved(command).get("filter", [])) - set(filters)
        others = any(row.startswith("-A FORWARD ") for row in rows)
        alone = alone and not others
        if ":FORWARD DROP" not in rows:
            continue
        if others or forwarded or command != "iptables":
            sys.stdout.write(
                f"left: the policy DROP of FORWARD in {command}: it may be of others by now\n"
            )
        else:
            subprocess.run([command, "-w", "-P", "FORWARD", "ACCEPT"], check=True)
    return alone


def wanted_by_others() -> bool:
    """Does a file say that this machine is to forward?"""
    line = re.compile(r"^\s*net[./]ipv4[./]ip_forward\s*=\s*1", re.MULTILINE)
    places = [Path(p) for p in ("/etc", "/run", "/usr/local/lib", "/usr/lib")]
    files = [file for place in places for each in SYSCTL_FILES for file in place.glob(each)]
    return any(line.search(file.read_text(errors="replace")) for file in files if file.is_file())


def set_back(before: dict[str, str | None], interfaces: list[str], *, alone: bool) -> None:
    for name, engines in SETTINGS.items():
        old = before.get(name)
        if old is not None and setting(name) == engines:
            Path("/proc/sys", name).write_text(old)
    if before[FORWARDING] == "1" or setting(FORWARDING) == "0":
        return
    if not alone or wanted_by_others():
        sys.stdout.write("left: net.ipv4.ip_forward is 1, as others need it by now\n")
        return
    # This sets all interfaces back, also those that were to forward before.
    Path("/proc/sys", FORWARDING).write_text("0")
    for name in interfaces:
        path = Path("/proc/sys/net/ipv4/conf", name, "forwarding")
        if path.exists():
            path.write_text("1")


def mounted_in(folder: str) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    plain = [re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), point) for point in points]
    return sorted((point for point in plain if point.startswith(f"{folder}/")), reverse=True)


def clear(folder: str, *, keep: bool) -> None:
    """Remove a folder, or with ``keep`` what is in it."""
    # A volume may be somebody's folder, mounted: never delete through it.
    for point in mounted_in(folder):
        subprocess.run(["umount", point], check=False)
    if still := mounted_in(folder):
        sys.exit(f"{still[0]} is still mounted: unmount it and try again")
    path = Path(folder)
    # Somebody's disk may be mounted there by now.
    keep = keep or path.is_mount()
    if path.is_symlink() and not keep:
        path.unlink()
        return
    for inside in path.iterdir() if path.is_dir() else ():
        if inside.name == "lost+found":
            continue
        if inside.is_dir() and not inside.is_symlink():
            shutil.rmtree(inside)
        else:
            inside.unlink()
    if path.is_dir() and not keep:
        path.rmdir()


def restore(record: Path) -> None:
    found = json.loads(record.read_text())
    take_out_bridges(found["bridges"])
    forwarded = found["settings"][FORWARDING] == "1"
    alone = take_out_rules(found["rules"], forwarded=forwarded)
    set_back(found["settings"], found["forwarding"], alone=alone)
    for folder in FOLDERS + OWN_FOLDERS:
        there = folder in found["folders"]
        # Data folders were empty; settings that were there before stay.
        if not there or folder in DATA:
            clear(folder, keep=there)
    for folder in EMPTY_FOLDERS:
        path = Path(folder)
        if folder not in found["folders"] and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    if not found["group"] and said("getent", "group", "docker"):
        subprocess.run(["groupdel", "docker"], check=True)
    record.unlink()


if __name__ == "__main__":
    task, where = sys.argv[1:]
    if task == "remember":
        sys.exit(remember(Path(where)) or 0)
    restore(Path(where))
