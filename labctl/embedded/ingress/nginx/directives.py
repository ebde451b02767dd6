"""Which directives nginx 1.25.5 has, where they may stand, and what they take."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.resources import files

_MANY = 1_000


@dataclass(frozen=True, slots=True)
class Spec:
    """One directive in one group of contexts.

    Attributes:
        contexts: Letters as in `directives.txt`.
        counts: Allowed numbers of parameters; empty when the directive judges itself.
        least: With `counts` empty: at least so many.
        block: Whether it has a block.
        kind: Type of its value, `-` when it has rules of its own.
    """

    contexts: str
    counts: frozenset[int]
    least: int
    block: bool
    kind: str

    def takes(self, count: int) -> bool:
        """Whether so many parameters are right."""
        return count in self.counts if self.counts else count >= self.least

    @property
    def once(self) -> bool:
        """Whether a second one in the same block is an error: values that are kept in one slot."""
        return self.kind not in {"-", "block"}


@functools.cache
def directives() -> dict[str, tuple[Spec, ...]]:
    """All of them by name."""
    found: dict[str, list[Spec]] = {}
    text = (files(__package__) / "directives.txt").read_text()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, contexts, *rest = line.split(" ")
        counts, kind = (rest[0], rest[1]) if len(rest) > 1 else ("0", rest[0])
        exact = (
            frozenset(int(count) for count in counts.split(",") if count) if not counts.endswith("+") else frozenset()
        )
        least = int(counts[:-1]) if counts.endswith("+") else 0
        found.setdefault(name, []).append(Spec(contexts, exact, least, kind == "block", kind))
    return {name: tuple(specs) for name, specs in found.items()}
