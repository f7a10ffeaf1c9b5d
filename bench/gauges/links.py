"""Network interfaces as ``ip -j addr show`` lists them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bench.errors import ParseError

LIST_LINKS = ("ip", "-j", "addr", "show")


@dataclass(frozen=True, slots=True)
class Link:
    """One interface.

    ``mtu`` in bytes; ``peer`` is the index that the other end of its cable has in that end's own
    namespace (0 for none); ``master`` the bridge that it is plugged into; ``addresses`` are IPv4.
    """

    name: str
    index: int
    mtu: int
    peer: int = 0
    master: str = ""
    addresses: tuple[str, ...] = ()


def parse_links(output: bytes) -> tuple[Link, ...]:
    """The output of ``ip -j addr show``. Raises ParseError."""
    try:
        found = json.loads(output.decode(errors="replace") or "[]")
        return tuple(
            Link(
                name=str(one["ifname"]),
                index=int(one.get("ifindex", 0)),
                mtu=int(one["mtu"]),
                peer=int(one.get("link_index") or 0),
                master=str(one.get("master") or ""),
                addresses=tuple(
                    str(info["local"])
                    for info in one.get("addr_info") or []
                    if info.get("family") == "inet"
                ),
            )
            for one in found
            if one
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ParseError(f"`ip -j addr show` printed no interfaces: {output!r:.60}") from fault


def named(links: Iterable[Link], name: str) -> tuple[Link, ...]:
    """The interfaces called ``name``, which may end in ``*``."""
    return tuple(one for one in links if fnmatchcase(one.name, name))


def holding(links: Iterable[Link], address: str) -> Link | None:
    """The interface with this address."""
    return next((one for one in links if address in one.addresses), None)
