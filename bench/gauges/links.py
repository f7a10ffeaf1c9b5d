"""Network interfaces as ``ip -d -j addr show`` lists them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from bench.errors import ParseError

LIST_LINKS = ("ip", "-d", "-j", "addr", "show")


@dataclass(frozen=True, slots=True)
class Link:
    """One interface.

    ``mtu`` in bytes; ``peer`` is the index that the other end of its cable has in that end's own
    namespace (0 for none); ``master`` the bridge that it is plugged into; ``addresses`` are IPv4.
    ``kind`` is what the kernel calls its kind (``veth``, ``bridge``, ``vxlan``, ...), empty where
    it does not tell; ``setting`` what makes one of its kind differ from another: id and port of a
    VXLAN, mode of a macvlan or ipvlan.
    """

    name: str
    index: int
    mtu: int
    peer: int = 0
    master: str = ""
    addresses: tuple[str, ...] = ()
    kind: str = ""
    setting: str = ""


def parse_links(output: bytes) -> tuple[Link, ...]:
    """The output of ``ip -d -j addr show``. Raises ParseError."""
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
                kind=str((one.get("linkinfo") or {}).get("info_kind") or ""),
                setting=_setting(one.get("linkinfo") or {}),
            )
            for one in found
            if one
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ParseError(f"`ip -d -j addr show` printed no interfaces: {output!r:.60}") from fault


def _setting(info: dict[str, Any]) -> str:
    told = info.get("info_data") or {}
    if "id" in told:
        port = f" over UDP {told['port']}" if told.get("port") else ""
        return f"id {told['id']}{port}"
    return f"mode {told['mode']}" if "mode" in told else ""


def named(links: Iterable[Link], name: str) -> tuple[Link, ...]:
    """The interfaces called ``name``, which may end in ``*``."""
    return tuple(one for one in links if fnmatchcase(one.name, name))


def holding(links: Iterable[Link], address: str) -> Link | None:
    """The interface with this address."""
    return next((one for one in links if address in one.addresses), None)
