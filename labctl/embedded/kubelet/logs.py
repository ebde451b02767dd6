"""A container's log: lines with time stamps, the oldest forgotten, the older ones kept compressed."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass

SEGMENT_BYTES = 64 * 1024
"""Text kept as it is before it is compressed; access logs shrink to a tenth."""

SEGMENTS = 160
"""Compressed segments kept per container: 10 MiB of text, as the kubelet's containerLogMaxSize."""

FOLLOWED_LINES = 50_000
"""Lines that wait for a slow follower; it misses the oldest beyond that."""

Line = tuple[int, str]
"""Nanoseconds since 1970, and the text without its newline."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`v1.PodLogOptions`, as far as they choose lines.

    Attributes:
        follow: Go on with what comes.
        tail_lines: At most this many lines of what there is; None for all.
        since: Only lines from this moment on, nanoseconds since 1970; 0 for all.
        timestamps: Put an RFC 3339 time stamp before each line.
        limit_bytes: Stop after that many bytes; None for no limit.
    """

    follow: bool = False
    tail_lines: int | None = None
    since: int = 0
    timestamps: bool = False
    limit_bytes: int | None = None


class ContainerLog:
    """What one run of a container wrote."""

    __slots__ = ("_clock", "_closed", "_old", "_recent", "_size", "_taps", "_waiters")

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._recent: list[Line] = []
        self._size = 0
        self._old: deque[bytes] = deque(maxlen=SEGMENTS)
        self._taps: list[deque[Line]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._closed = False

    def append(self, text: str) -> None:
        """Write a line."""
        line = (self._clock(), text)
        self._recent.append(line)
        self._size += len(text) + 1
        if self._size >= SEGMENT_BYTES:
            self._seal()
        if self._taps:
            for tap in self._taps:
                tap.append(line)
            self._wake()

    def close(self) -> None:
        """The container has ended: followers stop."""
        self._closed = True
        self._wake()

    def lines(self) -> Iterator[Line]:
        """All lines there are, the oldest first."""
        for segment in list(self._old):
            for row in zlib.decompress(segment).decode("utf-8", "surrogateescape").split("\n"):
                stamp, _, text = row.partition(" ")
                yield int(stamp), text
        yield from list(self._recent)

    def read(self, options: LogOptions) -> bytes:
        """What there is now, as `kubectl logs` prints it."""
        return b"".join(_limited((render(line, options) for line in self._chosen(options)), options.limit_bytes))

    async def stream(self, options: LogOptions) -> AsyncIterator[bytes]:
        """What there is, then every new line until the container ends."""
        left = options.limit_bytes
        async for line in self._follow(options):
            piece = render(line, options)
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            yield piece
            if left == 0:
                return

    async def _follow(self, options: LogOptions) -> AsyncIterator[Line]:
        chosen = list(self._chosen(options))
        tap: deque[Line] = deque(maxlen=FOLLOWED_LINES)
        self._taps.append(tap)
        try:
            for line in chosen:
                yield line
            while True:
                while tap:
                    yield tap.popleft()
                if self._closed:
                    return
                await self._changed()
        finally:
            self._taps.remove(tap)

    def _chosen(self, options: LogOptions) -> Iterable[Line]:
        lines: Iterator[Line] = (line for line in self.lines() if line[0] >= options.since)
        if options.tail_lines is None:
            return lines
        return list(deque(lines, maxlen=options.tail_lines)) if options.tail_lines else []

    def _seal(self) -> None:
        rows = "\n".join(f"{stamp} {text.replace(chr(10), ' ')}" for stamp, text in self._recent)
        self._old.append(zlib.compress(rows.encode("utf-8", "surrogateescape"), 1))
        self._recent = []
        self._size = 0

    async def _changed(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def render(line: Line, options: LogOptions) -> bytes:
    """A line as it is sent."""
    text = line[1] + "\n"
    if options.timestamps:
        seconds, nanos = divmod(line[0], 1_000_000_000)
        # RFC3339Nano leaves trailing zeros out.
        fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f"{fraction}Z {text}"
    return text.encode("utf-8", "surrogateescape")


def _limited(pieces: Iterator[bytes], limit: int | None) -> Iterator[bytes]:
    for piece in pieces:
        if limit is None:
            yield piece
            continue
        yield piece[:limit]
        limit -= len(piece[:limit])
        if limit <= 0:
            return
