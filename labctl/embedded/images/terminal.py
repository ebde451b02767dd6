"""A terminal between a client and a process: echo, line editing, Ctrl-C and Ctrl-D, as the kernel's tty does it."""

from __future__ import annotations

import signal
from collections.abc import Callable

from labctl.embedded.images.streams import CHUNK, Sink, Source

INTERRUPT, END_OF_FILE, KILL_LINE = 0x03, 0x04, 0x15
BACKSPACES = (0x08, 0x7F)


class TerminalOutput:
    """What a process writes on its way to the client: newlines become carriage return and newline (ONLCR)."""

    def __init__(self, client: Sink) -> None:
        self._client = client

    async def write(self, data: bytes) -> None:
        """Write with the newlines translated."""
        await self._client.write(data.replace(b"\n", b"\r\n"))

    def close(self) -> None:
        """Nothing: the client's stream is closed by its owner."""


class TerminalInput:
    """What a client types on its way to a process: a line at a time, echoed.

    Args:
        client: The client's keystrokes.
        echo: Where they are shown.
        interrupt: Sends a signal to the processes on the terminal.
    """

    def __init__(self, client: Source, echo: Sink, interrupt: Callable[[int], None]) -> None:
        self._client = client
        self._echo = echo
        self._interrupt = interrupt
        self._line = bytearray()
        self._ready = b""
        self._ended = False

    async def read(self, size: int = CHUNK) -> bytes:
        """The next line, once it is complete; empty after Ctrl-D or when the client is gone."""
        while not self._ready and not self._ended:
            typed = await self._client.read()
            if not typed:
                self._ended = True
                self._ready = bytes(self._line)
                self._line.clear()
            for byte in typed:
                await self._key(byte)
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    async def _key(self, byte: int) -> None:
        if byte == INTERRUPT:
            self._line.clear()
            await self._echo.write(b"^C\r\n")
            self._interrupt(signal.SIGINT)
        elif byte == END_OF_FILE:
            self._ended = not self._line
            self._ready += bytes(self._line)
            self._line.clear()
        elif byte in BACKSPACES:
            if self._line:
                del self._line[-1]
                await self._echo.write(b"\b \b")
        elif byte == KILL_LINE:
            await self._echo.write(b"\b \b" * len(self._line))
            self._line.clear()
        else:
            await self._type(b"\n" if byte == 0x0D else bytes([byte]))

    async def _type(self, char: bytes) -> None:
        self._line += char
        if char == b"\n":
            await self._echo.write(b"\r\n")
            self._ready += bytes(self._line)
            self._line.clear()
        else:
            shown = char if char >= b" " or char == b"\t" else b"^" + bytes([char[0] + 0x40])
            await self._echo.write(shown)
