"""What SSH is told before it opens a connection: hosts, jumps, keys on record, keys to offer."""

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from paramiko.hostkeys import HostKeys

from bench.errors import HostKeyError, HostUnreachable, UsageError
from bench.model import Host
from bench.remote.identities import Identities
from bench.remote.known_hosts import host_name, known_keys
from bench.remote.ssh_config import Endpoint, read_config, resolve, resolve_jump


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_line(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def shown(key: Ed25519PrivateKey) -> paramiko.PKey:
    kind, blob = public_line(key).split()
    return paramiko.PKey.from_type_string(kind, base64.b64decode(blob))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


# --- known_hosts


@pytest.mark.parametrize(
    "line",
    [
        "h.example.org {key}",
        "other,h.example.org {key} a comment",
        "*.example.org {key}",
        "{hashed} {key}",
        "# nothing\n\nbroken line\nh.example.org ssh-rsa !!!\nh.example.org\t{key}",
    ],
)
def test_a_key_on_record_is_accepted(home: Path, line: str) -> None:
    key = new_key()
    hashed = HostKeys.hash_host("h.example.org")
    file = home / "known"
    file.write_text(line.format(key=public_line(key), hashed=hashed) + "\n")
    known = known_keys("h", "h.example.org", [file])
    known.verify(shown(key), address="h.example.org", port=22)
    assert known.types == ("ssh-ed25519",)


def test_either_of_two_keys_is_accepted(home: Path) -> None:
    old, new = new_key(), new_key()
    file = home / "known"
    file.write_text(f"h {public_line(old)}\nh {public_line(new)}\n")
    for key in (old, new):
        known_keys("h", "h", [file]).verify(shown(key), address="h", port=22)


@pytest.mark.parametrize(
    "line",
    ["", "other {key}", "h.example.org.uk {key}", "![h]:2222,* {key}", "@cert-authority h {key}"],
)
def test_an_unknown_key_is_refused_with_the_command_that_adds_it(home: Path, line: str) -> None:
    key = new_key()
    file = home / ".ssh" / "known hosts"
    file.write_text(line.format(key=public_line(key)) + "\n")
    with pytest.raises(HostKeyError) as caught:
        known_keys("h", host_name("h", 2222), [file]).verify(shown(key), address="h", port=2222)
    digest = hashlib.sha256(shown(key).asbytes()).digest()
    assert f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}" in caught.value.what
    command = "ssh-keyscan -t ed25519 -p 2222 h >> ~/'.ssh/known hosts'"
    assert caught.value.hint.endswith(command)


def test_an_unknown_key_behind_a_jump_host(home: Path) -> None:
    with pytest.raises(HostKeyError) as caught:
        known_keys("h", "h", [home / "none"]).verify(
            shown(new_key()), address="h", port=22, via="u@gate"
        )
    assert "-J u@gate -p 22 h true" in caught.value.hint


def test_a_changed_key_is_refused_with_the_commands_that_replace_it(home: Path) -> None:
    old, new = new_key(), new_key()
    file = home / "known"
    file.write_text(f"[h]:2222 {public_line(old)}\n")
    with pytest.raises(HostKeyError, match="has changed") as caught:
        known_keys("h", "[h]:2222", [file]).verify(shown(new), address="h", port=2222)
    assert shown(old).fingerprint in caught.value.what
    assert "ssh-keygen -R '[h]:2222' -f ~/known && ssh-keyscan" in caught.value.hint


def test_a_revoked_key_is_refused_though_it_is_on_record(home: Path) -> None:
    key = new_key()
    file = home / "known"
    file.write_text(f"h {public_line(key)}\n@revoked * {public_line(key)}\n")
    with pytest.raises(HostKeyError, match="revoked"):
        known_keys("h", "h", [file]).verify(shown(key), address="h", port=22)


