"""Process 1 of a lab host: furnishes its namespaces, starts its services, reaps what they leave.

Run by file name in a bare interpreter, inside namespaces that ``unshare`` has just made; so it
imports the standard library only, and all of it before the machine's folders disappear from view.

    init.py SPEC netbench-lab LAB HOST

It says ``ready`` on stdout when the namespaces are furnished and waits for a line on stdin before
it starts any service. If the one who started it is gone by then, it goes too. When it dies, the
kernel ends everything in the host.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

RUN = Path("/run")


def main() -> None:
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
    os.umask(0o022)
    os.chdir("/")
    socket.sethostname(spec["hostname"])
    if spec["furnished"]:
        leave_run()
        if spec["tree"]:
            settle(Path(spec["tree"]), Path(spec["furnished"]))
        furnish(Path(spec["furnished"]))
    for path, (mode, text) in spec["files"].items():
        put(Path(path), mode, text)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        sys.exit("nobody is there to start this host: ending")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    # The objects are kept: a Popen that is let go collects its process, and its end goes unseen.
    started = {name: start(argv, spec, name) for name, argv in spec["services"].items()}
    services = {service.pid: name for name, service in started.items()}
    # A terminal's interrupt or a stray hangup is not meant for a host.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            signal.pause()
            continue
        if pid in services:
            ended(spec, services.pop(pid), os.waitstatus_to_exitcode(status))


def leave_run() -> None:
    """Let go of the machine's mounts below /run: as copies they would be kept busy here after the
    machine let go of them."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point.startswith("/run/"):
            run("umount", "--lazy", point, check=False)


def settle(tree: Path, folder: Path) -> None:
    """Make ``tree``, with a layer of the host's own above it, the root of all there is.

    From here on the interpreter's own files are out of sight.
    """
    # Held as long as this process lives: who tidies the cache sees that the tree is in use.
    fcntl.flock(os.open(tree, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)
    root = folder / "rootfs"
    root.mkdir()
    layers = f"lowerdir={tree},upperdir={folder}/above,workdir={folder}/above.work"
    run("mount", "-t", "overlay", "-o", layers, "overlay", str(root))
    for path in ("/proc", "/sys", "/dev"):
        run("mount", "--rbind", path, f"{root}{path}")
    # Docker's data, logs and what more is the host's own stay where the machine has them.
    kept = root / folder.relative_to("/")
    kept.mkdir(parents=True)
    run("mount", "--bind", str(folder), str(kept))
    run("pivot_root", str(root), f"{root}/mnt")
    os.chdir("/")
    run("umount", "--lazy", "/mnt")


def furnish(folder: Path) -> None:
    """Give the host a /run, /sys, /etc, /root, /tmp of its own and shield the machine's sysctls."""
    run("mount", "-t", "tmpfs", "-o", "mode=755,nosuid,nodev", "tmpfs", "/run")
    for name in ("lock", "sshd", "cgroup"):
        (RUN / name).mkdir()
    # A fresh sysfs shows this network namespace's devices, but not the cgroups mounted in the
    # machine's: those are carried over. AppArmor's securityfs is not, so this engine leaves the
    # machine's profiles alone.
    run("mount", "--rbind", "/sys/fs/cgroup", "/run/cgroup")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("mount", "--move", "/run/cgroup", "/sys/fs/cgroup")
    (RUN / "cgroup").rmdir()
    layers = f"lowerdir=/etc,upperdir={folder}/etc,workdir={folder}/etc.work"
    run("mount", "-t", "overlay", "-o", layers, "overlay", "/etc")
    shutil.rmtree("/etc/docker", ignore_errors=True)
    run("mount", "--bind", f"{folder}/tmp", "/tmp")  # noqa: S108 - the mount point
    run("mount", "--bind", f"{folder}/root", "/root")
    # dockerd raises kernel.keys.root_maxkeys where it can. Only what belongs to the network
    # namespace may be written from here.
    run("mount", "--bind", "/proc/sys", "/proc/sys")
    run("mount", "--bind", "/proc/sys/net", "/proc/sys/net")
    run("mount", "-o", "remount,bind,ro", "/proc/sys")


def put(path: Path, mode: int, text: str) -> None:
    """Write one file of the host, in the place of whatever (a symlink, say) is there."""
    if path.parts[:2] == ("/", "proc"):
        # A switch of this network namespace; without the module behind it there is none.
        if path.exists():
            path.write_text(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def start(argv: list[str], spec: dict[str, Any], name: str) -> subprocess.Popen[bytes]:
    with Path(spec["log"], f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=spec["environment"],
            start_new_session=True,
        )


def ended(spec: dict[str, Any], name: str, status: int) -> None:
    """Say in the service's own log, and by a file, that it has ended."""
    how = f"status {status}" if status >= 0 else f"signal {-status}"
    with Path(spec["log"], f"{name}.log").open("a") as log:
        log.write(f"{name} ended with {how}\n")
    Path(spec["log"], f"{name}.ended").write_text(how)


def run(*argv: str, check: bool = True) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")


if __name__ == "__main__":
    main()
