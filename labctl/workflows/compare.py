"""`labctl compare A.json B.json`: two reports side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import UsageError
from labctl.model.report import Difference
from labctl.verdict.compare import Run, differences, significant

SCHEMA = "labctl.report/v1"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two reports have in common, compared, and what only one of them has.

    Attributes:
        differences: In the order of the first report.
        results: Check → its result in the first and in the second report.
        only_first: Checks that the second report does not have.
        only_second: The other way round.
    """

    differences: tuple[Difference, ...]
    results: dict[str, tuple[str, str]]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs beyond chance."""
        return any(each.significant for each in self.differences) or any(a != b for a, b in self.results.values())


def compare_reports(first: Path, second: Path, confidence: float) -> Comparison:
    """Compare two reports written with `-o json`.

    Raises:
        UsageError: A file is no such report, or they have no check in common.
    """
    one, two = _checks(first), _checks(second)
    common = [name for name in one if name in two]
    if not common:
        raise UsageError(f"{first} and {second} have no check in common")
    found = [each for name in common for each in differences(_run(one[name]), _run(two[name]), name)]
    return Comparison(
        differences=tuple(significant(found, confidence)),
        results={name: (one[name]["result"], two[name]["result"]) for name in common},
        only_first=tuple(name for name in one if name not in two),
        only_second=tuple(name for name in two if name not in one),
    )


def _checks(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise UsageError(f"{path} is {document['schema']!r}, not {SCHEMA!r}")
        return {f"{lab['name']}/{check['name']}": check for lab in document["labs"] for check in lab["checks"]}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no report", hint="write one with -o json --output-file FILE") from error


def _run(check: dict[str, Any]) -> Run:
    latency = check["latency_ms"] or {}
    return Run(
        hits={each["key"]: each["hits"] for each in check["hits"]},
        requests=check["requests"],
        errors=check["errors"],
        status=check["status"],
        histogram=dict(check.get("latency_histogram", [])),
        p50=latency.get("p50"),
        p99=latency.get("p99"),
    )