@given(st.text(max_size=300))
def test_any_known_hosts_file_is_read_and_trusts_nobody_by_accident(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("any") / "known"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(HostKeyError):
        known_keys("h", "h", [file]).verify(shown(new_key()), address="h", port=22)


# --- ~/.ssh/config


def configured(home: Path, text: str) -> paramiko.SSHConfig:
    (home / ".ssh" / "config").write_text(text)
    return read_config()


def test_the_config_fills_in_what_the_inventory_leaves_open(home: Path) -> None:
    config = configured(
        home,
        """
Host vm
  HostName 192.0.2.9
  User me
  Port 2200
  IdentityFile ~/keys/one
  IdentityFile ~/keys/two
  IdentitiesOnly yes
  UserKnownHostsFile ~/known1 ~/known2
  ProxyJump a,b
""",
    )
    found = resolve(Host("vm1", "vm"), config)
    assert (found.address, found.port, found.user) == ("192.0.2.9", 2200, "me")
    assert found.key_files == (home / "keys/one", home / "keys/two")
    assert found.identities_only
    assert found.named_keys
    assert found.known_hosts_files[:2] == (home / "known1", home / "known2")
    assert found.jumps == ("a", "b")
    over = Host("vm1", "vm", "root", 22, Path("/k"), Path("/known"), "none")
    found = resolve(over, config)
    assert (found.address, found.port, found.user) == ("192.0.2.9", 22, "root")
    assert found.required_key == Path("/k")
    assert found.known_hosts_files[0] == Path("/known")
    assert found.jumps == ()


def test_without_a_config_sshs_defaults_hold(home: Path) -> None:
    found = resolve(Host("a", "192.0.2.1"), read_config())
    assert (found.address, found.port) == ("192.0.2.1", 22)
    assert found.user
    assert home / ".ssh/id_ed25519" in found.key_files
    assert not found.named_keys
    assert found.known_hosts_files[0] == home / ".ssh/known_hosts"
    assert Path("/etc/ssh/ssh_known_hosts") in found.known_hosts_files


def test_a_known_hosts_file_of_dev_null_does_not_count(home: Path) -> None:
    config = configured(home, "Host *\n UserKnownHostsFile /dev/null\n StrictHostKeyChecking no\n")
    found = resolve(Host("a", "a"), config)
    assert found.known_hosts_files[0] == home / ".ssh/known_hosts"


def test_included_files_count_and_leave_the_section(home: Path) -> None:
    (home / ".ssh/config.d").mkdir()
    (home / ".ssh/config.d/10.conf").write_text("Host a\n  Port 2201\n")
    (home / ".ssh/config.d/20.conf").write_text("Host b\n  Port 2202\n")
    config = configured(home, "Include config.d/*.conf\nUser everywhere\nHost a\n  Port 1\n")
    for name, port in (("a", 2201), ("b", 2202), ("c", 22)):
        found = resolve(Host(name, name), config)
        assert (found.port, found.user) == (port, "everywhere")


def test_a_config_that_cannot_be_read_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError, match=r"\.ssh/config"):
        configured(home, "Host a\n  ???\n")


def test_jump_hosts_have_settings_of_their_own(home: Path) -> None:
    config = configured(home, "Host gate\n HostName 192.0.2.2\n User j\n ProxyJump outer\n")
    host = Host("a", "a", "root", 2222, Path("/k"), Path("/known"))
    found = resolve_jump("gate", config, host, nearest=True)
    assert (found.address, found.port, found.user) == ("192.0.2.2", 22, "j")
    assert found.required_key is None
    assert found.known_hosts_files[0] == Path("/known")
    assert found.jumps == ("outer",)
    found = resolve_jump("u@gate:99", config, host, nearest=False)
    assert (found.user, found.port, found.jumps) == ("u", 99, ())
    found = resolve_jump("u@[2001:db8::1]:99", config, host, nearest=False)
    assert (found.address, found.port) == ("2001:db8::1", 99)
    with pytest.raises(HostUnreachable, match="no jump host"):
        resolve_jump("gate:ninety", config, host, nearest=True)


# --- keys to log in with


def offered(endpoint: Endpoint) -> list[str]:
    identities = Identities("h", endpoint, paramiko.Agent())
    list(identities.get_sources())
    return identities.tried.files


def write_key(path: Path, passphrase: bytes | None = None) -> Path:
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(new_key().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, how))
    return path


def test_the_inventorys_key_comes_first(home: Path) -> None:
    usual = write_key(home / ".ssh/id_ed25519")
    own = write_key(home / "own")
    endpoint = resolve(Host("a", "a", key_file=own), read_config())
    assert offered(endpoint) == [str(own), str(usual)]
    assert offered(replace(endpoint, required_key=usual)) == [str(usual)]


def test_keys_of_the_config_may_be_missing_but_are_named_when_locked(home: Path) -> None:
    locked = write_key(home / "locked", b"secret")
    config = configured(home, f"Host *\n IdentityFile ~/none\n IdentityFile {locked}\n")
    identities = Identities("h", resolve(Host("a", "a"), config), paramiko.Agent())
    assert list(identities.get_sources()) == []
    assert f"{locked} needs a passphrase" in str(identities.tried)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("none", "does not exist"),
        ("folder", "cannot be read"),
        ("locked", "needs a passphrase and the agent does not have it"),
        ("junk", "is no private key"),
        ("public", "is no private key"),
    ],
)
def test_the_inventorys_key_must_be_usable(home: Path, kind: str, says: str) -> None:
    (home / "folder").mkdir()
    write_key(home / "locked", b"secret")
    (home / "junk").write_text("junk")
    (home / "public").write_text(public_line(new_key()))
    endpoint = resolve(Host("a", "a", key_file=home / kind), read_config())
    with pytest.raises(HostUnreachable) as caught:
        offered(endpoint)
    assert f"key file {home / kind} {says}" in caught.value.what
    assert caught.value.hint
    assert "secret" not in str(caught.value)
