"""The parts of the lab that need neither root nor a kernel's help."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bench.cli import lab as cli
from bench.errors import LabError, UsageError
from bench.lab import blueprint, cgroups, handout, layout, preflight, processes, state
from bench.lab.handout import Keys, Owner
from bench.lab.layout import Lab

LAB = Lab("lab", 7, 3)
ME = Owner(os.getuid(), os.getgid())
KEYS = Keys("PRIVATE\n", {name: f"ssh-ed25519 AAAA{name} comment" for name in LAB.hosts})


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layout, "STATE_ROOT", tmp_path / "run/netbench/lab")
    monkeypatch.setattr(layout, "DATA_ROOT", tmp_path / "var/netbench/lab")
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    return tmp_path


# --- layout


@given(st.from_regex(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", fullmatch=True))
def test_good_names_make_host_names_and_interfaces_of_legal_length(name: str) -> None:
    lab = Lab(layout.check_name(name), 255, layout.MAX_HOSTS)
    assert all(len(host) <= 63 for host in lab.hosts)
    assert len(lab.controller_interface) <= 15
    assert layout.SWITCH not in lab.hosts


@pytest.mark.parametrize(
    "name", ["", "Lab", "../x", "a b", "1a", "a-", "a" * 17, "lab\n", ".", "ä"]
)
def test_bad_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        layout.check_name(name)


def test_addresses() -> None:
    assert {name: str(address) for name, address in LAB.hosts.items()} == {
        "lab1": "198.18.7.1",
        "lab2": "198.18.7.2",
        "lab3": "198.18.7.3",
    }
    assert str(LAB.controller) == "198.18.7.254"
    assert str(LAB.network) == "198.18.7.0/24"


# --- state


@given(
    st.builds(
        Lab,
        st.just("lab"),
        st.integers(0, 255),
        st.integers(1, layout.MAX_HOSTS),
        st.booleans(),
        st.lists(st.sampled_from([Path("/a/b.yaml"), Path("/ö/x y.yaml")])).map(tuple),
    )
)
def test_records_read_back_as_written(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "STATE_ROOT", tmp_path_factory.mktemp("run") / "netbench/lab")
        state.save(lab)
        assert state.load("lab") == lab


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "lab"}', b"\xff"])
def test_a_broken_record_counts_as_none_but_leaves_a_trace(roots: Path, content: bytes) -> None:
    state.save(LAB)
    (layout.state_folder("lab") / "lab.json").write_bytes(content)
    assert state.load("lab") is None
    assert state.traces("lab")
    assert state.names() == ["lab"]


def test_forgetting_the_last_lab_leaves_no_folder(roots: Path) -> None:
    with state.locked():
        state.save(LAB)
        layout.data_folder("lab").mkdir(parents=True)
        state.clear_data("lab")
        state.forget("lab")
    assert not any((roots / "run").iterdir())
    assert not any((roots / "var").iterdir())
    assert not state.traces("lab")


def test_forgetting_one_lab_keeps_the_other(roots: Path) -> None:
    state.save(LAB)
    state.save(Lab("other", 8, 1))
    with state.locked():
        state.forget("lab")
    assert state.names() == ["other"]


def test_the_lock_keeps_others_out_until_it_is_free(roots: Path) -> None:
    with (
        state.locked(),
        pytest.raises(LabError, match="another `netbench lab` has been at work"),
        state.locked(timeout=0.05),
    ):
        raise AssertionError("two at a time")  # pragma: no cover
    with state.locked(timeout=0.05):
        pass


# --- handout


def test_the_inventory_is_ansibles(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts" / "lab.yaml"
    handout.write(LAB, KEYS, inventory, ME)
    folder = tmp_path / "hosts" / ".lab"
    assert YAML(typ="safe").load(inventory) == {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": f"{folder}/id_ed25519",
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts",
                "ansible_python_interpreter": "/usr/bin/python3",
                "netbench_shared_kernel": True,
            },
            "hosts": {
                f"lab{n}": {
                    "ansible_host": f"198.18.7.{n}",
                    "netbench_data_interface": "eth0",
                }
                for n in (1, 2, 3)
            },
        }
    }
    assert (folder / "id_ed25519").read_text() == "PRIVATE\n"
    assert stat.S_IMODE((folder / "id_ed25519").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "198.18.7.2,lab2 ssh-ed25519 AAAAlab2\n" in (folder / "known_hosts").read_text()


def test_writing_twice_and_removing_twice_is_fine(tmp_path: Path) -> None:
    inventory = tmp_path / "lab.yaml"
    handout.write(LAB, KEYS, inventory, ME)
    handout.write(LAB, KEYS, inventory, ME)
    assert handout.remove("lab", inventory)
    assert not any(tmp_path.iterdir())
    assert not handout.remove("lab", inventory)


@pytest.mark.parametrize("content", ["all: {}\n", "", "# Written by somebody\n"])
def test_an_inventory_of_somebody_elses_is_neither_overwritten_nor_removed(
    tmp_path: Path, content: str
) -> None:
    inventory = tmp_path / "lab.yaml"
    inventory.write_text(content)
    with pytest.raises(LabError, match=r"lab.yaml is there and was not written by lab lab"):
        handout.write(LAB, KEYS, inventory, ME)
    assert not handout.remove("lab", inventory)
    assert inventory.read_text() == content
    assert list(tmp_path.iterdir()) == [inventory]


def test_another_labs_inventory_is_somebody_elses(tmp_path: Path) -> None:
    inventory = tmp_path / "x.yaml"
    handout.write(LAB, KEYS, inventory, ME)
    with pytest.raises(LabError, match="not written by lab other"):
        handout.check("other", inventory)
    assert not handout.remove("other", inventory)


def test_a_users_ssh_folder_is_not_taken_for_a_labs(tmp_path: Path) -> None:
    own = tmp_path / ".ssh"
    own.mkdir()
    (own / "id_ed25519").write_text("precious")
    lab = Lab("ssh", 0, 1)
    with pytest.raises(LabError, match=r"\.ssh is there and was not made by lab ssh"):
        handout.write(lab, KEYS, tmp_path / "ssh.yaml", ME)
    assert not handout.remove("ssh", tmp_path / "ssh.yaml")
    assert (own / "id_ed25519").read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="is there"):
        handout.check("lab", tmp_path / "lab.yaml")


def test_a_file_put_beside_the_key_outlives_the_lab(tmp_path: Path) -> None:
    inventory = tmp_path / "lab.yaml"
    handout.write(LAB, KEYS, inventory, ME)
    note = tmp_path / ".lab" / "note"
    note.write_text("mine")
    assert handout.remove("lab", inventory)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [note]


@pytest.mark.parametrize("path", ["/a b/lab.yaml", "/a'b/lab.yaml", "/a%h/lab.yaml", "/$A/l.yaml"])
def test_paths_that_ssh_would_misread_are_refused(path: str) -> None:
    with pytest.raises(LabError, match="--inventory"):
        handout.check("lab", Path(path))


def test_the_owner_is_the_one_behind_sudo() -> None:
    assert Owner.invoking({"SUDO_UID": "1000", "SUDO_GID": "100"}) == Owner(1000, 100)
    assert Owner.invoking({"SUDO_UID": "x", "SUDO_GID": "100"}) == ME
    assert Owner.invoking({}) == ME


# --- blueprint


def test_no_password_hash_gets_into_a_host_and_root_is_not_locked() -> None:
    shadow = "root:!$6$SECRET:19000:0:99999:7:::\nann:$y$HASH:19000:0:99999:7:::\n"
    made = blueprint.root_unlocked(shadow)
    assert made == "root:*:::::::\nann:*:19000:0:99999:7:::\n"


def test_roots_login_is_usable() -> None:
    made = blueprint.root_can_log_in(
        "root:x:0:0:root:/nowhere:/usr/sbin/nologin\nann:x:1:1::/a:/b\n"
    )
    root, ann = made.splitlines()
    assert root in ("root:x:0:0:root:/root:/bin/bash", "root:x:0:0:root:/root:/bin/sh")
    assert ann == "ann:x:1:1::/a:/b"


# --- what the machine has

MOUNTS = """\
22 1 254:0 / / rw shared:1 - overlay overlay rw
23 22 0:20 / /var rw - ext4 /dev/vda rw
24 22 0:21 / /var/lib/with\\040space rw - tmpfs tmpfs rw
25 22 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
26 22 0:31 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw
27 23 0:22 / /var rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/netbench/lab", "xfs"),
        ("/variety", "overlay"),
        ("/var/lib/with space/x", "tmpfs"),
        ("/", "overlay"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert preflight.filesystem_of(Path(path), MOUNTS) == kind


def test_cgroup_hierarchies_of_both_versions() -> None:
    assert [str(path) for path in cgroups.roots(MOUNTS)] == [
        "/sys/fs/cgroup/cpu",
        "/sys/fs/cgroup/unified",
    ]


def test_all_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"unshare", "mount", "umount", "runc", "containerd", "docker", "/usr/bin/python3"}
    monkeypatch.setattr(
        preflight.shutil, "which", lambda tool, path=None: tool if tool in present else None
    )
    with pytest.raises(LabError) as caught:
        preflight.check()
    assert str(caught.value) == (
        "the lab needs dockerd, iptables, sshd, ssh-keygen, which this machine lacks; run"
        " `apt-get install docker.io iptables openssh-client openssh-server`"
    )


