"""What a controller is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from labctl.embedded.clientset import ApiError, Change
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Plan


class Controller(Protocol):
    """Watches some resources and brings what is observed to what is wanted.

    Attributes:
        name: Component name, the source of its events, for example `deployment-controller`.
        host: Host part of its events' source; empty for most.
        resources: What it watches; nothing means everything.
        delay: Seconds between a change and its look at it.
    """

    @property
    def name(self) -> str:
        """See the class."""

    @property
    def host(self) -> str:
        """See the class."""

    @property
    def resources(self) -> frozenset[str]:
        """See the class."""

    @property
    def delay(self) -> float:
        """See the class."""

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """What has to be looked at because of one observed change (of a resource it watches)."""

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """What is wanted for one key, from what is observed. Pure: same observations, same answer.

        Args:
            view: What is observed.
            key: What to look at.
            now: Seconds since the epoch.
        """

    def failed(self, view: View, key: Key, now: float, error: ApiError) -> Plan:
        """What is wanted after the API refused a creation or deletion of the last plan."""


class BaseController:
    """The usual answers, to inherit from."""

    name: str = ""
    host: str = ""
    resources: frozenset[str] = frozenset()
    delay: float = 0.0

    def failed(self, view: View, key: Key, now: float, error: ApiError) -> Plan:
        """Nothing: the retry with growing delay is enough."""
        return ()
