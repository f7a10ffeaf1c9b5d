"""The rules by which a host translates addresses, as ``iptables -t nat -S`` lists them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network

LIST_NAT = ("iptables", "-t", "nat", "-S")
DNAT, MASKED = "DNAT", "MASQUERADE"

_DNAT = re.compile(
    r"-A \S+ .*-p tcp .*--dport (\d{1,5}) .*-j DNAT --to-destination (\S+)", re.ASCII
)

_EXCEPT = re.compile(r" ! -i (\S+) ", re.ASCII)
_MASKED = re.compile(
    r"-A POSTROUTING .*?-s (\d+\.\d+\.\d+\.\d+(?:/\d+)?) .*-j MASQUERADE", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Translation:
    """One rule: a TCP ``port`` forwarded ``to`` an address and port, but for what comes in by the
    interface ``but_from``; or the network ``source`` whose addresses are masked with the host's.
    """

    kind: str
    port: int = 0
    to: str = ""
    but_from: str = ""
    source: IPv4Network | None = None

    def covers(self, address: str) -> bool:
        """Whether packets from ``address`` are masked by it."""
        try:
            return self.source is not None and IPv4Address(address) in self.source
        except AddressValueError:
            return False


def parse_nat(text: str) -> tuple[Translation, ...]:
    """The rules that forward ports and mask networks; all others are left out."""
    found = []
    for line in text.splitlines():
        forwarded, masked = _DNAT.match(line), _MASKED.match(line)
        if forwarded:
            left_out = _EXCEPT.search(line)
            but_from = left_out[1] if left_out else ""
            found.append(Translation(DNAT, int(forwarded[1]), forwarded[2], but_from))
        elif masked:
            try:
                network = IPv4Network(masked[1], strict=False)
            except ValueError:
                continue
            found.append(Translation(MASKED, source=network))
    return tuple(found)