# --- processes


def process(proc: Path, pid: int, words: list[str], *, name: str, numbers: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "status").write_text(f"Name:\t{name}\nNSpid:\t{numbers}\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root's processes count, and these are ours")
def test_only_a_hosts_first_process_and_its_unshare_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = ["spec", processes.MARK, "lab", "lab1"]
    process(
        tmp_path, 10, ["unshare", "--", "python", "init.py", *tail], name="unshare", numbers="10"
    )
    process(tmp_path, 11, ["python", "init.py", *tail], name="python", numbers="11\t1")
    process(tmp_path, 12, ["less", *tail], name="less", numbers="12")
    process(tmp_path, 13, ["python", "x", *tail], name="python", numbers="13\t7")
    process(tmp_path, 14, ["python", "init.py", *tail, "more"], name="python", numbers="14\t1")
    process(tmp_path, 15, [], name="kthreadd", numbers="15")
    (tmp_path / "16").mkdir()
    monkeypatch.setattr(processes, "PROC", tmp_path)
    found = sorted((p.pid, p.lab, p.host, p.first) for p in processes.found())
    assert found == [(10, "lab", "lab1", False), (11, "lab", "lab1", True)]
    assert processes.found("other") == []
    assert processes.firsts("lab") == {"lab1": 11}


