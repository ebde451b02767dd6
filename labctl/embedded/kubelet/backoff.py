"""The back-off of crash loops and image pulls (client-go, util/flowcontrol/backoff.go)."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.embedded.kubelet.settings import Settings


@dataclass(slots=True)
class BackOff:
    """How long something that fails is held back; it doubles with every try that was made.

    Attributes:
        delay: Seconds, before scaling; 0 before the first try.
        updated: When it was last made longer, event loop time.
    """

    delay: float = 0.0
    updated: float = 0.0

    def left(self, since: float, now: float, settings: Settings) -> float:
        """Seconds until it may be tried again.

        Args:
            since: When it last failed, event loop time.
            now: Event loop time.
            settings: Scale of all delays.
        """
        if self._is_new(since, settings):
            return 0.0
        return max(0.0, since + self.delay * settings.backoff_scale - now)

    def next(self, since: float, now: float, settings: Settings) -> None:
        """It is tried again: the next time it is held back for longer."""
        longer = settings.backoff_initial if self._is_new(since, settings) else self.delay * 2
        self.delay, self.updated = min(longer, settings.backoff_max), now

    def _is_new(self, since: float, settings: Settings) -> bool:
        """Whether it has not failed yet, or went well for twice the longest delay."""
        return not self.delay or since - self.updated > 2 * settings.backoff_max * settings.backoff_scale
