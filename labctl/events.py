"""What happens while labctl works, as values: one sink, many renderers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from labctl.model.report import Check, LabReport


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began. `id` is unique within a command; `group` is the lab, host or phase it belongs to."""

    id: str
    title: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a step is: `done` of `total` (0: unknown), or just what was last observed."""

    id: str
    done: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended well. `changed` is False for a no-op, whose reason is in `note`."""

    id: str
    note: str = ""
    changed: bool = True


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step ended badly; the error itself travels as an exception."""

    id: str
    reason: str


class Level(StrEnum):
    """How much a notice matters."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know that is no step."""

    text: str
    level: Level = Level.INFO
    hint: str = ""


@dataclass(frozen=True, slots=True)
class CheckDone:
    """The step `id`, which was a check of a lab, ended with a judgement."""

    id: str
    lab: str
    check: Check


@dataclass(frozen=True, slots=True)
class LabDone:
    """A lab ended."""

    report: LabReport


Event = StepStarted | StepProgress | StepDone | StepFailed | Notice | CheckDone | LabDone
EventSink = Callable[[Event], None]
