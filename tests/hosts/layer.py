"""A host's files: the base tree below, its own layer above (overlayfs), and a plain directory as /var/lib.

A copy of the tree for each host took half a minute to make and as long to remove; a layer takes no time. /var/lib is no part
of it because containerd, in a real k3s, cannot put its own overlays on an overlay.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layer:
    """One host's layer.

    Attributes:
        base: The tree that all hosts share; never written.
        home: The host's directory on this machine.
    """

    base: Path
    home: Path

    @property
    def upper(self) -> Path:
        """Every file that differs from the base tree."""
        return self.home / "upper"

    @property
    def state(self) -> Path:
        """The host's /var/lib."""
        return self.home / "state"

    @property
    def root(self) -> Path:
        """Where both are mounted together, in the host's own mount namespace only."""
        return self.home / "root"

    def make(self) -> None:
        """Make its directories."""
        for directory in (self.upper, self.home / "work", self.root):
            directory.mkdir(parents=True)
        self.upper.chmod(0o755)
        subprocess.run(["cp", "-a", str(self.base / "var/lib"), str(self.state)], check=True, stdin=subprocess.DEVNULL)

    def mount_command(self) -> str:
        """Mounts the layer on the base tree."""
        options = f"lowerdir={self.base},upperdir={self.upper},workdir={self.home / 'work'}"
        return shlex.join(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)])

    def directory(self, path: str) -> Path:
        """A directory of the layer, owned and readable as in the base tree."""
        target = self.upper / path
        if not target.exists():
            if path.count("/"):
                self.directory(path.rpartition("/")[0])
            target.mkdir()
            if (self.base / path).exists():
                there = (self.base / path).stat()
                os.chown(target, there.st_uid, there.st_gid)
                target.chmod(there.st_mode & 0o7777)
        return target

    def write(self, path: str, text: str, *, like: str = "") -> None:
        """Write a file of the layer; `like` names the path whose owner it and its directory shall have."""
        parent = self.directory(path.rpartition("/")[0])
        (self.upper / path).write_text(text)
        if like:
            owner = (self.base / like).stat()
            for owned in (parent, self.upper / path):
                os.chown(owned, owner.st_uid, owner.st_gid)
            parent.chmod(0o700)
