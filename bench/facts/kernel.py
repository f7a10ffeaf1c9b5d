"""What a host's kernel offers to Docker's networks: really tried, where that may be done.

As root each thing is made once inside a network namespace that ends with the command, so that
nothing is left; the kernel may load a module for it, as it would for Docker. IP_VS has nothing to
make without its own tool: there the module, loaded or to be had, decides. So it does for users who
are not root; what then cannot be told is taken to be there, for a deployment to find out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.capability import Capability
from bench.errors import HostError, HostUnreachable, ParseError
from bench.facts.fact import Fact, ask
from bench.remote.api import Machine

# One line for each: its name, `yes`, `no` or `unknown`, and how that is known.
_SCRIPT = r"""
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C
modules=/lib/modules/$(uname -r)
say() { printf '%s %s %s\n' "$1" "$2" "$(printf %s "$3" | tail -n 1)"; }
by_module() {
  if test -e "/sys/module/$1" || test -e "/proc/net/$1" \
    || modprobe -n -q "$1" 2>/dev/null; then
    say "$1" yes 'its module is there'
  elif test -e "$modules/modules.dep"; then
    say "$1" no "no module $1 in $modules"
  elif test -n "$root"; then
    say "$1" no "no module $1 is loaded and the kernel has none to load"
  else
    say "$1" unknown 'only root can try it'
  fi
}
try() {
  if said=$(unshare -n sh -c "$2" 2>&1); then say "$1" yes 'it was tried'; return; fi
  case $said in
    *'nknown device type'* | *'lgorithm not found'* | *'not supported'* | *'No such'*)
      say "$1" no "$said" ;;
    *) by_module "$1" ;;
  esac
}
root=
test "$(id -u)" = 0 && unshare -n true 2>/dev/null && root=yes
by_module ip_vs
if test -z "$root"; then
  for one in ipvlan macvlan vxlan esp4; do by_module "$one"; done
  exit 0
fi
on_veth='ip link add p0 type veth peer name p1 && ip link add link p0 name c0 type'
try ipvlan "$on_veth ipvlan mode l2"
try macvlan "$on_veth macvlan mode bridge"
try vxlan 'ip link add v0 type vxlan id 256 dstport 4789'
key=0x000102030405060708090a0b0c0d0e0f10111213
try esp4 "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x100 mode transport \
  aead 'rfc4106(gcm(aes))' $key 64"
exit 0
"""
_LINE = re.compile(r"(\w+) (yes|no|unknown) ?(.*)", re.ASCII)


def parse_lacking(text: str) -> dict[Capability, str]:
    """What the script says is not there, and how it knows."""
    told: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if not match:
            raise ParseError(f"no capability: {line!r:.60}")
        told[match[1]] = (match[2], " ".join(match[3].split())[:120])
    missing = [one.value for one in Capability if one.value not in told]
    if missing:
        raise ParseError(f"nothing on {', '.join(missing)}")
    return {one: told[one][1] or "not said why" for one in Capability if told[one.value][0] == "no"}


KERNEL = Fact(("sh", "-c", _SCRIPT), parse_lacking)


def lacking(machine: Machine) -> Mapping[Capability, str]:
    """What the host's kernel does not offer, and how that is known.

    Nothing where it cannot be told: then a deployment finds out. Raises HostUnreachable.
    """
    try:
        return ask(machine, KERNEL)
    except HostUnreachable:
        raise
    except HostError:
        return {}
