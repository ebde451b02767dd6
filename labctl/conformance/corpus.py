"""Reading recorded cases: `<group>.json` or `<group>.json.gz`, in the schema of the corpus' README."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import UsageError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case.

    Attributes:
        group: Name of its group.
        data: The case as recorded.
    """

    group: str
    data: Json

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.data["name"])

    @property
    def results(self) -> list[Json]:
        """Requests and actions with what was observed, in order."""
        return list(self.data["results"])

    @property
    def patience(self) -> float:
        """Seconds that the case spends waiting, roughly."""
        seconds = 0.0
        for entry in self.results:
            seconds += entry.get("s", 0.0)
            seconds += float(entry["observed"].get("elapsed") or 0.0) if "request" in entry else 0.0
        return seconds


def load(directory: Path) -> Iterator[Case]:
    """All cases of a directory, by group.

    Raises:
        UsageError: There is no group in it, or a file is none.
    """
    files = sorted([*directory.glob("*.json"), *directory.glob("*.json.gz")])
    if not files:
        raise UsageError(f"{directory} holds no <group>.json", hint="--corpus takes a directory with recorded cases")
    for path in files:
        yield from _group(path)


def _group(path: Path) -> Iterator[Case]:
    try:
        data = path.read_bytes()
        group: Mapping[str, Any] = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
        cases = [Case(str(group["group"]), case) for case in group["cases"]]
        for case in cases:
            missing = {"name", "manifests", "results", "apply", "synced"} - case.data.keys()
            if missing:
                raise KeyError(f"a case without {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no group of recorded cases: {error}") from error
    yield from cases
