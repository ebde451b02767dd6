"""What `labctl doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of the surroundings.

    Attributes:
        check: What was looked at.
        severity: Whether it is good.
        evidence: What was seen.
        remedy: The command or step that mends it.
        fix: A command that mends it on the host, safe enough for `labctl doctor --fix`; empty: there is none.
        host: The node whose machine it is about; empty: this one.
    """

    check: str
    severity: Severity
    evidence: str
    remedy: str = ""
    fix: str = ""
    host: str = ""
