"""What users and networks get wrong, through the CLI: one line names it, nothing is created."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import LAB, Ended

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def before(footprint: Callable[[], str]) -> str:
    return footprint()


@pytest.fixture
def edited(lab_inventory: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """The lab's inventory with one thing changed."""

    def edit(old: str, new: str) -> Path:
        text = lab_inventory.read_text()
        assert old in text
        path = tmp_path / "edited.yaml"
        path.write_text(text.replace(old, new, 1))
        return path

    return edit


@pytest.fixture
def refused(
    netbench: Callable[..., Ended], tmp_path: Path, before: str, footprint: Callable[[], str]
) -> Iterator[Callable[[Path], str]]:
    """Run on an inventory that cannot work; returns the one line that says why."""

    def run(inventory: Path) -> str:
        done = netbench("run", "-i", inventory, "--out", tmp_path / "results", "--blocks", "1")
        assert done.code == 1, done
        assert "Traceback" not in done.err
        line = done.err.splitlines()[-1]
        assert line.startswith("netbench: ")
        assert not list((tmp_path / "results").iterdir())
        return line

    yield run
    assert footprint() == before


def test_a_wrong_key(
    edited: Callable[[str, str], Path],
    refused: Callable[[Path], str],
    lab_inventory: Path,
    tmp_path: Path,
) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    own = lab_inventory.parent / f".{LAB}" / "id_ed25519"
    line = refused(edited(str(own), str(key)))
    assert f"{LAB}1: " in line
    assert str(key) in line


def test_a_key_file_that_is_not_there(
    edited: Callable[[str, str], Path], refused: Callable[[Path], str], lab_inventory: Path
) -> None:
    own = lab_inventory.parent / f".{LAB}" / "id_ed25519"
    line = refused(edited(str(own), "/nowhere/id"))
    assert "/nowhere/id" in line


def test_an_unknown_host_key_comes_with_the_command_that_fixes_it(
    edited: Callable[[str, str], Path],
    refused: Callable[[Path], str],
    lab_inventory: Path,
    tmp_path: Path,
) -> None:
    known = tmp_path / "known"
    known.touch()
    own = lab_inventory.parent / f".{LAB}" / "known_hosts"
    line = refused(edited(str(own), str(known)))
    assert "SHA256:" in line
    assert "ssh-keyscan" in line


def test_an_address_where_nobody_is(
    edited: Callable[[str, str], Path], refused: Callable[[Path], str], hosts: list[str]
) -> None:
    own = edited("all:", "all:").read_text().split("ansible_host: ")[1].split()[0]
    subnet = own.rpartition(".")[0]
    line = refused(edited(f"ansible_host: {subnet}.2", f"ansible_host: {subnet}.99"))
    assert f"{hosts[1]}: " in line
    assert f"{subnet}.99" in line


def test_an_engine_that_is_down(
    lab_inventory: Path,
    refused: Callable[[Path], str],
    on_host: Callable[..., str],
    hosts: list[str],
) -> None:
    on_host(hosts[2], "mv /run/docker.sock /run/docker.sock.off")
    try:
        line = refused(lab_inventory)
    finally:
        on_host(hosts[2], "mv /run/docker.sock.off /run/docker.sock")
    assert f"{hosts[2]}: " in line
    assert "engine" in line.lower()


def test_a_user_who_may_not_use_the_engine(
    edited: Callable[[str, str], Path],
    refused: Callable[[Path], str],
    on_host: Callable[..., str],
    hosts: list[str],
) -> None:
    for host in hosts:
        on_host(host, "useradd -M -d /tmp -s /bin/sh -p '*' nbplain")
    line = refused(edited("ansible_user: root", "ansible_user: nbplain"))
    assert f"{hosts[0]}: " in line
    assert "docker" in line
    assert "ansible_become" in line


def test_one_host_where_two_are_needed(netbench: Callable[..., Ended], tmp_path: Path) -> None:
    inventory = tmp_path / "one.yaml"
    inventory.write_text("all: {hosts: {only: {ansible_host: 198.18.9.9}}}\n")
    done = netbench("run", "-i", inventory)
    assert done.code == 2
    assert "needs two hosts and the inventory has 1" in done.err


@pytest.mark.parametrize("verb", ["run", "plan", "check", "clean"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "missing.yaml"),
        ("all: [", "1"),
        ("all:\n  hosts:\n    a: {netbench_data_adress: 10.0.0.1}\n", "netbench_data_adress"),
        (
            "all:\n  hosts:\n    a: {ansible_host: 10.0.0.1}\n    b: {ansible_host: 10.0.0.1}\n",
            "10.0.0.1",
        ),
    ],
)
def test_an_inventory_that_is_missing_or_wrong(
    netbench: Callable[..., Ended], tmp_path: Path, verb: str, text: str | None, says: str
) -> None:
    inventory = tmp_path / "missing.yaml"
    if text is not None:
        inventory.write_text(text)
    done = netbench(verb, "-i", inventory)
    assert done.code == 2, done
    assert str(inventory) in done.err
    assert says in done.err
    assert "Traceback" not in done.err
