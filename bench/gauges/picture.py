"""What a treatment's packets cross from client to server, found on the hosts. Read once a run.

The driver's description names the interfaces that count; from their kind and their peers follows
what lies between them: the other end of a cable, the bridge that it is plugged into, the rules by
which an address is translated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby

from bench import workloads
from bench.errors import HostError, NetbenchError
from bench.gauges.hops import HOST_SPACE, ends_of, hop_of, masters, space_of, unseen
from bench.gauges.links import Link
from bench.gauges.locate import LOOK_WITHIN, ROOT_HINT, Locator
from bench.gauges.nat import DNAT, LIST_NAT, MASKED, Translation, parse_nat
from bench.gauges.way import Spot, Way, way_of
from bench.model import Cell, Crossing, Hop, PathPicture, Placement, Plan
from bench.plan import pairs
from bench.ports import BY_OTHER, IN_MESH, ON_HOST
from bench.remote.fleet import Fleet
from bench.waypoint import INGRESS, By, End, Space, Waypoint

# Those whose packets come to the server's own host with the published port for their destination.
_PUBLISHED = ON_HOST | (IN_MESH - BY_OTHER)

# What lies behind a container's end of a cable.
_CABLE = (Crossing.VETH, Crossing.BRIDGE)


def pictures(
    fleet: Fleet, locator: Locator, plan: Plan, broken: Mapping[Way, str]
) -> tuple[PathPicture, ...]:
    """A picture of every way that the plan's trials take, in the plan's order.

    ``broken`` says of ways why they do not work. What cannot be read is said at its hop. Raises
    nothing of what hosts and engines may answer.
    """
    ways: dict[Way, Cell] = {}
    for cell in plan.cells:
        for pair in pairs(plan):
            ways.setdefault(way_of(cell, pair), cell)
    finder = _Finder(locator, _translations(fleet))
    return tuple(finder.picture(way, cell, broken.get(way, "")) for way, cell in ways.items())


def _translations(fleet: Fleet) -> Mapping[str, tuple[Translation, ...] | str]:
    """Every host's rules of address translation, or why they cannot be read."""
    told = fleet.attempt(lambda machine: machine.shell.run(LIST_NAT, timeout=LOOK_WITHIN))
    found: dict[str, tuple[Translation, ...] | str] = {}
    for host, done in told.items():
        if isinstance(done, NetbenchError):
            found[host] = str(done).removeprefix(f"{host}: ")
        elif done.exit_code != 0:
            found[host] = ROOT_HINT
        else:
            found[host] = parse_nat(done.stdout.decode(errors="replace"))
    return found


