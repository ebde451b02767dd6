"""Opening what a command's redirections name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from labctl.embedded.images.filesystem import FileSystem
from labctl.embedded.images.process import Process
from labctl.embedded.images.shell.expansion import Expander
from labctl.embedded.images.shell.state import Streams
from labctl.embedded.images.shell.syntax import Redirect
from labctl.embedded.images.streams import Data, FileSink, Null, Sink, Source, Zero


class RedirectError(Exception):
    """A redirection failed; the command does not run."""


@asynccontextmanager
async def opened(
    redirects: Sequence[Redirect], expander: Expander, process: Process, io: Streams
) -> AsyncIterator[Streams]:
    """The streams of a command after its redirections.

    Raises:
        RedirectError: A file cannot be opened.
    """
    if not redirects:
        yield io
        return
    streams = Streams(io.stdin, io.stdout, io.stderr)
    sinks: list[Sink] = []
    for redirect in redirects:
        text = await expander.text(redirect.word)
        try:
            _apply(redirect, text, streams, process, sinks)
        except OSError as error:
            kind = "open" if redirect.operator.startswith("<") else "create"
            raise RedirectError(f"can't {kind} {text}: {error.strerror}") from error
    try:
        yield streams
    finally:
        for sink in sinks:
            sink.close()


def _apply(redirect: Redirect, text: str, streams: Streams, process: Process, sinks: list[Sink]) -> None:
    operator, fd = redirect.operator, redirect.fd
    if operator == "<<":
        streams.stdin = Data(text.encode("utf-8", "surrogateescape"))
    elif operator == "<<<":
        streams.stdin = Data(text.encode("utf-8", "surrogateescape") + b"\n")
    elif operator in (">&", "<&"):
        _duplicate(fd, text, streams)
    elif operator == "<":
        streams.stdin = open_source(process.path(text), process.files)
    else:
        sink = open_sink(process.path(text), process.files, streams, append=operator == ">>")
        sinks.append(sink)
        _set(fd, sink, streams)


def _duplicate(fd: int, text: str, streams: Streams) -> None:
    if text == "-":
        _set(fd, Null(), streams)
    elif text == "1":
        _set(fd, streams.stdout, streams)
    elif text == "2":
        _set(fd, streams.stderr, streams)
    elif text != "0":
        raise RedirectError(f"{text}: bad file descriptor")


def _set(fd: int, sink: Sink, streams: Streams) -> None:
    if fd == 1:
        streams.stdout = sink
    elif fd == 2:
        streams.stderr = sink
    elif fd != 0:
        raise RedirectError(f"{fd}: only the descriptors 0, 1 and 2 exist here")


def open_source(path: str, files: FileSystem) -> Source:
    """A file to read; /dev/null and /dev/zero are what they are.

    Raises:
        OSError: It cannot be opened.
    """
    if path == "/dev/null":
        return Null()
    if path in ("/dev/zero", "/dev/urandom", "/dev/random"):
        return Zero()
    return Data(files.read(path))


def open_sink(path: str, files: FileSystem, streams: Streams, *, append: bool) -> Sink:
    """A file to write.

    Raises:
        OSError: It cannot be opened.
    """
    target = files.resolve(path)
    if target == "/dev/null":
        return Null()
    if target in ("/dev/stdout", "/proc/self/fd/1", "/proc/1/fd/1", "/dev/tty"):
        return streams.stdout
    if target in ("/dev/stderr", "/proc/self/fd/2", "/proc/1/fd/2"):
        return streams.stderr
    return FileSink(files, path, append=append)
