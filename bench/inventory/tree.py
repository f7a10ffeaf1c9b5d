"""An inventory's groups and hosts, and which value of a variable holds for a host.

Ansible's order, weakest first: vars of ``all``, of other groups (parents before children, then by
``ansible_group_priority``, then by name), ``group_vars/all``, other ``group_vars/``, the host's own
vars, ``host_vars/``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from bench.errors import InventoryError
from bench.inventory.ranges import expand
from bench.inventory.yamlfile import CONVERT, Var, Where, kind, read, variables, where

_SECTIONS = ("hosts", "children", "vars")
_EXTENSIONS = ("", ".yml", ".yaml", ".json")
_ALL, _UNGROUPED = "all", "ungrouped"


@dataclass(slots=True)
class _Group:
    name: str
    vars: dict[str, Var] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)
    hosts: list[str] = field(default_factory=list)

    @property
    def priority(self) -> int:
        found = self.vars.get("ansible_group_priority")
        if found is None:
            return 1
        try:
            return int(str(found.value))
        except ValueError:
            raise InventoryError(
                f"{found.where}: ansible_group_priority is {found.value!r}", "write a whole number"
            ) from None


@dataclass(slots=True)
class Tree:
    """The groups and hosts of one inventory file."""

    path: Path
    groups: dict[str, _Group] = field(default_factory=dict)
    hosts: dict[str, dict[str, Var]] = field(default_factory=dict)
    places: dict[str, Where] = field(default_factory=dict)

    def variables(self, host: str) -> dict[str, Var]:
        """Every variable that holds for a host."""
        groups = [group.name for group in self._groups_of(host)]
        found: dict[str, Var] = {}
        for name in groups:
            found |= self.groups[name].vars
        if not any(name not in {_ALL, _UNGROUPED} for name in groups):
            groups.append(_UNGROUPED)
        for name in dict.fromkeys(groups):
            found |= self._beside("group_vars", name)
        return found | self.hosts[host] | self._beside("host_vars", host)

    def _groups_of(self, host: str) -> list[_Group]:
        names = {_ALL}
        for group in self.groups.values():
            if host in group.hosts:
                names |= {group.name, *self._ancestors(group.name)}
        return sorted(
            (self.groups[name] for name in names),
            key=lambda group: (self._depth(group.name), group.priority, group.name),
        )

    def _ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        for parent in self.groups[name].parents:
            found |= {parent, *self._ancestors(parent)}
        return found

    def _depth(self, name: str) -> int:
        if name == _ALL:
            return 0
        return 1 + max((self._depth(parent) for parent in self.groups[name].parents), default=0)

    def _beside(self, folder: str, name: str) -> dict[str, Var]:
        for extension in _EXTENSIONS:
            path = self.path.parent / folder / f"{name}{extension}"
            if path.is_dir():
                files = sorted(
                    file
                    for file in path.rglob("*")
                    if file.is_file()
                    and file.suffix in _EXTENSIONS
                    and not file.name.startswith(".")
                    and not file.name.endswith("~")
                )
            elif path.exists():
                files = [path]
            else:
                continue
            found: dict[str, Var] = {}
            for file in files:
                found |= variables(file, read(file), Where(file))
            return found
        return {}


def parse(path: Path) -> Tree:
    """Read an inventory file. Raises InventoryError, naming file, line and key."""
    document = read(path)
    if not document:
        raise InventoryError(f"{path}: is empty", "write hosts under `all: hosts:`")
    if "plugin" in document:
        raise InventoryError(
            f"{where(path, document, 'plugin')}: configures a dynamic inventory",
            CONVERT.format(path=path),
        )
    tree = Tree(path, {_ALL: _Group(_ALL)})
    for name in document:
        _group(tree, document, name, None, ())
    for group in tree.groups.values():
        if group.name != _ALL and not group.parents:
            group.parents.add(_ALL)
    return tree


def _group(tree: Tree, mapping: Any, name: Any, parent: str | None, above: tuple[str, ...]) -> None:
    at = where(tree.path, mapping, name)
    if not isinstance(name, str):
        raise InventoryError(f"{at}: the group name {name!r} is not a string", "quote it")
    group = tree.groups.setdefault(name, _Group(name))
    if parent is not None:
        if name == _ALL or name in above or _reaches(tree, parent, name):
            raise InventoryError(f"{at}: group {name} is its own ancestor", "remove it there")
        group.parents.add(parent)
    body = mapping[name]
    if body is None:
        return
    if not isinstance(body, CommentedMap):
        raise InventoryError(
            f"{at}: group {name} is a {kind(body)}", "give it `hosts:`, `children:` or `vars:`"
        )
    for section in body:
        _section(tree, group, body, section, above)


def _section(
    tree: Tree, group: _Group, body: CommentedMap, section: Any, above: tuple[str, ...]
) -> None:
    place = where(tree.path, body, section)
    if section not in _SECTIONS:
        raise InventoryError(
            f"{place}: {section} is no part of group {group.name}",
            "a group has `hosts:`, `children:` and `vars:`",
        )
    content = body[section]
    if content is None:
        return
    if not isinstance(content, CommentedMap):
        raise InventoryError(
            f"{place}: {section} of group {group.name} is a {kind(content)}",
            "end each name in it with a colon" if section != "vars" else "write `name: value`",
        )
    if section == "vars":
        group.vars |= variables(tree.path, content, place)
    elif section == "hosts":
        _hosts(tree, group, content)
    else:
        for child in content:
            _group(tree, content, child, group.name, (*above, group.name))


def _reaches(tree: Tree, name: str, ancestor: str) -> bool:
    """Whether ``ancestor`` is above ``name``: then it cannot be below it too."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one == ancestor:
            return True
        if one not in seen:
            seen.add(one)
            waiting.extend(tree.groups[one].parents)
    return False


def _hosts(tree: Tree, group: _Group, content: CommentedMap) -> None:
    for pattern in content:
        at = where(tree.path, content, pattern)
        if not isinstance(pattern, str):
            raise InventoryError(f"{at}: the host name {pattern!r} is not a string", "quote it")
        own = variables(tree.path, content[pattern], at)
        names, port = expand(pattern, at)
        if port is not None:
            own.setdefault("ansible_port", Var(port, at))
        for name in names:
            tree.places.setdefault(name, at)
            tree.hosts.setdefault(name, {}).update(own)
            if name not in group.hosts:
                group.hosts.append(name)
