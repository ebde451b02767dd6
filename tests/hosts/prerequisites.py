"""What a machine needs for test hosts, and how it gets it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

_PACKAGES = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "ssh-keygen": "openssh-client",
}


def missing() -> str:
    """Why test hosts cannot be made here; empty when they can."""
    if not sys.platform.startswith("linux"):
        return "test hosts need Linux"
    if os.geteuid() != 0:
        return "test hosts need root (namespaces, mounts)"
    absent = _absent()
    return f"test hosts need {', '.join(absent)} (`make hosts-up` installs them on Debian)" if absent else ""


def install(say: Callable[[str], None]) -> None:
    """Install the Debian packages of the programs that are absent, where that can be done: as root, with apt."""
    packages = [_PACKAGES[program] for program in _absent()]
    if not packages or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    say(f"apt-get install {' '.join(packages)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-q", *words], env=environ, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _absent() -> list[str]:
    return [program for program in _PACKAGES if shutil.which(program) is None]
