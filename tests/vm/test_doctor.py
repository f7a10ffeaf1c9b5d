"""`netbench doctor` on whole machines: healthy ones, and what a network namespace cannot break."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.lab.conftest import Ended
from tests.vm.conftest import Machines

pytestmark = pytest.mark.vm

LONG = 900.0
# Entries of the table of tracked connections that stay for as long as the doctor looks, seven in
# eight of those that there may be: with no room at all the doctor itself does not get in.
FILL = """
modprobe nf_conntrack; sysctl -wq net.netfilter.nf_conntrack_udp_timeout=300
python3 - <<END
import socket
count = int(open("/proc/sys/net/netfilter/nf_conntrack_count").read())
for port in range(20000, min(65000, 20000 + max(1400, 7 * count))):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("{}", port))
END
sysctl -n net.netfilter.nf_conntrack_max >/run/netbench-most
sysctl -wq net.netfilter.nf_conntrack_max=$(($(sysctl -n net.netfilter.nf_conntrack_count) * 8 / 7))
"""
EMPTY = """
sysctl -wq net.netfilter.nf_conntrack_max=$(cat /run/netbench-most)
sysctl -wq net.netfilter.nf_conntrack_udp_timeout=30
"""
# So few file handles that those in use are nine in ten of them; root may open more.
FEW_FILES = """
cat /proc/sys/fs/file-max >/run/netbench-files
read used rest </proc/sys/fs/file-nr; sysctl -wq fs.file-max=$((used * 10 / 9))
"""
# ETHTOOL_STSO of linux/ethtool.h, as these machines have no ethtool.
SEGMENTATION = """
python3 - <<END
import array, fcntl, socket, struct
value = array.array("I", (0x1F, {}))
words = struct.pack("16sP", b"eth0", value.buffer_info()[0])
fcntl.ioctl(socket.socket(), 0x8946, words)
END
"""
MORE_FILES = "sysctl -wq fs.file-max=$(cat /run/netbench-files)"


@contextmanager
def broken(vms: Machines, host: str, breaks: str, mends: str) -> Iterator[None]:
    vms.on(host, breaks)
    try:
        yield
    finally:
        vms.on(host, mends)


def findings(vms: Machines, netbench: Callable[..., Ended]) -> list[dict[str, str]]:
    """What is found, but of the processors: they are emulated, and may well be full."""
    done = netbench("doctor", "-i", vms.inventory, "--json", timeout=LONG)
    assert done.code in (0, 1), done.err
    told = json.loads(done.out)
    unread = {host: look["unread"] for host, look in told["seen"]["hosts"].items()}
    assert unread == {host: [] for host in vms.hosts}
    return [one for one in told["findings"] if one["rule"] != "cpu"]


def test_nothing_is_found_of_healthy_machines(
    vms: Machines, netbench: Callable[..., Ended]
) -> None:
    assert findings(vms, netbench) == []


def test_what_is_broken_in_kernels_and_engines_is_found_and_nothing_else(
    vms: Machines, netbench: Callable[..., Ended]
) -> None:
    first, second = vms.hosts
    here = ".".join(vms.address(first).split(".")[:2])
    wide = f"docker network create --subnet {here}.0.0/16 --gateway {here}.255.250 wide"
    with ExitStack() as all_of_it:
        for host, breaks, mends in (
            (first, FILL.format(vms.address(second)), EMPTY),
            (first, SEGMENTATION.format(0), SEGMENTATION.format(1)),
            (second, FEW_FILES, MORE_FILES),
            (second, wide, "docker network rm wide"),
        ):
            all_of_it.enter_context(broken(vms, host, breaks, mends))
        found = findings(vms, netbench)
    said: dict[tuple[str, str], str] = {}
    for one in found:
        if one["rule"] == "link":  # Emulated machines may take long to answer each other.
            continue
        at = one["rule"], one["where"]
        said[at] = f"{said.get(at, '')} {one['what']}: {one['evidence']}"
    assert set(said) == {
        *(("limits", first), ("offloads", first), ("limits", second), ("subnets", second))
    }
    assert "entries are taken" in said["limits", first]
    assert "all processes may soon open no more files" in said["limits", second]
    assert "TCP segmentation offload is off" in said["offloads", first]
    assert f"({here}.0.0/16) overlaps the data network" in said["subnets", second]


def test_a_balancer_that_forgets_before_tcp_asks_is_found(
    vms: Machines, image: str, netbench: Callable[..., Ended]
) -> None:
    manager, other = vms.hosts
    vms.on(manager, f"docker swarm init --advertise-addr {vms.address(manager)}")
    try:
        token = vms.on(manager, "docker swarm join-token -q worker").strip()
        vms.on(other, f"docker swarm join --token {token} {vms.address(manager)}:2377")
        vms.on(manager, "docker network create -d overlay web")
        vms.on(
            manager,
            "docker service create -q --no-resolve-image --name web --network web --replicas 2"
            f" {image} netbench-answer 8080",
            timeout=400,
        )
        found = findings(vms, netbench)
    finally:
        vms.on(manager, "docker service rm web; sleep 10; docker network rm web", check=False)
        for host in (other, manager):
            vms.on(host, "docker swarm leave --force", check=False)
    # Emulated machines that have just begun a service may take long to answer each other, as well.
    told = [one for one in found if one["rule"] != "link"]
    assert [(one["rule"], one["where"]) for one in told] == [("ipvs", host) for host in vms.hosts]
    assert all("IPVS forgets after 900 s of silence" in one["evidence"] for one in told)


def test_a_link_that_loses_and_delays_is_found(
    vms: Machines, netbench: Callable[..., Ended]
) -> None:
    words = ("lab", "link", "--name", vms.lab.name)
    set_up = netbench(*words, "--delay", "30ms", "--loss", "20%")
    assert set_up.code == 0, set_up.err
    try:
        found = findings(vms, netbench)
    finally:
        assert netbench(*words, "--off").code == 0
    told = " ".join(one["what"] for one in found if one["rule"] == "link")
    assert "packets get lost" in told
    assert "far from each other" in told
    # What one packet in five keeps from a port may be called blocked, but never for sure.
    others = [one for one in found if one["rule"] != "link"]
    assert {(one["rule"], one["sure"]) for one in others} <= {("ports", "possible")}
