"""A plan as values: what would be done, and why nothing is done where nothing is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """One change that a plan makes.

    Attributes:
        title: What it does, as the user reads it.
        target: Host or object it changes.
        detail: Diff or command, for `--dry-run`.
    """

    title: str
    target: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NoOp:
    """Nothing to do, and the reason."""

    title: str
    target: str
    reason: str
