"""From bare machines to a result and back: the playbooks, netbench, and nothing left of either.

The tests stand in the order of the work, each on what the one before it left. What every step
printed, how long it took, and the results are kept in ``NETBENCH_VM_KEPT`` (``make test-vm`` sets
it).
"""

import difflib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.model import RunInfo
from bench.store import load
from tests.lab.conftest import Ended
from tests.vm.conftest import Machines, bring_up, take_down

pytestmark = pytest.mark.vm

ROOT = Path(__file__).parents[2]
NAME = "vmbare"
LONG = 1800.0
DRIVERS = {"host", "bridge", "overlay", "macvlan"}
QUICK = (
    "--workloads",
    "iperf3-tcp,http-echo",
    "--blocks",
    "1",
    "--duration",
    "1",
    "--warmup",
    "0",
    "--seed",
    "5",
)

# All that the playbooks could have touched, as text. Packages' own caches and logs are not looked
# at, nor sysctls that count or come from a random source.
LOOK = r"""
part() { echo "== $1"; }
part packages; dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package} ${Version}\n'
part users; cat /etc/passwd /etc/group
part units; systemctl list-unit-files --no-legend --no-pager | sort
part links; ip -br link | awk '{print $1}'
for command in iptables ip6tables; do
    part "$command"; $command-save | sed -n 's/ \[[0-9:]*\]$//; /^[-:*]/p'
done
part modules; cat /etc/modules /etc/modules-load.d/* 2>/dev/null
part loaded; awk '{print $1}' /proc/modules | sort
part sysctls; sysctl -a 2>/dev/null | grep -v _count |
    grep -v -E '^(fs[.](dentry|inode|file|quota|aio)|kernel[.](random|ns_last_pid|pty|sched)|vm[.])'
part offloads; cat /proc/irq/*/smp_affinity_list
part files; find /etc /home /opt /root /srv /usr/local /var/lib /var/spool -xdev -not -type d \
    -not -path '/etc/*-' -not -path /etc/mtab -not -path '/root/.ansible/*' \
    -not -path '/var/lib/apt/*' \
    -not -path '/var/lib/dpkg/*' -not -path '/var/lib/systemd/*' -not -path '/var/lib/wtmpdb/*' \
    -print0 | sort -z | xargs -0 sha256sum 2>/dev/null
part folders; find /etc /home /opt /run /srv /usr/local /var/lib -xdev -type d \
    -not -path '/var/lib/apt/*' -not -path '/var/lib/dpkg/*' -not -path '/run/systemd/*' \
    -not -path '/run/user/*' -not -path '/run/udev/*' | sort
"""
# What stays, and docs/ansible.md says so: modules, those that the engine, iptables or ss asked for
# too, with the sysctls and empty tables that come with them.
STAYS = re.compile(
    r"[*](filter|nat|mangle|raw)|:(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ACCEPT"
    r"|(nf|nft|xt|ip|ip6|ipt|x|ip6t|iptable|ip6table|br|inet|tcp|udp|xfrm)_[A-Za-z0-9_]+"
    r"|bridge|veth|vxlan|macvlan|ipvlan|overlay|esp4|ip6_udp_tunnel|libcrc32c|stp|llc"
    r"|net[.](netfilter|bridge|ipv4[.]vs|nf_conntrack)[._].*"
)


