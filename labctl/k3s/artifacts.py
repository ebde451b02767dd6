"""What is put on the hosts: the k3s binary and images, found in a folder and checked before anything is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labctl.errors import UsageError
from labctl.k3s.release import binary_name, elf_architecture, image_names, parse_sums, sums_name
from labctl.status import ExitStatus

IMAGE_SUFFIXES = (".tar", ".tar.gz", ".tar.zst", ".tgz", ".tzst")


class ArtifactError(UsageError):
    """A file for the hosts is missing, damaged, or for other machines."""

    exit_status = ExitStatus.UNREACHABLE


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file for the hosts.

    Attributes:
        path: The local file; with a `url` only its name counts.
        sha256: Its sum, in hexadecimal.
        size: Bytes; 0 when it is not here.
        url: Where the hosts fetch it themselves; empty: it is sent.
    """

    path: Path
    sha256: str
    size: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Everything for the hosts, by architecture.

    Attributes:
        binaries: Architecture → k3s.
        images: Architecture → image archives for it.
        registries: Content of registries.yaml that came with them; empty without one.
        unverified: Files that no list of sums names.
    """

    binaries: Mapping[str, Artifact]
    images: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    registries: str = ""
    unverified: tuple[str, ...] = ()


def from_directory(directory: Path, architectures: Iterable[str]) -> Artifacts:
    """Find the files of a k3s release, named as the release names them, and check them against its sums.

    Image archives are `k3s-airgap-images-<arch>.tar[.gz|.zst]`, and any archive in `images/`.

    Args:
        directory: Where they are.
        architectures: Those of the hosts.

    Raises:
        ArtifactError: One is missing, does not have the sum that its release gives, or is for another machine.
    """
    if not directory.is_dir():
        raise UsageError(
            f"there is no folder {directory}", hint="--artifacts names a folder with the files of a release"
        )
    binaries: dict[str, Artifact] = {}
    images: dict[str, tuple[Artifact, ...]] = {}
    unverified: list[str] = []
    for arch in sorted(set(architectures)):
        sums = _sums(directory, arch)
        binaries[arch] = _checked(_binary(directory, arch), sums, unverified)
        _check_machine(binaries[arch].path, arch)
        images[arch] = tuple(_checked(path, sums, unverified) for path in _images(directory, arch))
    registries = directory / "registries.yaml"
    text = registries.read_text(encoding="utf-8") if registries.is_file() else ""
    return Artifacts(binaries, images, text, tuple(dict.fromkeys(unverified)))


def _sums(directory: Path, arch: str) -> Mapping[str, str]:
    path = directory / sums_name(arch)
    return parse_sums(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _binary(directory: Path, arch: str) -> Path:
    path = directory / binary_name(arch)
    if not path.is_file():
        raise ArtifactError(
            f"{directory} has no file {path.name}, which the {arch} hosts need",
            hint=f"put {path.name} and {sums_name(arch)} of one k3s release there",
        )
    return path


def _images(directory: Path, arch: str) -> Iterator[Path]:
    named = next((directory / name for name in image_names(arch) if (directory / name).is_file()), None)
    if named is not None:
        yield named
    if (directory / "images").is_dir():
        yield from sorted(path for path in (directory / "images").iterdir() if path.name.endswith(IMAGE_SUFFIXES))


def _checked(path: Path, sums: Mapping[str, str], unverified: list[str]) -> Artifact:
    artifact = Artifact(path, file_sha256(path), path.stat().st_size)
    wanted = sums.get(path.name)
    if wanted is None:
        unverified.append(path.name)
    elif wanted != artifact.sha256:
        raise ArtifactError(
            f"{path} is not what its release says: sha256 {artifact.sha256}, expected {wanted}",
            hint="it is damaged or cut off, or the sums are of another release: fetch both again",
        )
    return artifact


def _check_machine(path: Path, arch: str) -> None:
    with path.open("rb") as file:
        found = elf_architecture(file.read(20))
    if found and found != arch:
        raise ArtifactError(
            f"{path} is made for {found}, and the hosts are {arch}",
            hint=f"{binary_name(arch)} is the file for them",
        )


def file_sha256(path: Path) -> str:
    """The sum of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
