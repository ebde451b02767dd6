"""Which release a k3s binary is."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from urllib.parse import unquote

from labctl.k3s.artifacts import Artifact
from labctl.k3s.release import Version, architecture, elf_architecture, parse_version

CHUNK = 1 << 24
_OVERLAP = 64
"""More than a release tag is long: one that lies across two pieces is still found."""


def artifact_version(artifact: Artifact) -> Version | None:
    """The release of a binary for the hosts: told by its address where they fetch it themselves."""
    return parse_version(unquote(artifact.url)) if artifact.url else binary_version(artifact.path)


def binary_version(path: Path) -> Version | None:
    """The release that a binary says it is: in its bytes (the linker puts `version.Version` there), else when asked.

    It is run only where it is made for this machine, and only with `--version`. None when it does not tell.
    """
    return _in_bytes(path) or _asked(path)


def _in_bytes(path: Path) -> Version | None:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found = parse_version((tail + chunk).decode("latin-1"))
            if found is not None:
                return found
            tail = chunk[-_OVERLAP:]
    return None


def _asked(path: Path) -> Version | None:
    with path.open("rb") as file:
        made_for = elf_architecture(file.read(20))
    if made_for and made_for != architecture(platform.machine()):
        return None
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout.decode(errors="replace"))
