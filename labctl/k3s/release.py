"""k3s releases: names of files, versions in order (k3s: install.sh, .github/workflows/release.yml)."""

from __future__ import annotations

import re
from dataclasses import dataclass

CHANNELS = "https://update.k3s.io/v1-release/channels"
_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.]+))?\+k3s(\d+)")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm",
    "armv8l": "arm",
    "armv6l": "arm",
    "arm": "arm",
}
"""`uname -m` → the name in sha256sum-<arch>.txt and in the image archives."""
_ELF_MACHINES = {62: "amd64", 183: "arm64", 40: "arm"}
"""e_machine of an ELF header (elf.h: EM_X86_64, EM_AARCH64, EM_ARM)."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A k3s release, in order of age: a release candidate comes before its release."""

    numbers: tuple[int, int, int]
    released: bool
    candidate: str
    k3s: int

    def __str__(self) -> str:
        candidate = f"-{self.candidate}" if self.candidate else ""
        return f"v{'.'.join(str(number) for number in self.numbers)}{candidate}+k3s{self.k3s}"


def parse_version(text: str) -> Version | None:
    """The first release tag in a text, for example in what `k3s --version` prints; None without one."""
    match = _TAG.search(text)
    if match is None:
        return None
    candidate = match[4] or ""
    return Version((int(match[1]), int(match[2]), int(match[3])), not candidate, candidate, int(match[5]))


def architecture(machine: str) -> str:
    """k3s's name for what `uname -m` says; empty where k3s has no release for it."""
    return _ARCHITECTURES.get(machine, "")


def binary_name(arch: str) -> str:
    """The binary's name in a release."""
    return {"amd64": "k3s", "arm64": "k3s-arm64", "arm": "k3s-armhf"}[arch]


def sums_name(arch: str) -> str:
    """The name of the file with the sums."""
    return f"sha256sum-{arch}.txt"


def image_names(arch: str) -> tuple[str, ...]:
    """Names that the air-gap images of an architecture may have; one is enough."""
    return tuple(f"k3s-airgap-images-{arch}.tar{suffix}" for suffix in (".zst", ".gz", ""))


def parse_sums(text: str) -> dict[str, str]:
    """File name → sha256, from the lines of a sha256sum file."""
    lines = (line.split() for line in text.splitlines())
    return {parts[1].lstrip("*"): parts[0].lower() for parts in lines if len(parts) == 2}


def elf_architecture(head: bytes) -> str:
    """The architecture that an executable's first 20 bytes name; empty when it is no ELF file, or of another one."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    order: str = "big" if head[5] == 2 else "little"
    machine = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]  # a literal, by the line above
    return _ELF_MACHINES.get(machine, f"machine {machine}")
