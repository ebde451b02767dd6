"""Sensitivity of the statistical expectations, by simulation: false alarms, and the power to see a wrong spread.

Each simulated check is made as labctl makes it: what is in doubt is asked again with twice the requests. Wanted: false alarms
≤ 0.1 % for every expectation, and a weight of 10 % that became 15 % seen in ≥ 95 % of checks of 1000 requests.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache

from labctl.model.lab import Distribution, Split
from labctl.verdict.repeat import doubt
from labctl.verdict.spread import judge_spread, spread_of

CONFIDENCE = 0.999
KEYS = ("a", "b", "c")

Draw = Callable[[random.Random, int], Counter[str]]


def weighted(share: float) -> Draw:
    """So many answers of v1 and v2, v2 with a probability."""

    def draw(chance: random.Random, count: int) -> Counter[str]:
        second = sum(chance.random() < share for _ in range(count))
        return Counter(v1=count - second, v2=second)

    return draw


def lots(chance: random.Random, count: int) -> Counter[str]:
    """A fair draw of three for every answer."""
    return Counter(chance.choices(KEYS, k=count))


def turns(workers: int) -> Draw:
    """Workers that each take turns from a place of their own, and get connections at random."""

    def draw(chance: random.Random, count: int) -> Counter[str]:
        places = [chance.randrange(3) for _ in range(workers)]
        found: Counter[str] = Counter()
        for _ in range(count):
            worker = chance.randrange(workers)
            found[KEYS[places[worker] % 3]] += 1
            places[worker] += 1
        return found

    return draw


@cache
def judged(distribution: Distribution, counts: tuple[tuple[str, int], ...]) -> tuple[bool, float]:
    """Whether one round is accepted, and its p-value (1 where chance had no part in it)."""
    weights = {"v1": 90.0, "v2": 10.0} if distribution is Distribution.WEIGHTED else {}
    members = () if weights else KEYS
    split = Split(distribution, weights=weights, pods_of="" if weights else "web")
    verdict = judge_spread(split, spread_of(split, dict(counts), members), CONFIDENCE)
    return verdict.passed, 1.0 if verdict.p_value is None else verdict.p_value


def refusals(distribution: Distribution, draw: Draw, count: int, runs: int, seed: int = 1) -> float:
    """Share of checks that fail: the first round is in doubt, and the second refuses."""
    chance = random.Random(seed)
    refused = 0
    for _ in range(runs):
        first = tuple(sorted(draw(chance, count).items()))
        if judged(distribution, first)[1] < doubt(CONFIDENCE):
            refused += not judged(distribution, tuple(sorted(draw(chance, 2 * count).items())))[0]
    return refused / runs


def main(runs: int = 4000) -> None:
    """Print the figures."""
    rows = (
        ("false alarms, weighted 90/10, 1000", Distribution.WEIGHTED, weighted(0.10), 1000, "≤ 0.1 %"),
        ("false alarms, weighted 90/10, 100", Distribution.WEIGHTED, weighted(0.10), 100, "≤ 0.1 %"),
        ("false alarms, random over 3, 100", Distribution.RANDOM, lots, 100, "≤ 0.1 %"),
        ("false alarms, round robin, 1 worker, 100", Distribution.ROUND_ROBIN, turns(1), 100, "≤ 0.1 %"),
        ("false alarms, round robin, 4 workers, 100", Distribution.ROUND_ROBIN, turns(4), 100, "≤ 0.1 %"),
        ("power, 10 % became 15 %, 1000", Distribution.WEIGHTED, weighted(0.15), 1000, "≥ 95 %"),
    )
    for name, distribution, draw, count, wanted in rows:
        print(f"{name:<44} {refusals(distribution, draw, count, runs):8.3%}   (wanted: {wanted})")


if __name__ == "__main__":
    main()
