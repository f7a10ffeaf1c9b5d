"""SSH and the Docker engine behind it, on real sshds and real engines."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bench import cleanup, ingress
from bench.drivers.base import NetworkSpec
from bench.errors import EngineError, HostKeyError, HostUnreachable, RemoteTimeout
from bench.inventory import load_inventory
from bench.model import Host
from bench.remote.api import Machine, Mount, ServiceSpec, Task
from bench.remote.fleet import Fleet, connect
from bench.remote.machine import RemoteMachine
from bench.swarm import GATEWAY, form
from bench.toolbox.build import ensure_archive

pytestmark = pytest.mark.lab

LABEL = "netbench.test=remote"
LABELS = {"netbench.test": "remote"}


@pytest.fixture(scope="module")
def lab(lab_inventory: Path) -> Iterator[Fleet]:
    with connect(load_inventory(lab_inventory).hosts) as fleet:
        assert fleet.unreachable == {}
        yield fleet


@pytest.fixture(scope="module")
def machine(lab: Fleet) -> Machine:
    return lab[next(iter(lab))]


@pytest.fixture(scope="module")
def image(lab: Fleet) -> str:
    """The toolbox image, on every host."""
    archive = ensure_archive()

    def send(machine: Machine) -> None:
        if machine.engine.image_labels(archive.image_id) is None:
            with archive.open() as file:
                machine.engine.load_image(file)

    lab.each(send)
    return archive.image_id


@pytest.fixture(scope="module")
def container(machine: Machine, image: str) -> Iterator[str]:
    """A container that idles on the first host."""
    argv = ["docker", "run", "--detach", "--init", "--network", "none", image, "sleep", "infinity"]
    started = machine.shell.run(argv, timeout=30)
    assert started.exit_code == 0, started.stderr
    name = started.stdout.decode().strip()
    yield name
    machine.shell.run(["docker", "rm", "--force", name], timeout=30)


def processes(machine: Machine, words: str) -> int:
    """How many processes of the host have these words in their command line."""
    listed = machine.shell.run(["ps", "-eo", "args"]).stdout.decode().splitlines()
    return sum(words in line for line in listed)


# --- connecting


def refused(host: Host) -> HostUnreachable:
    with pytest.raises(HostUnreachable) as caught:
        RemoteMachine(host)
    assert str(caught.value).startswith(f"{host.name}: ")
    assert caught.value.hint
    return caught.value


def test_an_unknown_key_is_refused_until_the_hint_is_followed(
    machine: Machine, tmp_path: Path
) -> None:
    host = replace(machine.host, known_hosts_file=tmp_path / "known_hosts")
    fault = refused(host)
    assert isinstance(fault, HostKeyError)
    assert "unknown" in fault.what
    command = fault.hint.partition("run: ")[2]
    subprocess.run(command, shell=True, check=True, capture_output=True)  # noqa: S602 - as users do
    RemoteMachine(host).close()


def test_a_changed_key_is_refused_until_the_hint_is_followed(lab: Fleet, tmp_path: Path) -> None:
    first, second, *_ = (machine.host for machine in lab.machines.values())
    assert first.known_hosts_file is not None
    known = tmp_path / "known_hosts"
    lines = first.known_hosts_file.read_text().splitlines()
    key = next(line for line in lines if second.address in line).split()[1:]
    known.write_text(" ".join([first.address, *key]) + "\n")
    host = replace(first, known_hosts_file=known)
    fault = refused(host)
    assert isinstance(fault, HostKeyError)
    assert "has changed" in fault.what
    command = fault.hint.partition("run: ")[2]
    subprocess.run(command, shell=True, check=True, capture_output=True)  # noqa: S602 - as users do
    RemoteMachine(host).close()


def test_a_wrong_key_is_named(machine: Machine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong)], check=True)
    fault = refused(replace(machine.host, key_file=wrong))
    assert f"refused the keys {wrong}" in fault.what


def test_a_port_without_sshd(machine: Machine) -> None:
    assert "port 1 refused the connection" in refused(replace(machine.host, port=1)).what


def test_one_unreachable_host_does_not_hide_the_others(lab: Fleet) -> None:
    first, second, *_ = (machine.host for machine in lab.machines.values())
    with connect([replace(first, port=1), second]) as fleet:
        assert list(fleet.unreachable) == [first.name]
        answers = fleet.attempt(lambda machine: machine.engine.facts().version)
        assert isinstance(answers[first.name], HostUnreachable)
        assert isinstance(answers[second.name], str)


def test_through_a_jump_host(lab: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, target, *_ = (machine.host for machine in lab.machines.values())
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(
        f"Host gate\n HostName {gate.address}\n User {gate.user}\n IdentityFile {gate.key_file}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    machine = RemoteMachine(replace(target, proxy_jump="gate"))
    try:
        peer = machine.shell.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.split()[0]
        assert peer.decode() == gate.address
        assert machine.engine.facts().version
    finally:
        machine.close()


def test_one_login_serves_commands_and_engine(machine: Machine, container: str) -> None:
    before = processes(machine, "sshd: root@")
    other = RemoteMachine(machine.host)
    try:
        for _ in range(3):
            other.shell.run(["true"])
            other.engine.facts()
            other.engine.exec(container, ["true"], timeout=10)
        assert processes(machine, "sshd: root@") == before + 1
    finally:
        other.close()


# --- commands


def test_commands_arrive_as_they_are(machine: Machine) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "*", "", "-n", "x\ny"]
    done = machine.shell.run(["printf", "%s|", *words])
    assert (done.exit_code, done.stderr) == (0, b"")
    assert done.stdout.decode() == "|".join([*words, ""])


def test_exit_codes_streams_and_input(machine: Machine) -> None:
    done = machine.shell.run(["sh", "-c", "cat; echo err >&2; exit 7"], stdin=b"in\0put")
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"in\0put", b"err\n")
    assert machine.shell.run(["no-such-command"]).exit_code == 127
    assert machine.shell.run(["true"], stdin=bytes(4_000_000)).exit_code == 0
    # Without any, a command that reads finds its end at once.
    assert machine.shell.run(["wc", "-c"]).stdout == b"0\n"


def test_much_on_both_streams_at_once(machine: Machine) -> None:
    script = "head -c 12000000 /dev/zero >&2 & head -c 9000000 /dev/zero; wait"
    done = machine.shell.run(["sh", "-c", script], timeout=60)
    assert (len(done.stdout), len(done.stderr)) == (9_000_000, 12_000_000)


def test_a_command_past_its_deadline_is_ended(machine: Machine) -> None:
    begun = time.monotonic()
    with pytest.raises(RemoteTimeout, match=f"{machine.host.name}: `sleep`"):
        machine.shell.run(["sleep", "4711"], timeout=1)
    assert time.monotonic() - begun < 3
    time.sleep(2)
    assert processes(machine, "sleep 4711") == 0


def test_more_commands_at_a_time_than_sshd_has_sessions(machine: Machine) -> None:
    with ThreadPoolExecutor(24) as pool:
        done = pool.map(
            lambda number: (
                machine.shell.run(["sh", "-c", f"sleep 0.2; echo {number}"], timeout=60).stdout
            ),
            range(24),
        )
        assert [int(said) for said in done] == list(range(24))


# --- the engine


def test_facts(machine: Machine) -> None:
    facts = machine.engine.facts()
    kernel = machine.shell.run(["uname", "-r"]).stdout.decode().strip()
    assert facts.kernel == kernel
    assert facts.version
    assert facts.memory > 1 << 28
    assert facts.storage_driver == "overlay2"


def test_exec_keeps_the_streams_apart(machine: Machine, container: str) -> None:
    done = machine.engine.exec(
        container, ["sh", "-c", "echo out; echo err >&2; exit 5"], timeout=10
    )
    assert (done.exit_code, done.stdout, done.stderr) == (5, b"out\n", b"err\n")
    script = "head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2"
    done = machine.engine.exec(container, ["sh", "-c", script], timeout=60)
    assert (len(done.stdout), len(done.stderr)) == (5_000_000, 3_000_000)


def test_exec_ends_what_is_past_its_deadline_children_included(
    machine: Machine, container: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(RemoteTimeout, match="was ended"):
        machine.engine.exec(
            container, ["sh", "-c", "trap '' TERM; sleep 4712 & sleep 4712"], timeout=1
        )
    assert time.monotonic() - begun < 5
    left = machine.engine.exec(
        container, ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], timeout=10
    )
    assert b"infinity" in left.stdout
    assert b"4712 " not in left.stdout


def test_many_execs_at_once(machine: Machine, container: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        done = pool.map(
            lambda number: (
                machine.engine.exec(
                    container, ["sh", "-c", f"sleep 0.2; echo {number}"], timeout=60
                ).stdout
            ),
            range(24),
        )
        assert [int(said) for said in done] == list(range(24))


def test_an_engine_that_is_down(machine: Machine) -> None:
    other = RemoteMachine(machine.host)
    socket = "/var/run/docker.sock"
    machine.shell.run(["mv", socket, f"{socket}.away"])
    try:
        with pytest.raises(EngineError, match="the Docker engine is down") as caught:
            other.engine.facts()
        assert "systemctl start docker" in caught.value.hint
    finally:
        machine.shell.run(["mv", f"{socket}.away", socket])
        other.close()
    assert machine.engine.facts().version


def test_what_the_engine_refuses_is_told_with_its_host(machine: Machine) -> None:
    name = machine.host.name
    with pytest.raises(EngineError, match=f"{name}: .*No such container"):
        machine.engine.exec("no-such-container", ["true"], timeout=10)
    with pytest.raises(EngineError, match=f"{name}: pulling 198.18.255.254/x:1"):
        machine.engine.pull_image("198.18.255.254/x:1")
    with pytest.raises(EngineError, match=f"{name}: docker node ls: .*not a swarm manager"):
        machine.engine.nodes()


def test_labelled_things_are_found_and_removed(machine: Machine) -> None:
    machine.engine.create_marker("netbench-test", LABELS)
    machine.engine.create_network("netbench-test", NetworkSpec("bridge", "local"), LABELS)
    found = machine.engine.labelled(LABEL)
    assert sorted(thing.kind for thing in found) == ["network", "volume"]
    for thing in (*found, *found):
        machine.engine.remove(thing)
    assert machine.engine.labelled(LABEL) == ()


NETWORKS = {
    "macvlan": NetworkSpec("macvlan", "swarm", from_config=True),
    "bridge": NetworkSpec("bridge", "swarm"),
    "overlay": NetworkSpec("overlay", "swarm", subnet="10.77.7.0/24"),
}
SERVICES = ("host", *(f"netbench-{driver}" for driver in NETWORKS))


@pytest.fixture
def swarm(lab: Fleet) -> Iterator[tuple[Machine, Machine]]:
    """A swarm of the first two hosts, manager first; taken apart again, by label."""
    first, second = manager, worker = tuple(lab.machines.values())[:2]
    manager.engine.swarm_init(first.host.address, LABELS)
    try:
        token = manager.engine.worker_token()
        worker.engine.swarm_join(second.host.address, first.host.address, token)
        yield manager, worker
        remove_all(manager, "service")
    finally:
        for machine in (worker, manager):
            machine.engine.swarm_leave()
            # Leaving twice is no error.
            machine.engine.swarm_leave()
        for machine in (worker, manager):
            remove_all(machine, "container", "network")
            # An engine that is still busy with ingress would make the bridge anew.
            await_names(machine, lambda names: "ingress" not in names)
            # The swarm's own bridge stays behind; nobody else in the lab can have made it.
            machine.shell.run(["docker", "network", "rm", "docker_gwbridge"])


def await_names(machine: Machine, wanted: Callable[[frozenset[str]], bool]) -> None:
    """Wait until the names of a host's networks are as ``wanted``."""
    deadline = time.monotonic() + 100
    while not wanted(names := machine.engine.network_names()):
        assert time.monotonic() < deadline, names
        time.sleep(0.05)


