"""Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

PREFIX = "nginx_ingress_controller_"
Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""What is added to the family's name, labels, value."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all its samples; the name is without the controller's prefix."""

    name: str
    kind: str
    text: str
    samples: Sequence[Sample]


def exposition(families: Iterable[Family]) -> str:
    """All families that have samples, by name."""
    lines: list[str] = []
    for family in sorted(families, key=lambda family: family.name):
        if family.samples:
            name = PREFIX + family.name
            lines += [f"# HELP {name} {family.text}", f"# TYPE {name} {family.kind}"]
            lines += [f"{name}{suffix}{_braces(labels)} {_number(value)}" for suffix, labels, value in family.samples]
    return "\n".join(lines) + "\n"


def histogram(labels: Labels, bounds: Sequence[float], counts: Sequence[int], total: float) -> Iterator[Sample]:
    """Samples of a histogram: counts by bucket, one more than there are bounds."""
    running = 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        running += count
        yield "_bucket", {**labels, "le": _number(bound)}, running
    yield "_sum", labels, total
    yield "_count", labels, running


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.10g}"


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    last = [name for name in ("le", "quantile") if name in labels]
    names = [*sorted(labels.keys() - set(last)), *last]
    return "{" + ",".join(f'{name}="{_escaped(labels[name])}"' for name in names) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
