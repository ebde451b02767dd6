"""The objects on disk: one SQLite file, one transaction per change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from labctl.errors import ClusterError

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE objects (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
INSERT INTO revision VALUES (1, 0);
"""

_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)"
_REMOVE = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
_ADVANCE = "UPDATE revision SET value = ?"

Key = tuple[str, str, str]
"""Resource, namespace (empty when cluster-scoped) and name."""


class StoreError(ClusterError):
    """The object store cannot be opened or written; nothing of the change was kept."""


class _Transaction:
    """BEGIN … COMMIT, or ROLLBACK when the body or the commit fails; SQLite's errors become StoreErrors."""

    __slots__ = ("_connection", "_path")

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as failure:
                self._roll_back()
                raise _explained(failure, self._path) from failure
            return
        self._roll_back()
        if isinstance(error, sqlite3.Error):
            raise _explained(error, self._path) from error

    def _roll_back(self) -> None:
        # SQLite has already rolled back by itself after the graver errors (disk full, I/O error).
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class Disk:
    """The SQLite file.

    WAL with `synchronous=NORMAL`: a committed change survives the end of the process by any signal; after a power
    cut the file is consistent but may lack the last changes.

    Args:
        path: The database file; made when missing.

    Raises:
        StoreError: It cannot be opened, is in use by another process, or is no database of this version.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        try:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=1.0)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise _explained(error, self._path) from error

    def _prepare(self) -> None:
        run = self._connection.execute
        # The process is the only user of the file (it also holds a lock): no shared-memory index is needed.
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("PRAGMA cache_size=-512")
        (version,) = run("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={_SCHEMA_VERSION};COMMIT")
        elif version != _SCHEMA_VERSION:
            raise StoreError(
                f"{self._path}: written by another version of labctl (format {version}, expected {_SCHEMA_VERSION})",
                hint="use that version, or remove the cluster with `labctl down` and build it anew",
            )

    def revision(self) -> int:
        """The revision of the last committed change; 0 when there was none."""
        (value,) = self._connection.execute("SELECT value FROM revision").fetchone()
        return int(value)

    def load(self) -> Iterator[tuple[str, str, str, bytes]]:
        """Every object: resource, namespace, name, JSON."""
        yield from self._connection.execute("SELECT resource, namespace, name, data FROM objects")

    def put(self, revision: int, key: Key, data: bytes) -> None:
        """Commit an object's new state.

        Raises:
            StoreError: The disk is full or read-only, or another I/O error; nothing was changed.
        """
        with _Transaction(self._connection, self._path) as connection:
            connection.execute(_PUT, (*key, data))
            connection.execute(_ADVANCE, (revision,))

    def remove(self, revision: int, key: Key) -> None:
        """Commit an object's removal.

        Raises:
            StoreError: As for `put`.
        """
        with _Transaction(self._connection, self._path) as connection:
            connection.execute(_REMOVE, key)
            connection.execute(_ADVANCE, (revision,))

    def close(self) -> None:
        """Write the log back into the database file and close it."""
        self._connection.close()


def _explained(error: sqlite3.Error, path: str) -> StoreError:
    """SQLite's error in the user's words."""
    text = str(error)
    hints = {
        "full": "free some space on that file system",
        "readonly": "make the file and its directory writable",
        "unable to open": "check that the directory exists and is writable",
        "locked": "another labctl process uses this cluster; stop it first",
        "not a database": "move the file away; the cluster then starts empty",
        "malformed": "move the file away; the cluster then starts empty",
    }
    hint = next((advice for words, advice in hints.items() if words in text), "")
    return StoreError(f"object store {path}: {text}", hint=hint)
