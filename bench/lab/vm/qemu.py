"""QEMU's command line, and whether this machine's KVM really boots a kernel."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

from bench.building import cache_folder
from bench.lab import wire
from bench.lab.layout import Lab
from bench.lab.preflight import find
from bench.lab.vm.image import Image
from bench.lab.vm.initramfs import TRIAL, TRIAL_ANSWER

PROGRAM = "qemu-system-x86_64"
MACHINE = "pc"
CPUS = 2
# Debian's kernel 6.12 does not come up with all that QEMU 7.2 can emulate (`max`).
CPU = {"kvm": "host", "tcg": "Westmere,cx16=off"}
# What it keeps of translated code would take a GiB of its own for each machine.
ACCEL = {"kvm": "kvm", "tcg": "tcg,tb-size=256"}
# Names of interfaces as everywhere in a lab, and a console without colours and moving lines.
# Debian 12's Docker looks for AppArmor's tools if the kernel has it on.
KERNEL_LINE = "console=ttyS0 root=/dev/vda rw net.ifnames=0 apparmor=0 panic=-1 TERM=dumb"
TRIAL_TIMEOUT = 15.0


def command(lab: Lab, host: str, image: Image) -> list[str]:
    """The command that runs a host's machine, in the switch's network namespace."""
    assert lab.machines is not None
    folder, number = lab.folder(host), list(lab.hosts).index(host) + 1
    return [
        find(PROGRAM),
        *("-name", host, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", MACHINE, "-accel", ACCEL[lab.machines.accelerator]),
        *("-cpu", CPU[lab.machines.accelerator], "-smp", f"{CPUS}"),
        *("-m", f"{lab.machines.memory}M"),
        *("-kernel", f"{image.kernel}", "-initrd", f"{image.initramfs}"),
        *("-append", KERNEL_LINE),
        # snapshot: what the machine writes goes to a file without a name that ends with QEMU.
        *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe"),
        *("-drive", f"file={folder}/seed.tar,format=raw,if=virtio,readonly=on"),
        *("-netdev", f"tap,id=net,ifname={wire.port(number)},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,id=nic,netdev=net,mac={mac(lab, number)},romfile="),
        *("-device", "virtio-rng-pci"),
        *("-serial", f"file:{lab.log(host, 'console')}"),
        *("-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
    ]


def mac(lab: Lab, number: int) -> str:
    """A locally administered address; no two labs of one machine have the same."""
    return f"52:54:12:{lab.subnet:02x}:00:{number:02x}"


def accelerator(image: Image) -> str:
    """``kvm`` if a kernel really starts under it on this machine, else ``tcg``.

    There are machines where /dev/kvm is there and guests hang: it is tried, once for each start of
    this machine, for up to ``TRIAL_TIMEOUT`` seconds.
    """
    if platform.machine() != "x86_64" or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = cache_folder() / "kvm.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(record.read_text())
        if known["boot"] == boot:
            return "kvm" if known["works"] else "tcg"
    works = _boots(image)
    with suppress(OSError):
        record.write_text(json.dumps({"boot": boot, "works": works}) + "\n")
    return "kvm" if works else "tcg"


def _boots(image: Image) -> bool:
    argv = [
        # However this program ends, the trial ends with it.
        *(find("setpriv"), "--pdeathsig", "KILL", "--"),
        *(find(PROGRAM), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", MACHINE, "-accel", "kvm", "-cpu", CPU["kvm"], "-m", "256M"),
        *("-kernel", f"{image.kernel}", "-initrd", f"{image.initramfs}"),
        *("-append", f"console=ttyS0 panic=-1 {TRIAL}", "-serial", "stdio"),
    ]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as trial:
        try:
            said, _ = trial.communicate(timeout=TRIAL_TIMEOUT)
        except subprocess.TimeoutExpired:
            trial.kill()
            return False
        except BaseException:
            trial.kill()
            raise
    return TRIAL_ANSWER.encode() in said