# --- the command


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """We are not root; what would be executed instead of us is noted."""
    executed: list[list[str]] = []

    def execvp(file: str, argv: list[str]) -> None:
        executed.append([file, *argv])
        raise SystemExit(0)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execvp", execvp)
    return executed


def test_without_root_or_sudo_it_says_what_to_do(
    nobody: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.shutil, "which", lambda _: None)
    fault = CliRunner().invoke(cli.command, ["status"]).exception
    assert isinstance(fault, LabError)
    assert "install sudo" in str(fault)
    assert nobody == []


@pytest.mark.parametrize("verb", ["up", "status", "down"])
def test_without_root_it_runs_itself_again_through_sudo(
    nobody: list[list[str]], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(cli.shutil, "which", lambda _: "/usr/bin/sudo")
    monkeypatch.setattr(cli.sys, "argv", ["netbench", "lab", verb, "--name", "a b"])
    done = CliRunner().invoke(cli.command, [verb])
    assert done.exit_code == 0
    assert "asking sudo" in done.stderr
    (words,) = nobody
    assert words[:3] == ["sudo", "sudo", "--"]
    assert words[-8:] == ["-P", "-B", "-m", "bench", "lab", verb, "--name", "a b"]


@pytest.mark.parametrize("words", [["up", "--help"], ["--help"], ["up", "--hosts", "0"]])
def test_help_and_mistakes_need_no_root(nobody: list[list[str]], words: list[str]) -> None:
    done = CliRunner().invoke(cli.command, words)
    assert done.exit_code in (0, 2)
    assert nobody == []


def test_all_and_an_inventory_exclude_each_other() -> None:
    done = CliRunner().invoke(cli.command, ["down", "--all", "--inventory", "x.yaml"])
    assert done.exit_code == 2
    assert "exclude each other" in done.output
