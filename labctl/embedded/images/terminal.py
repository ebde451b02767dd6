"""A terminal between a client and a process: echo, line editing, Ctrl-C and Ctrl-D, as the kernel's tty does it."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable

from labctl.embedded.images.streams import CHUNK, Sink, Source

INTERRUPT, END_OF_FILE, CARRIAGE_RETURN, KILL_LINE = 0x03, 0x04, 0x0D, 0x15
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

    `pump` takes the keystrokes as they come, whether a process reads or not, so that Ctrl-C always works.

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
        self._ready: deque[bytes] = deque()
        self._hung_up = False
        self._changed = asyncio.Event()

    async def pump(self) -> None:
        """Take keystrokes until the client is gone."""
        while typed := await self._client.read():
            for byte in typed:
                await self._key(byte)
            self._changed.set()
        self._complete()
        self._hung_up = True
        self._changed.set()

    async def read(self, size: int = CHUNK) -> bytes:
        """The next line, once it is complete; empty after Ctrl-D (once) or when the client is gone."""
        while not self._ready:
            if self._hung_up:
                return b""
            self._changed.clear()
            await self._changed.wait()
        line = self._ready.popleft()
        if len(line) > size:
            self._ready.appendleft(line[size:])
        return line[:size]

    async def _key(self, byte: int) -> None:
        if byte == INTERRUPT:
            self._line.clear()
            await self._echo.write(b"^C\r\n")
            self._interrupt(signal.SIGINT)
        elif byte == END_OF_FILE:
            if self._line:
                self._complete()
            else:
                self._ready.append(b"")
        elif byte in BACKSPACES:
            if self._line:
                del self._line[-1]
                await self._echo.write(b"\b \b")
        elif byte == KILL_LINE:
            await self._echo.write(b"\b \b" * len(self._line))
            self._line.clear()
        else:
            await self._type(b"\n" if byte == CARRIAGE_RETURN else bytes([byte]))

    async def _type(self, char: bytes) -> None:
        self._line += char
        if char == b"\n":
            await self._echo.write(b"\r\n")
            self._complete()
        else:
            shown = char if char >= b" " or char == b"\t" else b"^" + bytes([char[0] + 0x40])
            await self._echo.write(shown)

    def _complete(self) -> None:
        if self._line:
            self._ready.append(bytes(self._line))
            self._line.clear()
