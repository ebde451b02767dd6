"""What came back, counted by a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.model.histogram import Histogram
from labctl.model.probe import CountBy, Fold, KeyKind, Outcome
from labctl.model.report import Latency

NO_KEY = {
    KeyKind.POD: "(no pod named)",
    KeyKind.VERSION: "(no version recognised)",
    KeyKind.NODE: "(node unknown)",
    KeyKind.HEADER: "(header absent)",
    KeyKind.STATUS: "(no status)",
}
"""The key of answers that do not have one."""


@dataclass(frozen=True, slots=True)
class Tally:
    """A run in numbers.

    Attributes:
        requests: Requests that were finished.
        answered: Those with an answer, whatever its status.
        errors: Error name → requests that ended with it.
        error_words: Error name → the words of one such error.
        status: Status → answers.
        keys: Key → pod → answers; the pod is empty where the answer names none.
        latency: Of the answered requests; None without any.
    """

    requests: int
    answered: int
    errors: Mapping[str, int]
    error_words: Mapping[str, str]
    status: Mapping[int, int]
    keys: Mapping[str, Mapping[str, int]]
    latency: Latency | None

    @property
    def hits(self) -> dict[str, int]:
        """Key → answers."""
        return {key: sum(pods.values()) for key, pods in self.keys.items()}

    @property
    def pods(self) -> dict[str, int]:
        """Pod → answers, over all keys; the key of NO_KEY stands for answers that name none."""
        found: dict[str, int] = {}
        for pods in self.keys.values():
            for pod, hits in pods.items():
                name = pod or NO_KEY[KeyKind.POD]
                found[name] = found.get(name, 0) + hits
        return found


def key_of(outcome: Outcome, by: CountBy, nodes: Mapping[str, str]) -> str:
    """The key that an answer counts for; `nodes` says where each pod runs."""
    match by.kind:
        case KeyKind.POD:
            key = outcome.pod
        case KeyKind.VERSION:
            key = outcome.version
        case KeyKind.NODE:
            key = nodes.get(outcome.pod, "")
        case KeyKind.STATUS:
            key = str(outcome.status)
        case KeyKind.HEADER:
            key = outcome.header
    return key or NO_KEY[by.kind]


def tally(fold: Fold, by: CountBy, nodes: Mapping[str, str] | None = None) -> Tally:
    """Count a run's outcomes by a key.

    Args:
        fold: The run.
        by: The key.
        nodes: Pod → node, for KeyKind.NODE.
    """
    errors: dict[str, int] = {}
    words: dict[str, str] = {}
    status: dict[int, int] = {}
    keys: dict[str, dict[str, int]] = {}
    for outcome, count in fold.outcomes.items():
        if outcome.error is not None:
            errors[outcome.error.name] = errors.get(outcome.error.name, 0) + count
            words.setdefault(outcome.error.name, outcome.error.message)
            continue
        status[outcome.status] = status.get(outcome.status, 0) + count
        pods = keys.setdefault(key_of(outcome, by, nodes or {}), {})
        pods[outcome.pod] = pods.get(outcome.pod, 0) + count
    answered = sum(status.values())
    return Tally(answered + sum(errors.values()), answered, errors, words, status, keys, _latency(fold))


def _latency(fold: Fold) -> Latency | None:
    if not fold.latency.total:
        return None
    return latency_of(fold.latency)


def latency_of(histogram: Histogram) -> Latency:
    """A histogram's percentiles, in milliseconds."""
    p50, p90, p95, p99, p999 = (micros / 1000 for micros in histogram.quantiles(0.5, 0.9, 0.95, 0.99, 0.999))
    return Latency(p50, p90, p99, histogram.max_us / 1000, p95, p999)
