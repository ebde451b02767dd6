"""An event sink that remembers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from labctl.events import Event

E = TypeVar("E")


@dataclass(slots=True)
class RecordingSink:
    """Use it where an EventSink is wanted; `events` holds all that came, in order."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Remember the event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]
