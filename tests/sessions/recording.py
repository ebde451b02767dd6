"""Recorded sessions: what a real kubectl or helm said on a real k3s, step by step."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
BUNDLED = Path(__file__).parent / "recordings"


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what came of it.

    Attributes:
        number: Its place in the session, from 0.
        command: What bash was given.
        compare: Whether it is there to be compared; otherwise it waits or settles.
        elapsed: Seconds that it took, noisy.
        code: Exit code.
        stdout: Standard output, normalised.
        stderr: Standard error, normalised.
        cut: Seconds after which the recorder ended the command; None where it ended by itself.
        left_out: The output was not recorded.
    """

    number: int
    command: str
    compare: bool
    elapsed: float
    code: int
    stdout: str
    stderr: str
    cut: float | None
    left_out: bool


@dataclass(frozen=True, slots=True)
class Session:
    """One recorded session.

    Attributes:
        name: The name of its file, which is unique.
        group: The directory that it was found in.
        namespace: The namespace that its context names; `default` sessions name none.
        files: What lies in the working directory: path → text.
        steps: In order.
    """

    name: str
    group: str
    namespace: str
    files: Mapping[str, str]
    steps: tuple[Step, ...]

    @property
    def elapsed(self) -> float:
        """Seconds that the real one took."""
        return sum(step.elapsed for step in self.steps)


def load(directory: Path) -> Iterator[Session]:
    """All sessions below a directory: `NAME.json` or `NAME.json.gz`.

    Raises:
        FileNotFoundError: There is none in it.
    """
    files = sorted([*directory.rglob("*.json"), *directory.rglob("*.json.gz")])
    if not files:
        raise FileNotFoundError(f"{directory} holds no recorded session (NAME.json)")
    for path in files:
        data = path.read_bytes()
        content: Json = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
        if "steps" in content:
            yield _session(path, content)


def _session(path: Path, content: Json) -> Session:
    return Session(
        name=path.name.removesuffix(".gz").removesuffix(".json"),
        group=path.parent.name,
        namespace=content["namespace"],
        files=content.get("files") or {},
        steps=tuple(_step(number, step) for number, step in enumerate(content["steps"])),
    )


def _step(number: int, step: Json) -> Step:
    return Step(
        number=number,
        command=step["cmd"],
        compare=bool(step.get("compare")),
        elapsed=float(step.get("elapsed") or 0.0),
        code=int(step["rc"]),
        stdout=step.get("stdout") or "",
        stderr=step.get("stderr") or "",
        cut=step.get("driver_timeout"),
        left_out=bool(step.get("left_out")),
    )
