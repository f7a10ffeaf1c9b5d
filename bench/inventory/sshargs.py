"""What Ansible hands to ``ssh`` on its command line, as far as it says where and how to connect.

netbench speaks SSH by itself, so it understands what these options mean instead of passing them on.
Host keys are verified whatever is written here: ``StrictHostKeyChecking=no`` and a known_hosts file
of ``/dev/null`` have no effect.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from bench.errors import InventoryError

# Options of ssh(1) that take a value, and those that change nothing for us.
_VALUED = frozenset("BbcDEeFIiJLlmOopQRSWw")
_UNSUPPORTED = {"F": "ssh_config files other than ~/.ssh/config", "W": "-W", "b": "-b"}


@dataclass(frozen=True, slots=True)
class SshArgs:
    """The first value of each option, as in ssh(1); None where it is not given."""

    user: str | None = None
    port: str | None = None
    key_file: str | None = None
    known_hosts_file: Path | None = None
    proxy_jump: str | None = None


def parse(text: str, at: str) -> SshArgs:
    """What the arguments say; ``at`` is where they stand, for messages.

    Raises InventoryError for options that cannot be followed and change where we connect to.
    """
    try:
        words = shlex.split(text)
    except ValueError as fault:
        raise InventoryError(f"{at}: SSH arguments {text!r}: {fault}", "close the quote") from None
    found: dict[str, str] = {}
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-") or word in {"-", "--"}:
            raise InventoryError(
                f"{at}: SSH arguments hold {word!r}", "only options of ssh can stand there"
            )
        letter, value = word[1], word[2:]
        if letter not in _VALUED:
            continue
        if not value:
            value = next(waiting, "")
        if not value:
            raise InventoryError(f"{at}: SSH option -{letter} has no value", "give it one")
        if letter in _UNSUPPORTED:
            raise InventoryError(
                f"{at}: netbench cannot follow SSH option -{letter}",
                "put its settings into ~/.ssh/config or the inventory",
            )
        _take(found, letter, value, at)
    known = found.get("userknownhostsfile")
    return SshArgs(
        user=found.get("user"),
        port=found.get("port"),
        key_file=found.get("identityfile"),
        known_hosts_file=_known_hosts(known) if known else None,
        proxy_jump=found.get("proxyjump"),
    )


def _take(found: dict[str, str], letter: str, value: str, at: str) -> None:
    short = {"l": "user", "p": "port", "i": "identityfile", "J": "proxyjump"}
    if letter in short:
        found.setdefault(short[letter], value)
    if letter != "o":
        return
    name, _, setting = value.replace("=", " ", 1).strip().partition(" ")
    name, setting = name.lower(), setting.strip()
    if name == "proxycommand" and setting.lower() != "none":
        raise InventoryError(
            f"{at}: netbench cannot follow ProxyCommand here", "use -o ProxyJump=HOST instead"
        )
    if not setting:
        raise InventoryError(f"{at}: SSH option -o {value} has no value", "write -o NAME=VALUE")
    if name != "userknownhostsfile":
        setting = setting.strip('"')
    found.setdefault(name, setting)


def _known_hosts(value: str) -> Path | None:
    try:
        files = shlex.split(value)
    except ValueError:
        files = [value]
    usable = [file for file in files if file not in {"/dev/null", "none"}]
    return Path(usable[0]).expanduser() if usable else None
