"""Errors as part of the product: what happened, why as far as known, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.status import ExitStatus


class LabctlError(Exception):
    """An expected failure: reported in a line or a few, never as a traceback.

    Args:
        message: What happened and where (host, file, object).
        hint: What to do next; empty when labctl does not know.
    """

    exit_status: ExitStatus = ExitStatus.UNREACHABLE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LabctlError):
    """The command line asks for something that does not exist or does not fit."""

    exit_status = ExitStatus.USAGE


class ClusterError(LabctlError):
    """The cluster or its API could not be reached, or refused a request."""


class WaitTimeoutError(LabctlError):
    """A deadline passed; the message says what was last observed."""

    exit_status = ExitStatus.DEADLINE


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: where, what, the offending line's text, and a suggestion."""

    position: Position
    message: str
    line_text: str = ""
    hint: str = ""


class ConfigError(LabctlError):
    """One or more mistakes in configuration or lab files; all of them at once."""

    exit_status = ExitStatus.USAGE

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__(f"{len(problems)} {noun} in {problems[0].position.file}")
        self.problems = problems
