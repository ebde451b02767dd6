"""A histogram of durations that stays small, and that two runs' merge into one exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PRECISION_BITS = 10
"""Buckets per power of two, as an exponent: three significant decimal digits, as HdrHistogram calls it."""
_EXACT = 2 << PRECISION_BITS


def bucket_of(micros: int) -> int:
    """The bucket that a duration falls into.

    Durations below 2048 µs have a bucket each; above, every power of two is cut into 1024 equal buckets, so a bucket
    is never wider than 1/1024 of what falls into it (the layout of HdrHistogram, Gil Tene, http://hdrhistogram.org).
    """
    if micros < _EXACT:
        return max(micros, 0)
    shift = micros.bit_length() - PRECISION_BITS - 1
    return (shift << PRECISION_BITS) + (micros >> shift)


def middle_of(bucket: int) -> float:
    """The middle of a bucket, in microseconds: at most 1/2048 away from every duration in it."""
    if bucket < _EXACT:
        return float(bucket)
    shift = (bucket >> PRECISION_BITS) - 1
    low = (bucket - (shift << PRECISION_BITS)) << shift
    return low + ((1 << shift) - 1) / 2


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations by bucket.

    Attributes:
        counts: Bucket (see `bucket_of`) → how many durations.
        max_us: The longest duration itself, in microseconds.
    """

    counts: Mapping[int, int] = field(default_factory=dict)
    max_us: int = 0

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Histogram:
        """The histogram of durations given in seconds."""
        counts: dict[int, int] = {}
        durations = Counter(round(duration * 1e6) for duration in seconds)
        for micros, count in durations.items():
            bucket = bucket_of(micros)
            counts[bucket] = counts.get(bucket, 0) + count
        return cls(counts, max((0, *durations)))

    @property
    def total(self) -> int:
        """How many durations there are."""
        return sum(self.counts.values())

    def merge(self, other: Histogram) -> Histogram:
        """Both together, exactly as if all had been counted in one."""
        counts = dict(self.counts)
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
        return Histogram(counts, max(self.max_us, other.max_us))

    def coarse(self, bits: int = 4) -> dict[float, int]:
        """For reports: lower bound in milliseconds → count, with 2^bits buckets per power of two (4 bits: 6 % wide)."""
        found: dict[float, int] = {}
        for bucket, count in sorted(self.counts.items()):
            micros = int(middle_of(bucket))
            shift = max(0, micros.bit_length() - bits - 1)
            low = (micros >> shift << shift) / 1000
            found[low] = found.get(low, 0) + count
        return found

    def quantiles(self, *shares: float) -> tuple[float, ...]:
        """The nearest-rank quantiles in microseconds, each within 1/1024 of the duration at that rank.

        Args:
            shares: Ascending, each 0…1: 0.5 is the median, 1 the maximum.

        Returns:
            One for each share; zeros when nothing was counted.
        """
        total = self.total
        if not total:
            return tuple(0.0 for _ in shares)
        found: list[float] = []
        seen, buckets = 0, iter(sorted(self.counts.items()))
        value = 0.0
        for share in shares:
            rank = max(1, -int(-share * total // 1))
            while seen < rank:
                bucket, count = next(buckets)
                seen, value = seen + count, middle_of(bucket)
            found.append(min(value, float(self.max_us)))
        return tuple(found)