def remove_all(machine: Machine, *kinds: str) -> None:
    deadline = time.monotonic() + 30
    while found := [one for one in machine.engine.labelled(LABEL) if one.kind in kinds]:
        assert time.monotonic() < deadline, found
        for thing in found:
            with contextlib.suppress(EngineError):
                machine.engine.remove(thing)
        time.sleep(0.1)


def create_networks(manager: Machine, worker: Machine) -> None:
    for number, machine in enumerate((manager, worker), start=1):
        settings = NetworkSpec(
            "macvlan",
            "local",
            {"parent": machine.host.data_interface or "eth0"},
            subnet="198.19.0.0/16",
            ip_range=f"198.19.{number}.0/24",
            config_only=True,
        )
        machine.engine.create_network("netbench-settings", settings, LABELS)
    for driver, spec in NETWORKS.items():
        source = "netbench-settings" if spec.from_config else ""
        manager.engine.create_network(f"netbench-{driver}", spec, LABELS, source)


def create_services(manager: Machine, node_id: str, image: str) -> dict[str, Task]:
    """One service on every network; their tasks by network once all run."""
    for network in SERVICES:
        manager.engine.create_service(
            ServiceSpec(
                name=f"test-{network}",
                image=image,
                command=("sleep", "infinity"),
                network=network,
                node_id=node_id,
                labels=LABELS,
                published={15201: 15301} if "bridge" in network else {},
                environment={"SAID": "a b"},
                tmpfs=(Mount("/scratch", 1 << 20),),
            )
        )
    deadline = time.monotonic() + 60
    while True:
        tasks = {task.service: task for task in manager.engine.tasks(LABEL)}
        states = [task.state for task in tasks.values()]
        if states == ["running"] * len(SERVICES):
            return {network: tasks[f"test-{network}"] for network in SERVICES}
        assert time.monotonic() < deadline, tasks
        time.sleep(0.2)


