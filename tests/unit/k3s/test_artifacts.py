from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from labctl.errors import UsageError
from labctl.k3s.artifacts import ArtifactError, from_directory
from labctl.k3s.release import architecture, binary_name, parse_version
from labctl.k3s.versions import binary_version

ELF_AMD64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + b"rest of the program"
ELF_ARM64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + b"rest of the program"


def release(folder: Path, content: bytes = ELF_AMD64, *, listed: bytes | None = None) -> Path:
    (folder / "k3s").write_bytes(content)
    images = folder / "k3s-airgap-images-amd64.tar.zst"
    images.write_bytes(b"images")
    sums = {"k3s": listed if listed is not None else content, images.name: b"images"}
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sums.items()]
    (folder / "sha256sum-amd64.txt").write_text("".join(lines))
    return folder


def test_the_files_of_a_release_are_found_and_verified(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "study.tar").write_bytes(b"own")
    (tmp_path / "registries.yaml").write_text("mirrors: {}\n")
    found = from_directory(release(tmp_path), ["amd64", "amd64"])
    assert found.binaries["amd64"].sha256 == hashlib.sha256(ELF_AMD64).hexdigest()
    assert [item.path.name for item in found.images["amd64"]] == ["k3s-airgap-images-amd64.tar.zst", "study.tar"]
    assert found.registries == "mirrors: {}\n"
    assert found.unverified == ("study.tar",)


@pytest.mark.parametrize(
    ("listed", "content", "archs", "message"),
    [
        (ELF_AMD64, ELF_AMD64[:-5], ["amd64"], "is not what its release says"),
        (None, ELF_ARM64, ["amd64"], "is made for arm64, and the hosts are amd64"),
        (None, ELF_AMD64, ["arm64"], "has no file k3s-arm64, which the arm64 hosts need"),
    ],
)
def test_damaged_and_foreign_files_are_refused_before_anything_is_sent(
    tmp_path: Path, listed: bytes | None, content: bytes, archs: list[str], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        from_directory(release(tmp_path, content, listed=listed), archs)
    assert caught.value.hint
    assert caught.value.exit_status == 4


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        from_directory(tmp_path / "none", ["amd64"])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("v1.30.4+k3s1", "v1.30.14+k3s1"),
        ("v1.30.14+k3s1", "v1.30.14+k3s2"),
        ("v1.30.14-rc1+k3s1", "v1.30.14+k3s1"),
        ("v1.30.14+k3s2", "v1.31.0-rc1+k3s1"),
    ],
)
def test_releases_are_in_order_of_age(older: str, newer: str) -> None:
    first, second = parse_version(older), parse_version(f"k3s version {newer} (abc)")
    assert first is not None
    assert second is not None
    assert first < second
    assert str(second) == newer


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "k3s"), ("aarch64", "k3s-arm64"), ("armv7l", "k3s-armhf")])
def test_a_machine_has_its_own_file(machine: str, name: str) -> None:
    assert binary_name(architecture(machine)) == name


def test_a_binary_says_its_release_in_its_bytes_wherever_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "k3s"
    path.write_bytes(ELF_ARM64 + b"x" * 50 + b"v1.31.4+k3s1\0more")
    monkeypatch.setattr("labctl.k3s.versions.CHUNK", 40)
    assert str(binary_version(path)) == "v1.31.4+k3s1"


def test_a_binary_for_another_machine_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "k3s"
    path.write_bytes(ELF_ARM64)
    assert binary_version(path) is None
