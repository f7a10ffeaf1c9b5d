"""Docker's networks in memory: who reaches whom, as the checks' own tools would find it."""

from collections.abc import Callable, Sequence

from bench.remote.api import Completed, ServiceSpec, Task
from bench.remote.fake import FakeMachine, FakeWorld

GATEWAY = "docker_gwbridge"
Judge = Callable[[ServiceSpec, str, ServiceSpec, str, str], bool]


def everybody(machine: FakeMachine) -> list[tuple[ServiceSpec, Task, str]]:
    """Every task of the world with its service and its host, its addresses filled in."""
    manager = next(
        m for m in machine.world.machines.values() if m.swarm and m.swarm.manager == m.host.name
    )
    assert manager.swarm is not None
    specs = {spec.name: spec for spec in manager.swarm.services.values()}
    found = []
    for task in manager.replicas("netbench.run"):
        host = task.node_id.removeprefix("node-")
        found.append((specs[task.service], task, host))
    return found


def gateways(machine: FakeMachine) -> dict[str, str]:
    """The addresses that a host's containers have on its docker_gwbridge, by container: those on
    overlays with a way out have one, and each host numbers them for itself."""
    on_host = [
        task.container_id
        for spec, task, host in everybody(machine)
        if host == machine.host.name and ("tenant" in spec.network or "encrypted" in spec.network)
    ]
    return {container: f"172.18.0.{place}" for place, container in enumerate(on_host, start=2)}


def docker(source: ServiceSpec, at: str, target: ServiceSpec, there: str, network: str) -> bool:
    """Docker's rules, by the names that the isolation check gives its networks."""
    mine = (source.network, *source.also)
    if network == GATEWAY:
        return "host" in mine and at == there
    if network == "host":
        return not all("internal" in name or "vlan" in name for name in mine)
    if "host" in mine:
        return "bridge" in network and at == there
    return network in mine and (at == there or "bridge" not in network)


class Networks:
    """Answers for netbench-ask and netbench-capture; ``rules`` says who reaches whom."""

    def __init__(self, rules: Judge = docker) -> None:
        self.rules = rules
        self.seen = "packets 60 esp 0 vxlan 50 readable 50"

    def __call__(self, machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[0] == "netbench-capture":
            return Completed(0, f"{self.seen}\n".encode(), b"")
        if argv[:2] == ("netbench-ask", "reach"):
            lines = [f"{target} {self.reach(machine, container, target)}" for target in argv[3:]]
            return Completed(0, ("\n".join(lines) + "\n").encode(), b"")
        if argv[0] == "ip":
            addresses = [*machine.addresses(container).values()]
            gateway = gateways(machine).get(container)
            lines = [f"2: eth0 inet {one}/24 brd x" for one in (*addresses, gateway) if one]
            return Completed(0, ("\n".join(lines) + "\n").encode(), b"")
        return Completed(0, b"", b"")

    def reach(self, machine: FakeMachine, container: str, target: str) -> str:
        every = everybody(machine)
        source, _, at = next(one for one in every if one[1].container_id == container)
        how, where, *_ = target.split(":")
        for spec, task, host in every:
            addresses = dict(machine.world.machines[host].addresses(task.container_id))
            if spec.network == "host":
                addresses = {"host": machine.world.machines[host].host.address}
            elif host == at:
                # The same numbers on another host are out of reach: each has its own bridge.
                gateway = gateways(machine.world.machines[host]).get(task.container_id)
                addresses |= {GATEWAY: gateway} if gateway else {}
            for network, address in addresses.items():
                names = () if network == GATEWAY else (spec.name, task.container_name)
                named = how == "name" and where in names
                if not named and (how == "name" or where != address):
                    continue
                if how == "name" and "host" in (source.network, network):
                    return "no no such name"
                if not self.rules(source, at, spec, host, network):
                    if how == "name":
                        continue
                    return "no no answer within 4 s"
                if how == "name":
                    return f"yes {address}"
                return "yes answered" if how == "icmp" else f"yes {spec.name} vm"
        return "no no such name"


def world(
    tool: Callable[[FakeMachine, str, Sequence[str]], Completed], names: str = "abc"
) -> FakeWorld:
    made = FakeWorld(tool)
    for name in names:
        made.host(name)
    return made


class Names(Networks):
    """Besides: answers lookups and requests by name as Docker's resolver does; ``stale`` names
    keep the addresses that they had at first, ``favourite`` shares all requests out to one task."""

    def __init__(self) -> None:
        super().__init__()
        self.stale = False
        self.favourite = False
        self.first: dict[str, list[str]] = {}

    def __call__(self, machine: FakeMachine, container: str, argv: Sequence[str]) -> Completed:
        if argv[:2] == ("netbench-ask", "lookup"):
            found = self.addresses(machine, argv[3])
            found = self.first.setdefault(argv[3], found) if self.stale else found
            line = f"150 {','.join(found) or '-'}\n"
            return Completed(0, (line * int(argv[2])).encode(), b"")
        if argv[:2] == ("netbench-ask", "spread"):
            answering = self.behind(machine, argv[4])
            count = int(argv[2])
            if self.favourite:
                answering = answering[:1]
            lines = [
                f"{count // len(answering)} {spec.name} {task.container_id}"
                for spec, task in answering
            ]
            return Completed(0, ("\n".join(lines) + "\n").encode(), b"")
        return super().__call__(machine, container, argv)

    def behind(self, machine: FakeMachine, name: str) -> list[tuple[ServiceSpec, Task]]:
        every = [(spec, task) for spec, task, _ in everybody(machine)]
        if name[0].isdigit():
            return [(spec, task) for spec, task in every if spec.mesh]
        return [(spec, task) for spec, task in every if spec.name == name]

    def addresses(self, machine: FakeMachine, name: str) -> list[str]:
        if name == "netbench-in-hosts-file":
            name = next(
                spec.name for spec, _, _ in everybody(machine) if spec.name.endswith("-one")
            )
        found = []
        for spec, task, host in everybody(machine):
            whole = spec.name == name and spec.endpoint_mode == "dnsrr"
            if whole or name in (f"tasks.{spec.name}", task.container_name):
                found += machine.world.machines[host].addresses(task.container_id).values()
            elif spec.name == name:
                return ["10.99.0.1"]
        return found
