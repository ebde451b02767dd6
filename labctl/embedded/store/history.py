"""The recent changes, for watches that begin in the past."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from labctl.embedded.clientset import ChangeType


class ExpiredError(Exception):
    """The revision asked for is older than what is remembered.

    Attributes:
        floor: The oldest revision that can still be continued from.
    """

    def __init__(self, floor: int) -> None:
        super().__init__(f"older than {floor}")
        self.floor = floor


@dataclass(frozen=True, slots=True)
class Record:
    """One change as bytes (objects would take several times the memory).

    Attributes:
        revision: The change's resourceVersion.
        type: What happened.
        resource: Storage key of the resource.
        namespace: The object's namespace.
        data: JSON of the object after the change (its last state when deleted).
        previous: JSON of the object before it; empty for ADDED.
    """

    revision: int
    type: ChangeType
    resource: str
    namespace: str
    data: bytes
    previous: bytes


class History:
    """Changes in order, bounded by their number and their bytes.

    Args:
        floor: Revision before the first change that will be remembered.
        max_records: How many changes to remember.
        max_bytes: How many bytes of JSON they may hold together.
    """

    def __init__(self, floor: int, max_records: int, max_bytes: int) -> None:
        self._records: deque[Record] = deque()
        self._floor = floor
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0

    @property
    def floor(self) -> int:
        """Every change after this revision is remembered."""
        return self._floor

    def append(self, record: Record) -> None:
        """Remember a change, forgetting the oldest ones where the bounds demand it."""
        self._records.append(record)
        self._bytes += len(record.data)
        while len(self._records) > self._max_records or (self._bytes > self._max_bytes and len(self._records) > 1):
            oldest = self._records.popleft()
            self._bytes -= len(oldest.data)
            self._floor = oldest.revision

    def since(self, revision: int, resource: str, namespace: str = "") -> list[Record]:
        """The changes of a resource (in a namespace when given) after a revision, oldest first.

        Raises:
            ExpiredError: Some of them have been forgotten.
        """
        if revision < self._floor:
            raise ExpiredError(self._floor)
        found: list[Record] = []
        for record in reversed(self._records):
            if record.revision <= revision:
                break
            if record.resource == resource and (not namespace or record.namespace == namespace):
                found.append(record)
        found.reverse()
        return found