def test_a_swarm_with_a_service_on_every_driver(swarm: tuple[Machine, Machine], image: str) -> None:
    manager, worker = swarm
    assert manager.engine.swarm_labels() == LABELS
    nodes = {node.address for node in manager.engine.nodes() if node.ready}
    assert nodes == {manager.host.address, worker.host.address}
    create_networks(manager, worker)
    tasks = create_services(manager, worker.engine.facts().swarm.node_id, image)
    found = {name: worker.engine.addresses(task.container_id) for name, task in tasks.items()}
    assert found["host"] == {}
    assert found["netbench-macvlan"]["netbench-macvlan"].startswith("198.19.2.")
    assert found["netbench-overlay"] == tasks["netbench-overlay"].addresses
    bridge = tasks["netbench-bridge"].container_id
    script = "echo $SAID; hostname -i; df -k /scratch | tail -n 1"
    seen = worker.engine.exec(bridge, ["sh", "-c", script], timeout=10).stdout.decode()
    assert seen.startswith(f"a b\n{found['netbench-bridge']['netbench-bridge']}\ntmpfs")
    of_swarm = {one.name for one in manager.engine.labelled(LABEL) if one.scope == "swarm"}
    assert of_swarm == {*(f"test-{network}" for network in SERVICES), *SERVICES[1:]}


