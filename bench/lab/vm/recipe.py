"""What is in a machine's disk image: Debian's packages, and settings that every machine shares.

Nothing in it belongs to one machine or is secret: name, keys and addresses come from the seed disk.
What decides what an image is like is what its digest covers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench import building
from bench.lab import debian

KERNEL = "linux-image-cloud-amd64"
DISK_BYTES = 6 << 30

_BASE = (KERNEL, *debian.BASE, "busybox-static", "dbus", "systemd-sysv", "udev")
_BARE = ("python3-apt", "sudo")

# What a bare machine may be made into: fetched once, and served on the lab's own network. A name
# that a suite does not have is left out.
OFFERED = (
    "apparmor",
    "ca-certificates",
    "chrony",
    "conntrack",
    "docker.io",
    "docker-cli",
    "ethtool",
    "ipset",
    "ipvsadm",
    "irqbalance",
    "linux-cpupower",
    "nftables",
    "python3-docker",
    "systemd-timesyncd",
    "ufw",
)

# Of these and what they need the small initial file system is made.
MODULES = ("virtio_pci", "virtio_blk", "ext4")

# Everything here is the same on all machines. Units that only cost time in a guest that has no
# screen and no way out are masked.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "sshd-keygen.service",
    "systemd-pstore.service",
)
FILES = {
    "etc/fstab": "/dev/vda / ext4 rw,noatime 0 0\n",
    "etc/ssh/sshd_config.d/netbench.conf": "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n",
    # A machine's journal goes with it; on a disk it would only cost time.
    "etc/systemd/journald.conf.d/netbench.conf": "[Journal]\nStorage=volatile\n",
    "etc/apt/apt.conf.d/90netbench": (
        'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n'
    ),
}

# In the image's own environment, where the archive of its suite is known: what a bare machine may
# want, and all that needs which the image has not. One name that the suite lacks stops no other.
FETCH = r"""
chroot "$1" apt-get -q clean
for name in $OFFERED; do
    chroot "$1" apt-get -q --simulate install "$name" >/dev/null 2>&1 || continue
    chroot "$1" apt-get -q -y --no-install-recommends --download-only install "$name"
done
mkdir -p "$PACKAGES"
cp "$1"/var/cache/apt/archives/*.deb "$PACKAGES"/
chroot "$1" apt-get -q clean
"""


@dataclass(frozen=True, slots=True)
class Flavour:
    """Which image: a Debian suite, with Docker or (``bare``) without."""

    suite: str
    bare: bool

    @property
    def stem(self) -> str:
        """The beginning of the image's file names; :func:`digest` makes the rest."""
        return f"vm-{self.suite}-{'bare' if self.bare else 'docker'}"


def packages(flavour: Flavour) -> tuple[str, ...]:
    """The packages that the image has installed, but for what they depend on."""
    return (*_BASE, *(_BARE if flavour.bare else debian.DOCKER[flavour.suite]))


def digest(flavour: Flavour) -> str:
    """The recipe's digest (hexadecimal): of the code that makes the image, and the flavour."""
    total = hashlib.sha256(flavour.stem.encode())
    for name in ("recipe.py", "image.py", "initramfs.py", "packages.py"):
        total.update(Path(__file__).with_name(name).read_bytes())
    for code in (debian.__file__, building.__file__):
        total.update(Path(code).read_bytes())
    return total.hexdigest()[:16]
