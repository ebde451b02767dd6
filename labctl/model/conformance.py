"""What a comparison with recorded behaviour found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Agreement(StrEnum):
    """What came out of one case."""

    PASSED = "passed"
    FAILED = "failed"
    LISTED = "listed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One answer that is not the recorded one.

    Attributes:
        request: What was sent or done, as JSON.
        what: Which part of the answer differs: `status`, `pod`, `headers`, `body`, …
        expected: What was recorded.
        got: What came.
    """

    request: str
    what: str
    expected: Any
    got: Any


@dataclass(frozen=True, slots=True)
class CaseReport:
    """One case.

    Attributes:
        group: The group of the corpus that it belongs to.
        name: Its name.
        agreement: What came out.
        mismatches: What differs.
        reason: Why it was not asked, or why it is known to differ.
        not_asked: How many of its requests and actions this target cannot be asked.
    """

    group: str
    name: str
    agreement: Agreement
    mismatches: tuple[Mismatch, ...] = ()
    reason: str = ""
    not_asked: int = 0


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """A whole corpus against one target.

    Attributes:
        target: What was compared, in words.
        corpus: Where the recordings came from.
        started: When it began.
        elapsed_s: Seconds that it took.
        cases: Every case, in the corpus' order.
        partial: Whether it was interrupted.
    """

    target: str
    corpus: str
    started: datetime
    elapsed_s: float
    cases: tuple[CaseReport, ...]
    partial: bool = False

    def count(self, agreement: Agreement) -> int:
        """How many cases came out so."""
        return sum(case.agreement is agreement for case in self.cases)

    @property
    def failed(self) -> bool:
        """Whether a case differs that is not known to."""
        return self.count(Agreement.FAILED) > 0

    def groups(self) -> Mapping[str, tuple[CaseReport, ...]]:
        """Cases by group."""
        found: dict[str, tuple[CaseReport, ...]] = {}
        for case in self.cases:
            found[case.group] = (*found.get(case.group, ()), case)
        return found
