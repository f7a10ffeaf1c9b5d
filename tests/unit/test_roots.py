"""Hosts with a Debian root file system of their own: what can be told without making one."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from bench.errors import LabError
from bench.lab import blueprint, debian, layout, lifecycle, preflight, roots, state
from bench.lab.layout import Lab

LAB = Lab("lab", 7, 2, suite="trixie")

# Makes the tree that it is told of, the last of its words but for a mirror.
BUILDS = """#!/bin/sh
echo "I: installing packages" >&2
for word; do case $word in */tree) mkdir -p "$word/etc"; echo whole >"$word/etc/mark";; esac; done
"""
FAILS = "#!/bin/sh\necho 'E: the mirror is on fire' >&2\nexit 25\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a stand-in of mmdebstrap builds."""
    monkeypatch.setattr(layout, "STATE_ROOT", tmp_path / "run/netbench/lab")
    monkeypatch.setattr(layout, "DATA_ROOT", tmp_path / "var/netbench/lab")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(debian.mirror, "find", lambda: None)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("mmdebstrap", "setpriv", "unshare"):
        (tools / name).write_text(BUILDS)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return tmp_path


def test_a_tree_is_built_once_and_kept_by_its_recipe(place: Path) -> None:
    heard: list[str] = []
    tree = roots.ensure("trixie", heard.append)
    assert (tree / "etc/mark").read_text() == "whole\n"
    assert heard == [
        "building the trixie root file system from Debian packages (once)",
        "installing packages",
        "the trixie root file system is built",
    ]
    assert roots.ensure("trixie", heard.append) == tree
    assert len(heard) == 3
    assert roots.ensure("bookworm", heard.append) != tree
    assert tree.is_dir()


def test_a_build_that_fails_leaves_nothing_that_counts(place: Path) -> None:
    (place / "tools/setpriv").write_text(FAILS)
    with pytest.raises(LabError, match=r"status 25: E: the mirror is on fire; .*root\.log") as told:
        roots.ensure("trixie", lambda _line: None)
    assert "\n" not in str(told.value)
    assert {path.name for path in (place / "cache/netbench").iterdir()} == {"root.lock", "root.log"}


def test_trees_of_old_recipes_go_unless_a_host_stands_on_them(place: Path) -> None:
    cache = place / "cache/netbench"
    (cache / "root-trixie-old").mkdir(parents=True)
    (cache / "root-trixie-used").mkdir()
    (cache / "root-bookworm-old").mkdir()
    (cache / "root-build-killed").mkdir()
    handle = os.open(cache / "root-trixie-used", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    tree = roots.ensure("trixie", lambda _line: None)
    os.close(handle)
    assert {path.name for path in cache.iterdir() if path.is_dir()} == {
        tree.name, "root-trixie-used", "root-bookworm-old"
    }  # fmt: skip


def test_no_room_for_a_tree(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roots, "ROOM", 1 << 62)
    with pytest.raises(LabError, match=r"only .* GiB are free; make room"):
        roots.ensure("trixie", lambda _line: None)


def test_what_is_missing_for_a_suite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"unshare", "setpriv", "mount", "umount", "pivot_root", "ssh-keygen", "iptables"}
    monkeypatch.setattr(
        preflight.shutil, "which", lambda tool, path=None: tool if tool in present else None
    )
    with pytest.raises(LabError, match=r"needs mmdebstrap,.*`apt-get install mmdebstrap`"):
        preflight.check("trixie")


def test_a_host_runs_its_trees_programs_with_its_trees_accounts(place: Path) -> None:
    tree = place / "tree"
    for program in ("usr/sbin/sshd", "usr/sbin/dockerd"):
        (tree / program).parent.mkdir(parents=True, exist_ok=True)
        (tree / program).touch()
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text("root:x:0:0:root:/:/bin/nosh\nonlyhere:x:900:900::/:/bin/no\n")
    (tree / "etc/shadow").write_text("root:!:1:::::5:\n")
    path = blueprint.prepare(LAB, "lab1", host_key="K", authorized="A", tree=tree)
    spec = json.loads(path.read_bytes())
    assert spec["tree"] == str(tree)
    assert {argv[0] for argv in spec["services"].values()} == {
        "/usr/sbin/sshd",
        "/usr/sbin/dockerd",
    }
    assert "onlyhere" in spec["files"]["/etc/passwd"][1]
    assert spec["files"]["/etc/shadow"][1] == "root:*:::::::\n"


def test_without_a_suite_a_host_sees_this_machine(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blueprint, "find", lambda tool: f"/sbin/{tool}")
    monkeypatch.setattr(blueprint, "root_unlocked", lambda _text: "")
    path = blueprint.prepare(Lab("lab", 7, 2), "lab1", host_key="K", authorized="A")
    assert json.loads(path.read_bytes())["tree"] is None


def test_records_tell_the_suite(place: Path) -> None:
    state.save(LAB)
    assert state.load("lab") == LAB
    record = layout.state_folder("lab") / "lab.json"
    fields = json.loads(record.read_bytes())
    del fields["suite"]
    record.write_text(json.dumps(fields))
    assert state.load("lab") == Lab("lab", 7, 2)


def test_a_lab_of_another_suite_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_look", lambda _lab: [])
    lifecycle._must_be_well(LAB, None, None)
    lifecycle._must_be_well(LAB, None, None, "trixie")
    with pytest.raises(LabError, match="on a trixie root file system, not on bookworm"):
        lifecycle._must_be_well(LAB, None, None, "bookworm")
    with pytest.raises(LabError, match="on this machine's own files, not on trixie"):
        lifecycle._must_be_well(Lab("lab", 7, 2), None, None, "trixie")
