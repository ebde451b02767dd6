"""Byte streams between processes: standard input, output and error of a container's programs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from labctl.embedded.images.filesystem import FileSystem

CHUNK = 65536
"""Bytes read at once, and what a pipe holds before its writer has to wait (as Linux's pipes)."""


class Source(Protocol):
    """Where a process reads from."""

    async def read(self, size: int = CHUNK) -> bytes:
        """At most `size` bytes; empty at the end."""


class Sink(Protocol):
    """Where a process writes to."""

    async def write(self, data: bytes) -> None:
        """Write all of it, waiting while the reader is slow.

        Raises:
            BrokenPipeError: Nobody reads any more.
        """

    def close(self) -> None:
        """The writer is done; the reader sees the end."""


class Null:
    """/dev/null: empty to read, swallows writes."""

    async def read(self, size: int = CHUNK) -> bytes:
        """The end."""
        return b""

    async def write(self, data: bytes) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Zero:
    """/dev/zero."""

    async def read(self, size: int = CHUNK) -> bytes:
        """As many zero bytes as wanted."""
        await asyncio.sleep(0)
        return bytes(size)


class Data:
    """Bytes that are there already, to read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    async def read(self, size: int = CHUNK) -> bytes:
        """The next bytes."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece


class Pipe:
    """A bounded pipe: one or more writers, one reader."""

    def __init__(self, writers: int = 1) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._writers = writers
        self._reader_gone = False
        self._changed = asyncio.Event()

    async def read(self, size: int = CHUNK) -> bytes:
        """The next bytes, as soon as there are any; empty once all writers are done."""
        while not self._chunks:
            if self._writers <= 0:
                return b""
            await self._wait()
        chunk = self._chunks.popleft()
        if len(chunk) > size:
            self._chunks.appendleft(chunk[size:])
            chunk = chunk[:size]
        self._size -= len(chunk)
        self._changed.set()
        return chunk

    async def write(self, data: bytes) -> None:
        """Append, waiting while the pipe is full."""
        while self._size >= CHUNK and not self._reader_gone:
            await self._wait()
        if self._reader_gone:
            raise BrokenPipeError
        if data:
            self._chunks.append(data)
            self._size += len(data)
            self._changed.set()

    def feed(self, data: bytes) -> None:
        """Append at once, from code that cannot wait."""
        if data and not self._reader_gone:
            self._chunks.append(data)
            self._size += len(data)
            self._changed.set()

    def close(self) -> None:
        """One writer is done."""
        self._writers -= 1
        self._changed.set()

    def close_reader(self) -> None:
        """Nobody reads any more: writers get BrokenPipeError."""
        self._reader_gone = True
        self._chunks.clear()
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Shared:
    """A sink that several owners write to: closing it closes nothing."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def write(self, data: bytes) -> None:
        """Write through."""
        await self._sink.write(data)

    def close(self) -> None:
        """Nothing: the owner closes."""


class Buffer:
    """Collects what is written (command substitution, tests); refuses to grow beyond a limit."""

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._pieces: list[bytes] = []
        self._left = limit

    async def write(self, data: bytes) -> None:
        """Append."""
        self._left -= len(data)
        if self._left < 0:
            raise BrokenPipeError
        self._pieces.append(data)

    def close(self) -> None:
        """Nothing."""

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


class Lines:
    """A sink that hands complete lines on: a container's output on its way into the log."""

    def __init__(self, emit: Callable[[str], None], limit: int = 16 * 1024) -> None:
        self._emit = emit
        self._partial = b""
        self._limit = limit

    async def write(self, data: bytes) -> None:
        """Split into lines; an overlong line is cut, as containerd does at 16 KiB."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._emit(line.decode("utf-8", "replace"))
        while len(self._partial) > self._limit:
            self._emit(self._partial[: self._limit].decode("utf-8", "replace"))
            self._partial = self._partial[self._limit :]

    def close(self) -> None:
        """Hand on an unfinished last line."""
        if self._partial:
            self._emit(self._partial.decode("utf-8", "replace"))
            self._partial = b""


class Output:
    """A container's output: into its log, and to whoever is attached."""

    def __init__(self, log: Sink) -> None:
        self._log = log
        self._attached: list[Sink] = []

    async def write(self, data: bytes) -> None:
        """Write to all; one that has gone away is dropped."""
        await self._log.write(data)
        for sink in list(self._attached):
            try:
                await sink.write(data)
            except BrokenPipeError:
                self.detach(sink)

    def close(self) -> None:
        """The container has ended."""
        self._log.close()

    def attach(self, sink: Sink) -> None:
        """Also write to `sink`."""
        self._attached.append(sink)

    def detach(self, sink: Sink) -> None:
        """No longer write to `sink`."""
        if sink in self._attached:
            self._attached.remove(sink)


class FileSink:
    """Writes to a file of the container."""

    def __init__(self, files: FileSystem, path: str, *, append: bool) -> None:
        files.write(path, b"", append=append)
        self._files = files
        self._path = path

    async def write(self, data: bytes) -> None:
        """Append to the file."""
        if data:
            self._files.write(self._path, data, append=True)

    def close(self) -> None:
        """Nothing: every write is there at once."""


async def read_all(source: Source) -> bytes:
    """Everything up to the end."""
    pieces = []
    while piece := await source.read():
        pieces.append(piece)
    return b"".join(pieces)


class LineReader:
    """Reads a source line by line; shared by builtins that take one line and leave the rest (`read`)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rest = b""
        self._ended = False

    async def line(self) -> bytes | None:
        """The next line with its newline (the last one may lack it); None at the end."""
        while b"\n" not in self._rest and not self._ended:
            piece = await self._source.read()
            self._ended = not piece
            self._rest += piece
        if not self._rest:
            return None
        line, newline, self._rest = self._rest.partition(b"\n")
        return line + newline

    async def read(self, size: int = CHUNK) -> bytes:
        """What is left, as a source."""
        if self._rest:
            piece, self._rest = self._rest[:size], self._rest[size:]
            return piece
        return await self._source.read(size)
