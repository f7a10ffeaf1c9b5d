"""The model as JSON and back. What is read is of the model's types to the last field, or refused.

Numbers are finite: JSON has no word for the others, and a number too large for a float is none.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from bench.errors import StoreError
from bench.model import Cell, HostPair, RunEnd, RunInfo, Sample, Step, Trial

FORMAT = 2

DAMAGED = "the file is damaged"

T = TypeVar("T")

# Made once: making one costs more than reading a trial with it.
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (RunInfo, RunEnd, Trial)
}


def _lighter(kind: Any) -> Any:
    """A dataclass's fields, by name, type and default, as a Struct: made in half the time.

    Those that stay with a trial's result are left as they are. A histogram is read out of base64.
    """
    if get_origin(kind) is tuple:
        inner, *_ = get_args(kind)
        return GenericAlias(tuple, (_lighter(inner), ...))
    if not is_dataclass(kind) or kind in {Cell, HostPair, Sample, Step}:
        return kind
    hints = get_type_hints(kind)
    own: list[Any] = []
    for one in fields(kind):
        of = bytes | None if one.name == "histogram" else _lighter(hints[one.name])
        own.append((one.name, of) if one.default is MISSING else (one.name, of, one.default))
    return msgspec.defstruct("Passing", own, gc=False)


# A trial for those who take what they need and drop it.
_PASSING = msgspec.json.Decoder(_lighter(Trial))


def decode_passing(raw: bytes, path: Path, line: int) -> tuple[Trial, bytes | None]:
    """A Trial that is not kept, as `decode` makes it, and its histogram out of base64.

    It has the same fields, checked alike, but is no instance of Trial, equal to none, and has the
    histogram's bytes for its text.
    """
    found = _decoded(_PASSING, raw, path, line)
    return found, found.histogram


def decode(kind: type[T], raw: bytes, path: Path, line: int | None = None) -> T:
    """``raw`` as a ``kind``. StoreError, naming ``path`` and ``line``, for anything else."""
    found: T = _decoded(_DECODERS[kind], raw, path, line)
    return found


def _decoded(
    decoder: msgspec.json.Decoder[Any], raw: bytes, path: Path, line: int | None = None
) -> Any:
    try:
        return decoder.decode(raw)
    # A ValueError of msgspec's own, or of text that is not UTF-8.
    except (ValueError, RecursionError) as fault:
        line = line or _line(raw, str(fault))
        where = f"{path}:{line}" if line else path
        raise StoreError(f"{where}: {fault}", DAMAGED) from None


def _line(raw: bytes, said: str) -> int | None:
    """The line of a byte that a complaint names; complaints about a field name that instead."""
    place = re.search(r"\(byte (\d+)\)$", said)
    return raw.count(b"\n", 0, int(place[1])) + 1 if place else None


def encode(value: RunInfo | RunEnd | Trial, about: object, indent: int | None = None) -> bytes:
    """``value`` as JSON, in one line or indented.

    Raises StoreError, beginning with ``about``, for what would not be read back as it is: a value
    that is not a number, above all, which would make the whole line unreadable.
    """
    try:
        raw = msgspec.json.encode(value, enc_hook=_plain)
        same = _DECODERS[type(value)].decode(raw) == value
        if isinstance(value, Trial):
            _PASSING.decode(raw)
    except (TypeError, ValueError) as fault:
        raise StoreError(f"{about}: {_NEVER} ({fault})") from fault
    if not same:
        raise StoreError(f"{about}: {_NEVER}")
    return raw if indent is None else msgspec.json.format(raw, indent=indent)


_NEVER = "a value that is not a number, or not of its field's type, is never stored"


def _plain(value: object) -> float:
    """Numpy's floats, which are floats to everyone else."""
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")
