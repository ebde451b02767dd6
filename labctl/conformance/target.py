"""What a corpus can be played on: the contract between the runner and its targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labctl.conformance.client import Client
from labctl.conformance.corpus import Case
from labctl.model.conformance import CaseReport

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """How much of an answer a target shows.

    Attributes:
        wire: Whether header names' case and order, reason phrases, and the controller's log can be seen. Without,
            headers are compared as sets, and what only the echo pods of the recording do is left out.
    """

    wire: bool = True


class World(Protocol):
    """The surroundings of one case while it is played."""

    @property
    def client(self) -> Client:
        """Sends its requests."""

    async def start(self) -> None:
        """Bring up what the case's manifests refer to."""

    async def stop(self) -> None:
        """Take away everything that the case made."""

    def refuses(self, entry: Json) -> str:
        """Why this target cannot be asked a request or action; empty when it can."""

    async def tick(self) -> None:
        """Let objects created from now on be younger than those before, as their creationTimestamp shows it."""

    def apply(self, obj: Json) -> int:
        """Create or update an object; returns the API's status."""

    def delete(self, obj: Json) -> int:
        """Delete an object; returns the API's status."""

    def configure(self, data: Json) -> int:
        """Replace the data of the controller's ConfigMap; returns the API's status."""

    def scale(self, service: str, pods: Sequence[str]) -> int:
        """Replace a Service's endpoints; returns the API's status."""

    def admit(self, obj: Json) -> Json | None:
        """What the validating webhook says; None when it cannot be asked by itself."""

    def read(self, path: str) -> Json | None:
        """An object by its API path."""

    def events(self, names: Sequence[str]) -> list[list[str]]:
        """Type, reason, message and object of events about objects of these names."""

    def reloads(self) -> int:
        """How often the controller has reloaded its configuration."""

    def log_mark(self) -> int:
        """How many lines the controller has logged."""

    def log_lines(self, start: int) -> list[str]:
        """The controller's lines from `start` on, without time and process."""

    async def echo(self, path: str) -> str:
        """Steer the echo pods."""

    async def synced(self, *, expected: bool) -> bool:
        """Whether an Ingress that is created now becomes routable."""

    async def settle(self) -> None:
        """Wait until a change has been taken in, or would have been."""


class Target(Protocol):
    """Something that cases are played on."""

    view: View

    def describe(self) -> str:
        """What it is, in words."""

    async def prepare(self, cases: Sequence[Case]) -> None:
        """Bring up what all cases need."""

    def refuses(self, case: Case) -> str:
        """Why a case cannot be played here at all; empty when it can."""

    def world(self, case: Case, slot: int) -> World:
        """Surroundings for a case; `slot` tells apart those that exist at the same time."""

    @property
    def slots(self) -> int:
        """How many cases that mostly wait may be played beside the others; 0 for none."""

    async def close(self) -> None:
        """Take away everything that was made."""


Progress = Callable[[CaseReport], None]
"""Called with each case that is done."""
