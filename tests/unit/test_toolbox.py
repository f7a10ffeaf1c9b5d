"""The toolbox image: its mirror, content, archive and cache; and the scripts inside it."""

import gzip
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.errors import ImageError
from bench.toolbox import build, debian, mirror, recipe
from bench.toolbox.archive import Archive, oci_architecture

FILES = Path(build.__file__).parent / "files"

STATUS = "".join(
    f"Package: {package}\nStatus: install ok installed\nArchitecture: amd64\n"
    f"Maintainer: x\nVersion: 1.{number}\nDescription: x\n\n"
    for number, package in enumerate(recipe.TOOLS.values())
)

# Stands in for mmdebstrap: tells what it was asked, copies a tree, or fails as told.
FAKE = """#!/bin/sh
echo "$@" >>"$FAKE_LOG"
echo "I: running apt-get update..." >&2
[ -z "${FAKE_SLEEP-}" ] || sleep "$FAKE_SLEEP"
if [ -n "${FAKE_FAILS-}" ]; then
    echo "$FAKE_FAILS" >&2
    exit 25
fi
for target; do case $target in *.tar) cp "$FAKE_TREE" "$target" ;; esac; done
"""


def tree(path: Path) -> None:
    """A small tree as mmdebstrap packs it."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, data: bytes | None = None, **more: object) -> None:
            member = tarfile.TarInfo(f"./{name}")
            member.mtime, member.uname, member.mode = 2_000_000_000, "root", 0o755
            if data is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)

        add("")
        for folder in ("usr", "usr/bin", "usr/share", "usr/share/doc", "tmp", "dev", "etc"):
            add(folder)
        add("usr/bin/iperf3", b"program")
        add("usr/bin/twin", type=tarfile.LNKTYPE, linkname="./usr/bin/iperf3")
        add("bin", type=tarfile.SYMTYPE, linkname="usr/bin")
        add("dev/null", type=tarfile.CHRTYPE)
        add("usr/share/doc/iperf3/README", b"long")
        add("usr/share/doc/iperf3/copyright", b"licence")
        add("etc/hostname", b"builder")
        add("etc/apt/sources.list", b"deb http://mirror.example/debian")
        add("var/lib/dpkg/status", STATUS.encode())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A machine with a stand-in for mmdebstrap; returns what it was asked so far."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("mmdebstrap", "newuidmap"):
        (programs / name).write_text(FAKE)
        (programs / name).chmod(0o755)
    tree(tmp_path / "tree.tar")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "asked"))
    monkeypatch.setenv("FAKE_TREE", str(tmp_path / "tree.tar"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(mirror.OVERRIDE, "http://mirror.example/debian")
    asked = tmp_path / "asked"
    return lambda: asked.read_text().splitlines() if asked.exists() else []


def members(archive: Archive) -> dict[str, bytes]:
    with archive.open() as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
        return {it.name: tar.extractfile(it).read() for it in tar}  # type: ignore[union-attr]


def test_build_makes_an_archive_whose_id_is_its_configs_digest(
    fake: Callable[[], list[str]],
) -> None:
    said: list[str] = []
    archive = build.ensure_archive(said.append)
    assert "running apt-get update..." in said
    found = members(archive)
    manifest = json.loads(found["manifest.json"])
    assert len(manifest) == 1
    config = found[manifest[0]["Config"]]
    assert archive.image_id == "sha256:" + hashlib.sha256(config).hexdigest()
    assert manifest[0]["RepoTags"] == [archive.reference]
    layer = found[manifest[0]["Layers"][0]]
    diff = hashlib.sha256(layer).hexdigest()
    described = json.loads(config)
    assert described["rootfs"]["diff_ids"] == [f"sha256:{diff}"]
    assert archive.reference == f"netbench-toolbox:{diff[:12]}"
    tools = {f"netbench.tool.{name}": version for name, version in archive.tools.items()}
    assert described["config"]["Labels"] == {"netbench.toolbox": diff[:12], **tools}
    assert described["architecture"] == archive.architecture
    assert archive.tools["iperf3"] == "1.0"
    assert set(archive.tools) == set(recipe.TOOLS)
    (asked,) = fake()
    assert " trixie " in asked
    assert asked.endswith(" http://mirror.example/debian")


def test_the_layer_has_what_is_wanted_and_nothing_of_the_builder(
    fake: Callable[[], list[str]],
) -> None:
    found = members(build.ensure_archive())
    (layer,) = (data for name, data in found.items() if name.endswith("layer.tar"))
    assert b"mirror.example" not in layer
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        inside = {it.name: it for it in tar}
    assert inside["usr/bin/iperf3"].mode == 0o755
    assert inside["usr/bin/twin"].linkname == "usr/bin/iperf3"
    assert inside["bin"].linkname == "usr/bin"
    assert "usr/share/doc/iperf3/copyright" in inside
    assert inside["tmp"].isdir()
    for dropped in ("usr/share/doc/iperf3/README", "dev/null", "etc/hostname", "etc/apt"):
        assert dropped not in inside or inside[dropped].isdir()
    assert "etc/apt/sources.list" not in inside
    for command in ("serve", "echo", "http-load", "probe"):
        assert inside[f"usr/bin/netbench-{command}"].mode == 0o755
    assert inside["usr/share/netbench/body-1k"].size == 1024
    assert all(it.mtime <= recipe.EPOCH and not it.uname for it in inside.values())
    assert not any(it.ischr() or it.isblk() for it in inside.values())


def test_a_second_call_takes_the_cache_and_gives_the_same(fake: Callable[[], list[str]]) -> None:
    first = build.ensure_archive()
    assert build.ensure_archive() == first
    assert len(fake()) == 1


def test_the_same_recipe_gives_the_same_bytes(
    fake: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build.ensure_archive()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    second = build.ensure_archive()
    assert second.path != first.path
    assert second.path.read_bytes() == first.path.read_bytes()


@pytest.mark.parametrize("damage", ["cut", "no description", "half a description"])
def test_a_damaged_cache_is_built_anew(fake: Callable[[], list[str]], damage: str) -> None:
    first = build.ensure_archive()
    description = first.path.with_name(first.path.name.replace(".tar.gz", ".json"))
    if damage == "cut":
        first.path.write_bytes(first.path.read_bytes()[:-1])
    elif damage == "no description":
        description.unlink()
    else:
        description.write_text(description.read_text()[:20])
    assert build.ensure_archive() == first
    assert len(fake()) == 2
    assert gzip.decompress(first.path.read_bytes())


def test_two_at_once_build_once(
    fake: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SLEEP", "0.3")
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: build.ensure_archive(said.append), range(2))
    assert one == two
    assert len(fake()) == 1
    assert any("waiting for another" in line for line in said)


@pytest.mark.parametrize(
    ("says", "hint"),
    [
        ("E: cp: No space left on device", "make room"),
        ("E: The repository is not signed. NO_PUBKEY 6ED0E7B82643E131", "debian-archive-keyring"),
        ("E: Failed to fetch x  Could not connect to mirror:80", mirror.OVERRIDE),
        ("E: Unable to locate package iperf3", mirror.OVERRIDE),
        ("E: newuidmap failed", "uidmap"),
        ("E: something else", "--image"),
    ],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(
    fake: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, says: str, hint: str
) -> None:
    monkeypatch.setenv("FAKE_FAILS", says)
    with pytest.raises(ImageError) as caught:
        build.ensure_archive()
    assert says in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert [it.name for it in build.cache_folder().iterdir()] == ["toolbox.lock"]
    monkeypatch.delenv("FAKE_FAILS")
    assert build.ensure_archive().path.exists()


def test_what_a_killed_build_left_is_cleared(fake: Callable[[], list[str]]) -> None:
    left = build.cache_folder() / "build-killed"
    left.mkdir(parents=True)
    (left / "tree.tar").write_bytes(b"half")
    build.ensure_archive()
    assert not left.exists()


def test_without_mmdebstrap_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="sudo apt-get install mmdebstrap"):
        debian.build_tree(tmp_path / "x.tar", lambda _line: None)


def test_a_cache_that_cannot_be_is_named(
    fake: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ImageError, match=r"file.*XDG_CACHE_HOME"):
        build.ensure_archive()


def test_a_tree_without_its_tools_is_refused(fake: Callable[[], list[str]], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "tree.tar", "w") as tar:
        member = tarfile.TarInfo("./var/lib/dpkg/status")
        member.size = len(STATUS.partition("\n\n")[2].encode())
        tar.addfile(member, io.BytesIO(STATUS.partition("\n\n")[2].encode()))
    with pytest.raises(ImageError, match="lacks iperf3"):
        build.ensure_archive()


def test_the_recipes_digest_follows_architecture_and_content() -> None:
    assert recipe.digest("amd64") == recipe.digest("amd64")
    assert recipe.digest("amd64") != recipe.digest("arm64")
    assert oci_architecture("armhf") == ("arm", "v7")
    assert oci_architecture("amd64") == ("amd64", None)
    assert "iperf3" in recipe.PACKAGES
    commands = [path for path, mode, _ in recipe.own_files() if mode & stat.S_IXUSR]
    assert "usr/bin/netbench-probe" in commands


LISTING = """\
Contents|Debian|bookworm|main|http://contents.example/debian/
Packages|Docker CE|bookworm|stable|https://docker.example/linux/debian/
Packages|Debian-Security|bookworm-security|main|http://mirror.example/debian-security/
Packages|Debian|bookworm|contrib|http://mirror.example/contrib/
Packages|Debian|bookworm|main|http://mirror.example/debian/
Packages|Debian|bookworm-updates|main|http://other.example/debian/
"""


def test_the_mirror_is_the_one_this_machine_uses() -> None:
    assert mirror.choose(LISTING, "bookworm") == "http://mirror.example/debian/"


def test_before_the_first_update_the_suites_name_decides() -> None:
    listing = (
        "Packages||nodistro|main|https://node.example/\n"
        "Packages||bookworm-security|main|http://security.example/\n"
        "Packages||bookworm|main|cdrom:[Debian 12]/\n"
        "Packages||bookworm|main|http://mirror.example/debian/\n"
    )
    assert mirror.choose(listing, "bookworm") == "http://mirror.example/debian/"
    assert mirror.choose("Packages|Ubuntu|noble|main|http://u.example/\n", "noble") is None
    assert mirror.choose("", "bookworm") is None


def test_the_environment_names_the_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mirror.OVERRIDE, "http://mine.example/debian")
    assert mirror.find() == "http://mine.example/debian"
    monkeypatch.setenv(mirror.OVERRIDE, "")
    assert mirror.find() is None


def test_a_silent_apt_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "apt-get"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(mirror.OVERRIDE, raising=False)
    monkeypatch.setattr(mirror, "WITHIN", 0.2)
    monkeypatch.setattr(mirror, "_system", lambda: {"ID": "debian"})
    with pytest.raises(ImageError, match=f"which mirror.*{mirror.OVERRIDE}"):
        mirror.find()


def test_apt_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\ncat <<'X'\n{LISTING}X\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv(mirror.OVERRIDE, raising=False)
    system = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: system)
    assert mirror.find() == "http://mirror.example/debian/"
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "fedora"})
    assert mirror.find() is None


# --- the image's own scripts, as far as they run anywhere ----------------------------------------


def start_serve(*words: str) -> subprocess.Popen[str]:
    # A shell cannot trap what was ignored when it began, as after nohup.
    listening = ("env", "--default-signal=HUP,INT,TERM")
    return subprocess.Popen(
        [*listening, "sh", FILES / "netbench-serve", *words], stderr=subprocess.PIPE, text=True
    )


def wait_for(done: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_serve_starts_all_starts_again_and_ends_all_on_term(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two words"
    sleeper = 'echo $$ >>"$0"; exec sleep 60'
    serve = start_serve("sh", "-c", sleeper, str(one), "--", "sh", "-c", sleeper, str(two))
    try:
        wait_for(lambda: one.exists() and two.exists() and bool(two.read_text()))
        first = int(one.read_text())
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(one.read_text().split()) == 2)
        assert len(two.read_text().split()) == 1
        serve.send_signal(signal.SIGHUP)
        wait_for(lambda: len(two.read_text().split()) == 2)
        began = time.monotonic()
        serve.terminate()
        assert serve.wait(5) == 0
        assert time.monotonic() - began < 1
        pids = [int(pid) for pid in (*one.read_text().split(), *two.read_text().split())]
        wait_for(lambda: not any(alive(pid) for pid in pids))
    finally:
        serve.kill()
        _, said = serve.communicate()
    assert "sh ended with status 137; it is started again" in said


@pytest.mark.parametrize("words", [(), ("--",), ("--", "true")])
def test_serve_refuses_nothing_to_serve(words: tuple[str, ...]) -> None:
    serve = start_serve(*words)
    _, said = serve.communicate(timeout=10)
    assert serve.returncode == 2
    assert "usage" in said


# Hangs where a word of its command line says so for the stretch that it is, ends with a status or
# of a signal likewise.
FAKE_H2LOAD = """#!/bin/sh
stretch=plain
case $1 in --log-file=*) stretch=logged log=${1#--log-file=}; shift;; esac
echo "$stretch $*"
echo "warning" >&2
for word; do
    case $word in
        --$stretch=hang) echo $$ >>"$PIDS"; exec sleep 60;;
        --$stretch=kill) kill -KILL $$;;
        --$stretch=broken) printf '5\\t20' >"$log";;
        --$stretch=[0-9]*) status=${word#*=};;
    esac
done
[ -z "$log" ] ||
    printf '1\\t200\\t150\\n2\\t200\\t90\\n3\\t200\\t150\\n4\\t-1\\t7\\n' >>"$log"
exit "${status-0}"
"""
BETWEEN = "netbench-http-load: logged\n"


@pytest.fixture
def http_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "h2load").write_text(FAKE_H2LOAD)
    (tmp_path / "h2load").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    return ["perl", str(FILES / "netbench-http-load")]


def logs_of(pid: int) -> list[Path]:
    folders = (Path("/run/netbench"), Path("/tmp"))  # noqa: S108 - where the script keeps them
    return [log for folder in folders for log in folder.glob(f"h2load.{pid}.*")]


def run_http_load(http_load: list[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; no log is left."""
    with subprocess.Popen(
        [*http_load, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        out, log = process.communicate(timeout=10)
    assert logs_of(process.pid) == []
    return process.returncode, out, log


@pytest.mark.parametrize(("word", "status"), [("0", 0), ("3", 3), ("kill", 137)])
def test_http_load_runs_h2load_plain_and_then_logged_and_keeps_its_exit_code(
    http_load: list[str], word: str, status: int
) -> None:
    own = ("--logged-duration=1", "--logged-warm-up-time=500ms")
    words = ("--duration=5", f"--logged={word}", "http://a/echo")
    code, out, log = run_http_load(http_load, *own, *words)
    assert code == status
    # What it is told last decides, and the address comes last.
    logged = "--duration=5 --duration=1 --warm-up-time=500ms http://a/echo"
    logged = logged.replace("--duration=5", f"--duration=5 --logged={word}")
    assert out == (f"plain {' '.join(words)}\nwarning\n{BETWEEN}logged {logged}\nwarning\n")
    assert log == ("" if word == "kill" else "1 -1 7\n1 200 90\n2 200 150\n")


@pytest.mark.parametrize(("word", "status"), [("3", 3), ("kill", 137)])
def test_http_load_ends_where_the_plain_stretch_fails(
    http_load: list[str], word: str, status: int
) -> None:
    code, out, log = run_http_load(http_load, "--logged-duration=1", f"--plain={word}", "http://a")
    assert (code, out, log) == (status, f"plain --plain={word} http://a\nwarning\n", "")


def test_http_load_without_a_word_is_h2loads_to_refuse(http_load: list[str]) -> None:
    assert run_http_load(http_load)[1] == f"plain \nwarning\n{BETWEEN}logged \nwarning\n"


def test_http_load_refuses_a_broken_log(http_load: list[str]) -> None:
    code, _, log = run_http_load(http_load, "--logged=broken", "http://a")
    assert code == 75
    assert log == "netbench-http-load: the log of requests has a broken line\n"


@pytest.mark.parametrize("stretch", ["plain", "logged"])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_http_load_that_is_ended_ends_h2load_and_removes_the_log(
    http_load: list[str], tmp_path: Path, stretch: str, number: int, status: int
) -> None:
    with subprocess.Popen(
        [*http_load, f"--{stretch}=hang", "http://a"], stdout=subprocess.DEVNULL
    ) as process:
        pids = tmp_path / "pids"
        wait_for(lambda: pids.exists() and bool(pids.read_text()))
        assert logs_of(process.pid)
        process.send_signal(number)
        assert process.wait(5) == status
        wait_for(lambda: not alive(int(pids.read_text())))
        assert logs_of(process.pid) == []
