from __future__ import annotations

import stat
from pathlib import Path

import paramiko
import pytest

from labctl.errors import UsageError
from labctl.model.inventory import SshOptions
from labctl.ssh.destination import SshConfig
from labctl.ssh.hostkeys import KnownHosts, entry_name, fingerprint
from labctl.ssh.transport import HostKeyError

CONFIG = """\
Host lab-*
  User student
  Port 2200
  IdentityFile ~/.ssh/lab
  ProxyJump jump.example,second@other.example:2022
Host lab-s
  HostName 192.168.10.10
Host behind
  ProxyCommand nc -X 5 %h %p
  IdentitiesOnly yes
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    ssh = tmp_path / ".ssh"
    ssh.mkdir()
    (ssh / "config").write_text(CONFIG)
    (ssh / "lab").write_text("key")
    (ssh / "id_ed25519").write_text("key")
    return tmp_path


def test_ssh_config_fills_what_cluster_yaml_leaves_out(home: Path) -> None:
    found = SshConfig(home).destination("k3s-s", "lab-s", SshOptions())
    assert str(found) == "student@192.168.10.10:2200"
    assert found.identity_files == (home / ".ssh" / "lab",)
    assert [str(jump) for jump in found.jumps][1] == "second@other.example:2022"
    assert found.jumps[0].address == "jump.example"
    assert found.known_hosts[0] == home / ".ssh" / "known_hosts"


def test_cluster_yaml_comes_first(home: Path) -> None:
    key = home / "own"
    key.write_text("key")
    options = SshOptions(user="root", port=22, identity_file=key, proxy_jump="none")
    found = SshConfig(home).destination("k3s-s", "lab-s", options)
    assert (found.user, found.port, found.identity_files, found.jumps) == ("root", 22, (key,), ())
    assert not found.use_agent


def test_a_proxy_command_and_keys_of_the_file_only(home: Path) -> None:
    found = SshConfig(home).destination("b", "behind", SshOptions(user="u"))
    assert found.proxy_command == "nc -X 5 behind 22"
    assert not found.use_agent
    assert found.identity_files == (home / ".ssh" / "id_ed25519",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SshOptions(identity_file=Path("/nowhere/key")), "there is no private key /nowhere/key"),
        (SshOptions(proxy_jump="a:b"), "'a:b' is no jump host"),
    ],
)
def test_what_cannot_be_used_is_named(home: Path, options: SshOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SshConfig(home).destination("n", "plain", options)


def test_a_new_host_key_is_learnt_once_and_said(tmp_path: Path) -> None:
    files = (tmp_path / ".ssh" / "known_hosts",)
    key = paramiko.ECDSAKey.generate()
    said: list[str] = []
    KnownHosts(files, "10.0.0.1", 2222).check("n", key, strict=False, learnt=said.append)
    KnownHosts(files, "10.0.0.1", 2222).check("n", key, strict=True, learnt=said.append)
    assert len(said) == 1
    assert fingerprint(key) in said[0]
    assert files[0].read_text().startswith("[10.0.0.1]:2222 ecdsa-sha2-nistp256 ")
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_an_unknown_host_is_refused_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match="is not known"):
        KnownHosts((tmp_path / "none",), "h", 22).check(
            "n", paramiko.ECDSAKey.generate(), strict=True, learnt=lambda text: None
        )
    assert not (tmp_path / "none").exists()


def test_a_changed_key_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    files = (tmp_path / "known_hosts",)
    old, new = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    files[0].write_text(f"{entry_name('h', 22)} {old.get_name()} {old.get_base64()}\n")
    known = KnownHosts(files, "h", 22)
    assert known.key_types == ("ecdsa-sha2-nistp256",)
    with pytest.raises(HostKeyError) as caught:
        known.check("n", new, strict=False, learnt=lambda text: None)
    assert fingerprint(old) in caught.value.message
    assert fingerprint(new) in caught.value.message
    assert "ssh-keygen -R 'h'" in caught.value.hint


def test_hashed_entries_and_keys_of_another_type_count_as_known(tmp_path: Path) -> None:
    files = (tmp_path / "known_hosts",)
    key = paramiko.ECDSAKey.generate()
    hashed = paramiko.HostKeys.hash_host("h")
    files[0].write_text(f"{hashed} {key.get_name()} {key.get_base64()}\n")
    KnownHosts(files, "h", 22).check("n", key, strict=True, learnt=lambda text: None)
    with pytest.raises(HostKeyError, match="CHANGED"):
        KnownHosts(files, "h", 22).check("n", paramiko.RSAKey.generate(2048), strict=False, learnt=lambda text: None)
