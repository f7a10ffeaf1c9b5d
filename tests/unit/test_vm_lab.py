"""The parts of the lab of virtual machines that need neither root nor QEMU."""

from __future__ import annotations

import errno
import gzip
import io
import json
import stat
import tarfile
from ipaddress import IPv4Network
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from bench.cli import lab as cli
from bench.errors import LabError
from bench.lab import debian, handout, health, layout, lifecycle, preflight, processes, state, wire
from bench.lab.handout import Keys, Owner
from bench.lab.health import HostHealth
from bench.lab.layout import Lab, Machines
from bench.lab.vm import image, initramfs, machines, packages, qemu, recipe, seed
from bench.lab.vm.image import Image
from bench.lab.vm.recipe import Flavour

LAB = Lab("lab", 7, 2, machines=Machines())
IMAGE = Image(Path("/c/disk"), Path("/c/kernel"), Path("/c/initramfs"), None)


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layout, "STATE_ROOT", tmp_path / "run/netbench/lab")
    monkeypatch.setattr(layout, "DATA_ROOT", tmp_path / "var/netbench/lab")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(preflight, "find", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(qemu, "find", lambda tool: f"/bin/{tool}")
    return tmp_path


def argument(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


# --- the record and the inventory


def test_a_record_with_machines_reads_back(roots: Path) -> None:
    lab = Lab("lab", 3, 2, machines=Machines("bookworm", bare=True, memory=512, filter_macs=True))
    state.save(lab)
    assert state.load("lab") == lab


def test_a_record_from_before_there_were_machines_is_a_lab_of_namespaces(roots: Path) -> None:
    folder = layout.state_folder("lab")
    folder.mkdir(parents=True)
    (folder / "lab.json").write_text('{"name":"lab","subnet":3,"size":3,"complete":true}')
    loaded = state.load("lab")
    assert loaded is not None
    assert loaded.machines is None


@pytest.mark.parametrize("kind", [None, Machines()])
def test_only_namespaces_share_a_kernel(tmp_path: Path, kind: Machines | None) -> None:
    lab = Lab("lab", 7, 1, machines=kind)
    inventory = tmp_path / "lab.yaml"
    handout.write(lab, Keys("P\n", {"lab1": "ssh-ed25519 A"}), inventory, Owner.invoking({}))
    shared = YAML(typ="safe").load(inventory)["all"]["vars"]["netbench_shared_kernel"]
    assert shared is (kind is None)


# --- the seed


def test_the_seed_makes_machines_differ_and_keeps_keys_closed(tmp_path: Path) -> None:
    both = {}
    for host in LAB.hosts:
        path = tmp_path / f"{host}.tar"
        seed.write(path, seed.files(LAB, host, host_key=f"KEY {host}", authorized="USER"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with tarfile.open(path) as archive:
            modes = {entry.name: entry.mode for entry in archive}
            both[host] = {
                name: found.read().decode()
                for name in modes
                if (found := archive.extractfile(name)) is not None
            }
        assert modes["etc/ssh/ssh_host_ed25519_key"] == 0o600
        assert modes["root/.ssh"] == 0o700
    for path in ("etc/hostname", "etc/machine-id", "etc/ssh/ssh_host_ed25519_key"):
        assert both["lab1"][path] != both["lab2"][path]
    network = both["lab2"]["etc/systemd/network/10-netbench.network"]
    assert "Address=198.18.7.2/24\n" in network
    assert "Gateway" not in network


def test_only_bare_machines_are_told_of_the_packages() -> None:
    bare = Lab("lab", 7, 1, machines=Machines(bare=True))
    files = seed.files(bare, "lab1", host_key="", authorized="")
    assert "http://198.18.7.253/" in files["etc/apt/sources.list"][1]
    whole = seed.files(LAB, "lab1", host_key="", authorized="")
    assert "etc/apt/sources.list" not in whole


def test_machine_ids_are_stable_and_well_formed() -> None:
    first = seed.identity(LAB, "lab1")
    assert first == seed.identity(LAB, "lab1")
    assert len(first) == 32
    assert int(first, 16)
    assert first != seed.identity(Lab("lab", 8, 2), "lab1")


# --- QEMU


def test_the_command_line_is_one_machines_own_and_holds_no_secret(roots: Path) -> None:
    one, two = (qemu.command(LAB, host, IMAGE) for host in LAB.hosts)
    assert argument(one, "-netdev") == "tap,id=net,ifname=port1,script=no,downscript=no"
    assert "mac=52:54:12:07:00:01" in argument(one, "-device")
    assert "mac=52:54:12:07:00:02" in argument(two, "-device")
    assert argument(one, "-accel") == "tcg,tb-size=256"
    assert argument(one, "-cpu") == "Westmere,cx16=off"
    assert "snapshot=on" in argument(one, "-drive")
    assert not any(word.startswith("user,") for word in one), "a way out"
    assert not any("KEY" in word for word in one)


def test_the_monitors_socket_has_a_name_that_the_kernel_takes() -> None:
    lab = Lab(layout.check_name("a" * 16), 255, layout.MAX_HOSTS)
    assert len(str(lab.folder(f"{lab.name}{lab.size}") / "qmp.sock")) < 108


def test_without_kvm_it_is_tcg_and_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu.os, "access", lambda *_args: False)
    monkeypatch.setattr(qemu, "_boots", lambda _image: pytest.fail("tried"))
    assert qemu.accelerator(IMAGE) == "tcg"


@pytest.mark.parametrize(("works", "name"), [(True, "kvm"), (False, "tcg")])
def test_kvm_is_tried_once_for_each_start_of_this_machine(
    roots: Path, monkeypatch: pytest.MonkeyPatch, *, works: bool, name: str
) -> None:
    tried = []
    monkeypatch.setattr(qemu.os, "access", lambda *_args: True)
    monkeypatch.setattr(qemu.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(qemu, "_boots", lambda _image: tried.append(1) or works)
    (roots / "cache/netbench").mkdir(parents=True)
    assert [qemu.accelerator(IMAGE), qemu.accelerator(IMAGE)] == [name, name]
    assert len(tried) == 1
    record = roots / "cache/netbench/kvm.json"
    record.write_text(json.dumps({"boot": "another", "works": not works}))
    assert qemu.accelerator(IMAGE) == name
    assert len(tried) == 2


# --- the initial file system


DEPENDENCIES = """\
kernel/fs/ext4/ext4.ko.xz: kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/mbcache.ko.xz:
kernel/fs/jbd2/jbd2.ko.xz:
kernel/drivers/virtio/virtio-pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio.ko.xz:
"""


def test_modules_are_loaded_after_what_they_need() -> None:
    order = initramfs.load_order(DEPENDENCIES, ("virtio_pci", "built", "ext4"), {"built"})
    names = [Path(path).name.partition(".")[0] for path in order]
    assert names == ["virtio", "virtio-pci", "jbd2", "mbcache", "ext4"]


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match="no module virtio_blk"):
        initramfs.load_order(DEPENDENCIES, ("virtio_blk",), set())


def test_the_archive_is_what_the_kernel_reads(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/modules/6.1"
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text("a.ko:\n")
    (folder / "modules.builtin").write_text("")
    (folder / "a.ko").write_bytes(b"module")
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/busybox").write_bytes(b"busybox!!")
    content = gzip.decompress(initramfs.build(tmp_path, "6.1", ("a",)))
    stream, found = io.BytesIO(content), {}
    while True:
        head = stream.read(110)
        assert head.startswith(b"070701")
        fields = [int(head[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        name = stream.read(fields[11])[:-1].decode()
        stream.seek(-stream.tell() % 4, io.SEEK_CUR)
        found[name] = stream.read(fields[6])
        stream.seek(-stream.tell() % 4, io.SEEK_CUR)
        if name == "TRAILER!!!":
            break
    assert found["bin/busybox"] == b"busybox!!"
    assert found["modules/a.ko"] == b"module"
    assert found["modules/order"] == b"a.ko\n"
    assert b"switch_root" in found["init"]


# --- the image


def test_every_flavour_has_an_image_of_its_own() -> None:
    flavours = [Flavour(suite, bare) for suite in debian.SUITES for bare in (False, True)]
    assert len({(one.stem, recipe.digest(one)) for one in flavours}) == 4
    assert not any("docker" in name for name in recipe.packages(Flavour("trixie", bare=True)))
    assert "docker-cli" not in recipe.packages(Flavour("bookworm", bare=False))


def test_a_build_that_fails_leaves_nothing_that_counts(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = roots / "tools"
    tools.mkdir()
    (tools / "unshare").write_text("#!/bin/sh\necho 'E: the mirror is on fire' >&2\nexit 25\n")
    for name in ("mmdebstrap", "mkfs.ext4"):
        (tools / name).write_text("#!/bin/sh\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setattr(debian.mirror, "find", lambda: None)
    with pytest.raises(LabError, match=r"status 25: E: the mirror is on fire"):
        image.ensure(Flavour("trixie", bare=False), lambda _line: None)
    left = {path.name for path in (roots / "cache/netbench").iterdir()}
    assert left == {"vm.lock", "vm.log"}


def test_no_room_for_the_image(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image.shutil, "which", lambda tool, path: tool)
    monkeypatch.setattr(image, "ROOM", 1 << 62)
    with pytest.raises(LabError, match=r"only .* GiB are free; make room"):
        image.ensure(Flavour("trixie", bare=False), lambda _line: None)


def test_the_package_index_has_sizes_and_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dpkg-deb").write_text("#!/bin/sh\necho 'Package: a'\n")
    (tools / "dpkg-deb").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    (tmp_path / "a_1.deb").write_bytes(b"12345")
    packages.index(tmp_path)
    assert (tmp_path / "Packages").read_text() == (
        "Package: a\nFilename: ./a_1.deb\nSize: 5\nSHA256: "
        "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5\n"
    )


# --- what the machine must have


def test_what_memory_is_left() -> None:
    assert preflight.available("MemTotal: 9 kB\nMemAvailable:    2097152 kB\n") == 2048


def test_too_little_memory_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(preflight, "_tools", lambda _packages: None)
    with pytest.raises(LabError, match=r"take .* MiB of memory.*--memory"):
        preflight.check_machines(2, 1 << 30)


def test_no_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(preflight.shutil, "which", lambda tool, path: None if "q" in tool else tool)
    with pytest.raises(LabError, match=r"qemu-system-x86_64, .*apt-get install qemu-system-x86"):
        preflight.check_machines(1, 512)


def test_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.platform, "machine", lambda: "aarch64")
    with pytest.raises(LabError, match="x86_64 only"):
        preflight.check_machines(1, 512)


# --- machines that do not come up


def _logs(lab: Lab, host: str, **logs: str) -> None:
    folder = lab.folder(host) / "log"
    folder.mkdir(parents=True)
    for name, text in logs.items():
        (folder / name.replace("_", ".")).write_text(text)


def test_a_machine_that_never_boots_shows_its_console(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "greeting", lambda *_args: "")
    monkeypatch.setattr(machines, "UP_TIMEOUT", 0.0)
    _logs(LAB, "lab1", console_log="line 1\nlast line\n")
    with pytest.raises(LabError, match=r"lab1: sshd does not answer(.|\n)*\n    last line"):
        machines.wait(LAB, lambda _line: None)


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ({"qemu_ended": "status 1", "qemu_log": "no tap\n"}, r"QEMU ended with status 1 \(no tap"),
        ({"console_log": "[1.0] Kernel panic - not syncing: VFS\n"}, "its kernel panicked"),
    ],
)
def test_a_machine_that_dies_is_not_waited_for(
    roots: Path, monkeypatch: pytest.MonkeyPatch, logs: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(health, "greeting", lambda *_args: "")
    _logs(LAB, "lab1", **logs)
    with pytest.raises(LabError, match=said):
        machines.wait(LAB, lambda _line: None)


def test_a_machine_whose_qemu_ended_is_not_running(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "firsts", lambda _lab: {"lab1": 1})
    _logs(LAB, "lab1", qemu_ended="signal 9")
    assert [host.problem for host in machines.look(LAB)] == ["is not running"] * 2


def test_a_bare_machine_needs_no_engine_to_be_well(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "firsts", lambda _lab: {"lab1": 1, "lab2": 1})
    monkeypatch.setattr(processes, "members", lambda _pid: 2)
    monkeypatch.setattr(health, "greeting", lambda *_args: "OpenSSH")
    monkeypatch.setattr(machines, "ask", lambda *_args: "none 0\n")
    assert machines.look(LAB)[0] == HostHealth("lab1", "198.18.7.1", "OpenSSH", "none", 0, 2)
    assert not machines.look(LAB)[0].problem
    monkeypatch.setattr(machines, "ask", lambda *_args: "")
    assert machines.look(LAB)[0].problem == "dockerd does not answer"


# --- the life cycle


def test_another_kind_of_lab_under_that_name_is_refused(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_look", lambda _lab: [])
    lifecycle._must_be_well(LAB, None, None)
    lifecycle._must_be_well(LAB, 2, Machines(accelerator="kvm"))
    with pytest.raises(LabError, match="of another kind"):
        lifecycle._must_be_well(LAB, 2, Machines("bookworm"))
    with pytest.raises(LabError, match="of another kind"):
        lifecycle._must_be_well(Lab("lab", 7, 3), None, Machines())


def test_a_lab_that_is_coming_up_is_left_alone(roots: Path) -> None:
    state.save(LAB)
    with state.claimed("lab"), pytest.raises(LabError, match="is bringing it up"):
        lifecycle.down("lab", roots / "lab.yaml")
    state.check_unclaimed("lab")


def test_a_disk_that_fills_up_is_one_line_and_nothing_is_left(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(lab: Lab, _image: Image) -> None:
        lab.folder("lab1").mkdir(parents=True)
        raise OSError(errno.ENOSPC, "No space left on device", "/var/x")

    monkeypatch.setattr(
        lifecycle, "_prepare_machines", lambda *_: machines.Start(Machines(), IMAGE)
    )
    monkeypatch.setattr(machines, "begin", begin)
    monkeypatch.setattr(wire, "free_subnet", lambda _taken: 7)
    for name in ("kill", "found"):
        monkeypatch.setattr(processes, name, lambda _lab=None: [])
    monkeypatch.setattr(wire, "disconnect", lambda _lab: None)
    with pytest.raises(LabError, match=r"^lab lab: /var/x: No space left on device; [^\n]+$"):
        lifecycle.up("lab", 1, roots / "lab.yaml", Owner(0, 0), machines=Machines())
    assert not layout.data_folder("lab").exists()
    assert not layout.state_folder("lab").exists()


@pytest.mark.parametrize(
    ("addresses", "names", "taken", "free"),
    [
        ([], [], set(), 0),
        (["198.18.0.0/23"], ["nblab2"], {3}, 4),
        (["198.18.0.0/16"], [], set(), None),
        ([], [], set(range(256)), None),
    ],
)
def test_the_first_subnet_that_nobody_uses(
    monkeypatch: pytest.MonkeyPatch,
    addresses: list[str],
    names: list[str],
    taken: set[int],
    free: int | None,
) -> None:
    class Netlink:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_fault: object) -> None: ...

        def get_links(self) -> list[dict[str, str]]:
            return [Attributes({"IFLA_IFNAME": name}) for name in names]

    class Attributes(dict[str, str]):
        def get_attr(self, name: str) -> str:
            return self[name]

    monkeypatch.setattr(wire, "IPRoute", Netlink)
    monkeypatch.setattr(wire, "_networks", lambda _machine: map(IPv4Network, addresses))
    if free is None:
        with pytest.raises(LabError, match=r"every /24 of .* is in use .*--all"):
            wire.free_subnet(taken)
    else:
        assert wire.free_subnet(taken) == free


def test_down_all_takes_down_what_can_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(name: str, _inventory: Path) -> bool:
        if name == "busy":
            raise LabError("lab busy: another one is bringing it up", "wait for it")
        return True

    monkeypatch.setattr(cli, "_become_root", lambda: None)
    monkeypatch.setattr(lifecycle, "every", lambda: ["busy", "idle"])
    monkeypatch.setattr(lifecycle, "down", down)
    ended = CliRunner().invoke(cli.command, ["down", "--all"])
    assert ended.exit_code == 1
    assert "lab idle: down" in ended.stdout
    assert "lab busy: another one" in ended.stderr


def test_taps_have_names_of_legal_length() -> None:
    assert len(wire.port(layout.MAX_HOSTS)) <= 15


# --- the command line


@pytest.mark.parametrize("option", ["--bare", "--filter-macs", "--memory=512"])
def test_options_of_machines_need_the_backend(option: str) -> None:
    ended = CliRunner().invoke(cli.command, ["up", option])
    assert ended.exit_code == 2
    assert f"{option.partition('=')[0]} is for --backend vm" in ended.output


def test_the_options_reach_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def up(*args: object, **more: object) -> tuple[Lab, bool]:
        asked.update(more)
        return LAB, False

    monkeypatch.setattr(cli, "_become_root", lambda: None)
    monkeypatch.setattr(lifecycle, "up", up)
    words = ["up", "--backend", "vm", "--suite", "bookworm", "--bare", "--memory", "512"]
    assert CliRunner().invoke(cli.command, words).exit_code == 0
    assert asked["machines"] == Machines("bookworm", bare=True, memory=512)
    assert asked["suite"] is None
    assert CliRunner().invoke(cli.command, ["up"]).exit_code == 0
    assert asked["machines"] is None
    assert asked["suite"] is None
    assert CliRunner().invoke(cli.command, ["up", "--suite", "trixie"]).exit_code == 0
    assert asked["machines"] is None
    assert asked["suite"] == "trixie"
