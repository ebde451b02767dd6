"""Where a server keeps its objects: SQLite's file as k3s names it, or the same file in etcd's place."""

from __future__ import annotations

import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.standin.program import log, tokens
from tests.hosts.standin.program.options import Options


@dataclass(frozen=True, slots=True)
class Datastore:
    """The datastore below `/var/lib/rancher/k3s/server`."""

    folder: Path
    etcd: bool

    @classmethod
    def of(cls, options: Options) -> Datastore:
        """The one that a server with these options has."""
        folder = options.data / "server"
        begun = (folder / "db/etcd").exists()
        return cls(folder, begun or options.on("cluster-init") or bool(options.text("server")))

    @property
    def file(self) -> Path:
        """SQLite's file."""
        return self.folder / ("db/etcd/member/state.db" if self.etcd else "db/state.db")

    @property
    def snapshots(self) -> Path:
        """etcd's snapshots."""
        return self.folder / "db/snapshots"

    def check_token(self, password: str) -> None:
        """The datastore was begun with a token, and takes no other.

        Raises:
            FatalError: It is another one.
        """
        mark = self.folder / "db/bootstrap"
        wanted = tokens.ca_sum(password.encode())
        if mark.exists() and mark.read_text().strip() != wanted:
            raise log.FatalError(
                "starting kubernetes: preparing server: bootstrap data already found and encrypted with different token"
            )
        tokens.write_private(mark, wanted)

    def save(self, name: str, node: str) -> Path:
        """Save a snapshot, as `k3s etcd-snapshot save` names it.

        Raises:
            FatalError: The datastore is not etcd.
        """
        if not self.etcd:
            raise log.FatalError("etcd datastore disabled")
        self.snapshots.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self.snapshots / f"{name}-{node}-{int(time.time())}"
        partial = target.with_name(f".{target.name}.tmp")
        source, copy = sqlite3.connect(self.file), sqlite3.connect(partial)
        try:
            source.backup(copy)
        finally:
            source.close()
            copy.close()
        partial.chmod(0o600)
        partial.replace(target)
        return target

    def restore(self, snapshot: Path) -> None:
        """Put a snapshot in the datastore's place; the snapshots stay.

        Raises:
            FatalError: There is no such file.
        """
        if not snapshot.is_file():
            raise log.FatalError(f"etcd: snapshot path does not exist: {snapshot}")
        for suffix in ("", "-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(snapshot, self.file)
