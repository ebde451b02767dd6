"""What was counted when: a run cut into equal slots, never more than a few hundred of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

FINEST = 1 / 64
"""Seconds of the narrowest slot. Slots only ever double, so that seconds are whole slots, or slots whole seconds."""
SLOTS_MOST = 256

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Timeline(Generic[K]):
    """Counts by slot.

    Attributes:
        width: Seconds of one slot.
        slots: Slot (from 0) → key → count; empty slots are left out.
    """

    width: float = FINEST
    slots: Mapping[int, Mapping[K, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[tuple[float, K]]) -> Timeline[K]:
        """The time line of single events: when, in seconds, and what."""
        found = list(events)
        width = width_for(max((when for when, _ in found), default=0.0))
        slots: dict[int, dict[K, int]] = {}
        for when, key in found:
            _add(slots.setdefault(int(when / width), {}), {key: 1})
        return cls(width, slots)

    def merge(self, other: Timeline[K]) -> Timeline[K]:
        """Both together, in the wider slots of the two."""
        width = max(self.width, other.width)
        slots: dict[int, dict[K, int]] = {}
        for part in (self.widened(width), other.widened(width)):
            for slot, counts in part.slots.items():
                _add(slots.setdefault(slot, {}), counts)
        return Timeline(width, slots)

    def widened(self, width: float) -> Timeline[K]:
        """The same counts in wider slots; `width` is a power of two times this one's."""
        factor = round(width / self.width)
        if factor <= 1:
            return self
        slots: dict[int, dict[K, int]] = {}
        for slot, counts in self.slots.items():
            _add(slots.setdefault(slot // factor, {}), counts)
        return Timeline(width, slots)

    def later(self, seconds: float) -> Timeline[K]:
        """The same, so much later."""
        wide = self.widened(width_for(seconds + len(self.slots) * self.width, self.width))
        offset = int(seconds / wide.width)
        return Timeline(wide.width, {slot + offset: counts for slot, counts in wide.slots.items()})

    def fewer(self, most: int) -> Timeline[K]:
        """The same in at most so many slots."""
        width = self.width
        while self.slots and max(self.slots) * self.width // width >= most:
            width *= 2
        return self.widened(width)

    def rows(self) -> Iterator[tuple[float, Mapping[K, int]]]:
        """Every slot from the first to the last, also empty ones: its begin in seconds, and its counts."""
        for slot in range(max(self.slots, default=-1) + 1):
            yield slot * self.width, self.slots.get(slot, {})


def width_for(end: float, width: float = FINEST) -> float:
    """The narrowest slots, from `width` on, in which a moment has its place."""
    while end / width >= SLOTS_MOST:
        width *= 2
    return width


def _add(into: dict[K, int], counts: Mapping[K, int]) -> None:
    for key, count in counts.items():
        into[key] = into.get(key, 0) + count
