"""Host names as Ansible writes them: ``web[01:03]``, ``rack-[a:c]``, ``node[1:9:2]``."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from bench.errors import InventoryError
from bench.inventory.yamlfile import Where

MOST = 1000
_RANGE = re.compile(r"\[([^\[\]]*:[^\[\]]*)\]")
_PORT = re.compile(r"^([^:\[\]]+|.*\[[^\]]+\][^:]*):(\d{1,5})$")


def expand(pattern: str, at: Where) -> tuple[list[str], int | None]:
    """The host names that a key of ``hosts`` stands for, and the port after a colon, if any.

    Raises InventoryError for a range that is not one.
    """
    port = None
    match = _PORT.match(pattern)
    if match is not None:
        pattern, port = match[1], int(match[2])
    names = list(_expand(pattern, at))
    if len(names) > MOST:
        raise InventoryError(
            f"{at}: {pattern} stands for {len(names)} hosts", f"{MOST} are the most"
        )
    return names, port


def _expand(pattern: str, at: Where) -> Iterator[str]:
    match = _RANGE.search(pattern)
    if match is None:
        if "[" in pattern or "]" in pattern:
            raise InventoryError(
                f"{at}: {pattern} has a bracket without a range", "write name[01:03]"
            )
        yield pattern
        return
    before, after = pattern[: match.start()], pattern[match.end() :]
    rest = list(_expand(after, at))
    for part in _parts(match[1], pattern, at):
        for tail in rest:
            yield f"{before}{part}{tail}"


def _parts(text: str, pattern: str, at: Where) -> list[str]:
    wrong = InventoryError(
        f"{at}: {pattern} has the range [{text}], which is not one", "write [01:03] or [a:c]"
    )
    bounds = text.split(":")
    if len(bounds) not in {2, 3} or not bounds[1]:
        raise wrong
    first, last = bounds[0] or "0", bounds[1]
    if len(bounds) == 3 and not _digits(bounds[2]):
        raise wrong
    step = int(bounds[2]) if len(bounds) == 3 else 1
    if step < 1:
        raise wrong
    letters = string.ascii_letters
    if len(first) == len(last) == 1 and first in letters and last in letters:
        span = letters[letters.index(first) : letters.index(last) + 1 : step]
        if not span:
            raise wrong
        return list(span)
    if not (_digits(first) and _digits(last)):
        raise wrong
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    if (width and len(last) != width) or int(last) < int(first):
        raise wrong
    if (int(last) - int(first)) // step >= MOST:
        raise InventoryError(f"{at}: {pattern} stands for too many hosts", f"{MOST} are the most")
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