@dataclass
class Site:
    """The bare machines, and where what was done with them is kept."""

    machines: Machines
    kept: Path
    before: dict[str, str] = field(default_factory=dict)
    steps: int = 0

    def keep(self, name: str, text: str) -> None:
        self.steps += 1
        (self.kept / f"{self.steps:02}-{name}.log").write_text(text)

    def timed(self, name: str, began: float, text: str) -> None:
        seconds = time.monotonic() - began
        self.keep(name, f"{text}\n{name}: {seconds:.0f} s\n")
        with (self.kept / "seconds.tsv").open("a") as table:
            table.write(f"{name}\t{seconds:.0f}\n")

    def look(self, name: str) -> dict[str, str]:
        found = {host: self.machines.on(host, LOOK) for host in self.machines.hosts}
        for host, text in found.items():
            self.keep(f"{name}-{host}", text)
        return found

    def play(self, name: str, book: str, *words: str) -> tuple[int, str]:
        """Run a playbook; how much it changed on all machines together, and what it said."""
        program = shutil.which("ansible-playbook", path=_path())
        assert program is not None, "ansible-core is not installed: `make dev` does that"
        began = time.monotonic()
        done = subprocess.run(
            [program, "-i", self.machines.inventory, ROOT / "ansible" / book, *words],
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": _path(), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        )
        self.timed(name, began, done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr
        changed = re.findall(r"ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", done.stdout)
        assert len(changed) == len(self.machines.hosts), done.stdout[-2000:]
        return sum(map(int, changed)), done.stdout


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two machines without Docker."""
    folder = tmp_path_factory.mktemp("bare")
    kept = Path(os.environ.get("NETBENCH_VM_KEPT") or folder / "kept")
    kept.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    found = Site(bring_up(folder, NAME, "--bare", "--hosts", "2"), kept)
    found.timed("lab-up", began, found.machines.inventory.read_text())
    yield found
    take_down(found.machines)


def measure(site: Site, netbench: Callable[..., Ended], name: str, *words: str) -> RunInfo:
    began = time.monotonic()
    out = site.kept / "runs"
    out.mkdir(exist_ok=True)
    inventory = site.machines.inventory
    done = netbench(
        *("run", "-i", inventory, "--out", out, "--name", name, *QUICK, *words), timeout=LONG
    )
    site.timed(f"run-{name}", began, done.out + done.err)
    assert done.code == 0, done.out + done.err
    run = load(out / name)
    assert {str(t.status) + t.reason for t in run.trials} == {"completed"}
    assert run.end is not None
    assert not run.end.outstanding
    info: RunInfo = run.info
    return info


def test_what_would_be_done_can_be_asked_for_and_is_not_done(site: Site) -> None:
    for host in site.machines.hosts:
        assert "none" in site.machines.on(host, "command -v dockerd || echo none")
    site.before = site.look("before")
    assert site.play("site-check", "site.yml", "--check")[0] > 0
    assert site.look("after-check") == site.before


def test_bare_machines_become_benchmark_hosts(site: Site) -> None:
    changed, said = site.play("site", "site.yml")
    assert changed > 0
    assert "WARNING: the clock" in said or "Say so if it is not" in said
    for host in site.machines.hosts:
        version = site.machines.on(host, "docker version -f '{{.Server.Version}}'")
        site.keep(f"engine-{host}", version)


def test_a_second_time_changes_nothing(site: Site) -> None:
    assert site.play("site-again", "site.yml")[0] == 0


def test_the_ports_are_shut_to_strangers_and_ssh_is_not(site: Site) -> None:
    # This machine is on the machines' network, and in no inventory.
    for host in site.machines.hosts:
        address = site.machines.address(host)
        for port in (2377, 7946, 15201, 15301):
            with pytest.raises(TimeoutError):
                socket.create_connection((address, port), timeout=3)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, 15299), timeout=10)
        socket.create_connection((address, 22), timeout=10).close()


def test_it_lasts_over_a_restart(site: Site) -> None:
    began = time.monotonic()
    first = site.machines.hosts[0]
    site.machines.on(first, "systemctl reboot", check=False)
    time.sleep(5)
    site.machines.await_answer(first)
    site.timed(
        "restart", began, site.machines.on(first, "systemctl list-units --failed --no-pager")
    )
    assert site.play("site-after-restart", "site.yml")[0] == 0


def test_check_finds_nothing_to_complain_of(site: Site, netbench: Callable[..., Ended]) -> None:
    began = time.monotonic()
    done = netbench("check", "-i", site.machines.inventory, timeout=LONG)
    site.timed("check", began, done.out + done.err)
    assert done.code == 0, done.out + done.err


def test_all_drivers_are_measured(site: Site, netbench: Callable[..., Ended]) -> None:
    info = measure(site, netbench, "all")
    assert {cell.driver for cell in info.plan.cells} >= DRIVERS
    assert not info.shared_kernel
    assert {host.tuning for host in info.hosts} == {()}
    report = netbench("report", site.kept / "runs" / "all", timeout=LONG)
    site.keep("report", report.out + report.err)
    assert report.code == 0, report.err


def test_tuning_is_done_on_demand_stored_and_taken_back(
    site: Site, netbench: Callable[..., Ended]
) -> None:
    choice = json.dumps({"tuning_offloads": {"gro": "off"}, "tuning_irq_cpus": "0"})
    words = ("--tags", "tuning", "-e", choice)
    changed, said = site.play("tuning", "site.yml", *words)
    assert changed > 0
    # Emulated processors have one clock.
    assert "does not say at what clock its CPUs run" in said
    assert site.play("tuning-again", "site.yml", *words)[0] == 0
    info = measure(site, netbench, "tuned", "--drivers", "host", "--workloads", "iperf3-tcp")
    assert {host.tuning for host in info.hosts} == {("gro=off", "irq-cpus=0")}


def test_clean_has_nothing_left_to_say(site: Site, netbench: Callable[..., Ended]) -> None:
    began = time.monotonic()
    clean = netbench("clean", "-i", site.machines.inventory, timeout=LONG)
    site.timed("clean", began, clean.out + clean.err)
    assert (clean.code, clean.err) == (0, "")


def test_teardown_takes_all_of_it_back(site: Site) -> None:
    changed, _ = site.play("teardown", "teardown.yml")
    assert changed > 0
    after = site.look("after")
    for host, text in after.items():
        lines = difflib.unified_diff(
            site.before[host].splitlines(), text.splitlines(), lineterm="", n=0
        )
        differs = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
        site.keep(f"differs-{host}", "\n".join(differs) + "\n")
        # Only additions can be excused.
        wrong = [line for line in differs if line[0] == "-" or not STAYS.fullmatch(line[1:])]
        assert wrong == [], host


def test_a_second_teardown_changes_nothing(site: Site) -> None:
    assert site.play("teardown-again", "teardown.yml")[0] == 0