def test_an_engine_that_is_late_with_ingress_is_waited_for(
    lab: Fleet, footprint: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, late = lab
    addresses = {name: machine.host.address for name, machine in lab.machines.items()}
    run = "20260101-000000-abcdef"
    before = footprint()
    # The answers of its peers, when it joins the network ingress: its engine waits for them 30 s.
    answers = ("INPUT", "-p", "tcp", "--dport", "7946", "-j", "DROP")
    assert lab[late].shell.run(["iptables", "-I", *answers]).exit_code == 0
    try:
        swarm = form(lab, addresses, run)
        await_names(lab[late], lambda names: "ingress" in names)
        # A change of its node has it set ingress up once more, when it is in no swarm any more: it
        # waits for the next.
        change = ["docker", "node", "update", "--label-add", "a=b", swarm.node_ids[late]]
        assert lab[swarm.manager].shell.run(change).exit_code == 0
        time.sleep(1)
        with monkeypatch.context() as impatient:
            impatient.setattr(ingress, "GONE_WITHIN", 0.0)
            told = cleanup.clean(lab, run).outstanding
        busy = {line.partition(":")[0] for line in told if "still busy with the network" in line}
        # A peer that asks this host while it joins may be late as well.
        assert late in busy
        kept = {f"{name}: network {GATEWAY} is still there" for name in busy}
        assert {line for line in told if "still busy" not in line} == kept
        assert not lab[late].engine.facts().swarm.active
    finally:
        # The next clean-up knows the host by the gateway that has our label.
        cleaned = cleanup.clean(lab)
        lab[late].shell.run(["iptables", "-D", *answers])
    assert cleaned.outstanding == ()
    assert footprint() == before


def test_a_host_that_vanishes_is_noticed(lab: Fleet) -> None:
    host = lab[list(lab)[-1]].host
    machine = RemoteMachine(host)
    try:
        interface = host.data_interface or "eth0"
        script = f"sleep 1; ip link set {interface} down; sleep 19; ip link set {interface} up"
        machine.shell.run(
            ["setsid", "--fork", "sh", "-c", f"({script}) </dev/null >/dev/null 2>&1 &"]
        )
        begun = time.monotonic()
        with pytest.raises(HostUnreachable, match=f"{host.name}: the SSH connection was lost"):
            machine.shell.run(["sleep", "60"], timeout=60)
        assert time.monotonic() - begun < 19
        with pytest.raises(HostUnreachable):
            machine.engine.facts()
    finally:
        machine.close()
    time.sleep(max(0.0, 22 - (time.monotonic() - begun)))
    RemoteMachine(host).close()
