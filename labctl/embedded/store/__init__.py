"""Objects with a resourceVersion, kept in SQLite; the watch history."""

from labctl.embedded.store.disk import StoreError
from labctl.embedded.store.encoding import encode
from labctl.embedded.store.history import ExpiredError, Record
from labctl.embedded.store.objects import Commit, ConflictError, Entry, Store

__all__ = ["Commit", "ConflictError", "Entry", "ExpiredError", "Record", "Store", "StoreError", "encode"]
