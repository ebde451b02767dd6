"""What many small programs need: reading operands, complaining as the image's own tools do."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Sequence

from labctl.embedded.images.process import Process
from labctl.embedded.images.streams import LineReader, Source, read_all


def is_busybox(process: Process) -> bool:
    """Whether the image's tools are busybox applets; else they are GNU's."""
    return process.files.exists("/bin/busybox")


def cannot_open(process: Process, path: str, error: OSError) -> str:
    """The message for a file that cannot be read."""
    if is_busybox(process):
        return f"can't open '{path}': {error.strerror}"
    return f"{path}: {error.strerror}"


async def contents(process: Process, operands: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
    """Name and content of every operand (standard input without one); complains of those that cannot be read.

    Yields a pair with an empty name for one that failed, so that the caller knows the exit code.
    """
    for operand in operands or ["-"]:
        if operand == "-":
            yield "-", await read_all(process.stdin)
            continue
        try:
            yield operand, process.files.read(process.path(operand))
        except OSError as error:
            await process.complain(cannot_open(process, operand, error))
            yield "", b""


async def lines_of(source: Source) -> AsyncIterator[bytes]:
    """Lines of a stream as they come, without their newlines."""
    reader = LineReader(source)
    while (line := await reader.line()) is not None:
        yield line.removesuffix(b"\n")


def split_lines(data: bytes) -> list[bytes]:
    """Lines of a text without their newlines."""
    lines = data.split(b"\n")
    return lines[:-1] if lines and not lines[-1] else lines


def program_name(process: Process) -> str:
    """The program's own name."""
    return posixpath.basename(process.argv[0])
