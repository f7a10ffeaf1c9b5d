"""YAML read with line numbers, so that every complaint can say where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, TaggedScalar
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bench.errors import InventoryError

CONVERT = "`ansible-inventory -i {path} --list -y > hosts.yaml` converts it"
_INI_SECTION = re.compile(r"^\[[^\[\],]+\]$")
_INI_HOST = re.compile(r"^[\w.\-\[\]:]+(\s+\w+=\S+)+$")


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; ``line`` counts from 1, 0 for the file as a whole."""

    path: Path
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True)
class Var:
    """A variable's value and where it was set."""

    value: Any
    where: Where


def read(path: Path) -> Any:
    """The one YAML document in a file, mappings as CommentedMap.

    Raises InventoryError for a file that cannot be read or is not one YAML document.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InventoryError(
            f"{path}: no such file", "name an Ansible YAML inventory with -i"
        ) from None
    except IsADirectoryError:
        raise InventoryError(f"{path}: is a directory", "name the inventory file in it") from None
    except UnicodeDecodeError as fault:
        raise InventoryError(
            f"{path}: not UTF-8 text ({fault.reason})", "name an Ansible YAML inventory with -i"
        ) from None
    except OSError as fault:
        raise InventoryError(f"{path}: {fault.strerror}", "it must be readable") from None
    if text.startswith("#!"):
        raise InventoryError(f"{path}: is a script, not YAML", CONVERT.format(path=path))
    try:
        found = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as fault:
        line = _line(fault)
        key = re.search(r'duplicate key "(.*?)"', str(fault.problem))
        raise InventoryError(
            f"{Where(path, line)}: {key[1] if key else 'a key'} is there twice", "keep one of them"
        ) from None
    except (YAMLError, ValueError) as fault:
        refuse_ini(path, text)
        line = _line(fault) if isinstance(fault, MarkedYAMLError) else 0
        problem = getattr(fault, "problem", None) or str(fault).splitlines()[0]
        raise InventoryError(
            f"{Where(path, line)}: not valid YAML ({problem})", "check the indentation there"
        ) from None
    if found is not None and not isinstance(found, CommentedMap):
        refuse_ini(path, text)
        raise InventoryError(
            f"{path}: holds a {kind(found)} where a mapping is meant", "it begins with `all:`"
        )
    return found


def refuse_ini(path: Path, text: str) -> None:
    """Raises InventoryError for text that reads like Ansible's INI format."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", ";"))]
    if lines and (_INI_SECTION.match(lines[0]) or any(map(_INI_HOST.match, lines))):
        raise InventoryError(f"{path}: looks like INI, not YAML", CONVERT.format(path=path))


def where(path: Path, mapping: Any, key: Any) -> Where:
    """Where a key of a mapping stands; the file alone when ruamel does not know (merged keys)."""
    try:
        return Where(path, int(mapping.lc.key(key)[0]) + 1)
    except (AttributeError, KeyError, TypeError):
        return Where(path)


def variables(path: Path, mapping: Any, at: Where) -> dict[str, Var]:
    """The variables of a ``vars`` mapping, a host or a vars file."""
    if mapping is None:
        return {}
    if not isinstance(mapping, CommentedMap):
        raise InventoryError(
            f"{at}: variables are a {kind(mapping)}", "write them as `name: value`"
        )
    found = {}
    for key in mapping:
        place = where(path, mapping, key)
        if not isinstance(key, str):
            raise InventoryError(f"{place}: the variable's name {key!r} is not a string")
        found[key] = Var(mapping[key], place)
    return found


def kind(value: Any) -> str:
    """What a YAML value is, in words."""
    if isinstance(value, TaggedScalar):
        return f"{value.tag.value} value"
    names = ((bool, "boolean"), (int, "number"), (float, "number"), (str, "string"))
    for python, name in (*names, (dict, "mapping"), (list, "list")):
        if isinstance(value, python):
            return name
    return "null" if value is None else type(value).__name__


def _line(fault: MarkedYAMLError) -> int:
    mark = fault.problem_mark or fault.context_mark
    return int(mark.line) + 1 if mark is not None else 0