class _Finder:
    def __init__(
        self, locator: Locator, rules: Mapping[str, tuple[Translation, ...] | str]
    ) -> None:
        self.locator = locator
        self.rules = rules

    def picture(self, way: Way, cell: Cell, broken: str) -> PathPicture:
        deployment = self.locator.deployment
        why = broken or deployment.why_not(way.driver, way.access, way.placement)
        found = PathPicture(way.driver, way.access, way.placement, way.pair, broken=why)
        if deployment.why_not(way.driver, way.access, way.placement):
            return found
        try:
            offset = workloads.named(cell.workload).port
            name, port = deployment.endpoint(cell, way.pair, offset)
        except (NetbenchError, KeyError) as fault:
            return replace(found, broken=why or f"nothing to reach: {fault}")
        client, server = (self.outward(way, end, port) for end in (End.CLIENT, End.SERVER))
        # Where both ends meet on a bridge it is the same one.
        hops = tuple(hop for hop, _ in groupby([*client, *reversed(server)]))
        return replace(found, target=f"{name}:{port}", hops=hops)

    def outward(self, way: Way, end: End, port: int) -> list[Hop]:
        """What is crossed at one end, from its container on."""
        described = [one for one in self.locator.waypoints(way) if one.end is end and one.carries]
        if end is End.SERVER:
            described.reverse()
        hops: list[Hop] = []
        for waypoint in described:
            try:
                found = self.expand(way, waypoint)
            except NetbenchError as fault:
                found = [unseen(way, waypoint, fault)]
            hops += [hop for hop in found if hop not in hops]
        return self.translated(way, end, port, hops)

    def expand(self, way: Way, waypoint: Waypoint) -> list[Hop]:
        """A waypoint's hops, from its container outwards."""
        spots = self.locator.find(way, waypoint)
        if waypoint.space is Space.ESP:
            detail = "encrypted by the host's kernel, transport mode"
            return [Hop(spots[0].host, HOST_SPACE, Crossing.ESP, detail=detail)]
        if waypoint.space in (Space.BALANCER, Space.INGRESS):
            return self._shared_out(way, waypoint, spots)
        found = []
        for spot in spots:
            links = self.locator.links(spot.host, spot.namespace)
            own = next(one for one in links if one.name == spot.interface)
            found.append(hop_of(spot.host, space_of(spot), own, by=waypoint.by))
            if waypoint.space is Space.CONTAINER and own.kind == "veth":
                found += self._beyond(way, waypoint, own)
            elif spot.namespace == "" and waypoint.by is By.PORT:
                found += masters(spot.host, HOST_SPACE, own, links)
        return found

    def _shared_out(self, way: Way, waypoint: Waypoint, spots: Iterable[Spot]) -> list[Hop]:
        """The namespace in which addresses are shared out, and where it has one its way to the
        gateway bridge."""
        host, every = way.host(waypoint.end), tuple(spots)
        names = ", ".join(spot.interface for spot in every)
        place = space_of(every[0])
        detail = "IPVS shares out " + (
            "the routing mesh's ports" if waypoint.space is Space.INGRESS else "service addresses"
        )
        hops = [Hop(host, place, Crossing.IPVS, names, every[0].mtu, detail)]
        if waypoint.space is Space.INGRESS:
            links = self.locator.links(host)
            for own in self.locator.links(host, every[0].namespace):
                for far in ends_of(own, links):
                    hops += [hop_of(host, HOST_SPACE, far), *masters(host, HOST_SPACE, far, links)]
        # A mesh at the client's own node is come to from the gateway bridge.
        return hops[::-1] if waypoint.end is End.CLIENT else hops

    def _beyond(self, way: Way, waypoint: Waypoint, own: Link) -> list[Hop]:
        """The other end of a container's cable and the bridge that it is plugged into: in the
        engine's namespace for an overlay, else on the host."""
        host = way.host(waypoint.end)
        places = [""]
        inside = waypoint.by is By.ADDRESS and (
            waypoint.network == INGRESS
            or any(one.space is Space.NETWORK for one in self.locator.waypoints(way))
        )
        if inside:
            network = replace(waypoint, space=Space.NETWORK)
            places.insert(0, self.locator.sandbox(way, network))
        for namespace in places:
            space = f"namespace {namespace.rpartition('/')[2]}" if namespace else HOST_SPACE
            try:
                links = self.locator.links(host, namespace)
            except HostError as fault:
                where = f"the other end was not seen: {fault}"
                return [Hop(host, space, crossing, detail=where) for crossing in _CABLE]
            for far in ends_of(own, links):
                return [hop_of(host, space, far), *masters(host, space, far, links)]
        return []

    def translated(self, way: Way, end: End, port: int, hops: list[Hop]) -> list[Hop]:
        """With what translates addresses on the way, next to the bridge that is between containers
        and host."""
        host = way.host(end)
        for place, hop in enumerate(hops):
            if hop.space != HOST_SPACE or hop.crossing is not Crossing.BRIDGE:
                continue
            same = way.placement is Placement.SAME_HOST
            if end is End.SERVER and way.access in _PUBLISHED:
                # What a plain client sends comes by no bridge.
                behind = same and not way.access.plain
                between = self._forwarding(host, port, hop.interface if behind else "")
            elif end is End.CLIENT and way.access in BY_OTHER:
                between = self._forwarding(host, port, "")
            elif end is End.CLIENT and way.access in _PUBLISHED and not same:
                between = Hop(host, HOST_SPACE, Crossing.NAT, detail=self._masking(way, hops))
            else:
                break
            return [*hops[: place + 1], between, *hops[place + 1 :]]
        return hops

    def _forwarding(self, host: str, port: int, bridge: str) -> Hop:
        """How a published port gets to its container, for what comes in by ``bridge``: those
        behind it may be left out of the rule, and served by a program of the engine's."""
        rules = self.rules.get(host, "")
        if isinstance(rules, str):
            detail = f"TCP {port} is forwarded; {rules}"
            return Hop(host, HOST_SPACE, Crossing.NAT, detail=detail)
        found = next((one for one in rules if one.kind == DNAT and one.port == port), None)
        if found is None:
            detail = f"TCP {port}, which has no DNAT rule"
        elif found.but_from and found.but_from == bridge:
            detail = f"TCP {port} to {found.to}; the DNAT rule leaves out what comes by {bridge}"
        else:
            detail = f"DNAT of TCP {port} to {found.to}"
            return Hop(host, HOST_SPACE, Crossing.NAT, detail=detail)
        return Hop(host, HOST_SPACE, Crossing.PROXY, detail=detail)

    def _masking(self, way: Way, hops: Iterable[Hop]) -> str:
        host = way.host(End.CLIENT)
        rules = self.rules.get(host, "")
        if isinstance(rules, str):
            return f"the source address is masked; {rules}"
        addresses = [
            address
            for hop in hops
            if hop.crossing is Crossing.BRIDGE and hop.space == HOST_SPACE
            for one in self.locator.links(host)
            if one.name == hop.interface
            for address in one.addresses
        ]
        for rule in rules:
            if rule.kind == MASKED and any(rule.covers(address) for address in addresses):
                return f"MASQUERADE of {rule.source}"
        return "no rule masks the source address"
