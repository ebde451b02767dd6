"""A connection after its protocol upgrade: raw bytes both ways."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

_HIGH_WATER = 256 * 1024


class TransportDuplex:
    """See messages.Duplex.

    Args:
        transport: The connection.
        drained: Waits while the peer is slow; raises ConnectionResetError when it went away.
    """

    def __init__(self, transport: asyncio.Transport, drained: Callable[[], Awaitable[None]]) -> None:
        self._transport = transport
        self._drained = drained
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def received(self, data: bytes) -> None:
        """Bytes from the peer. While nobody reads them, only so many are taken."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER:
            self._transport.pause_reading()
        self._wake()

    def ended(self) -> None:
        """The peer sends no more."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        while not self._pieces and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not self._pieces:
            return b""
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        if self._size > _HIGH_WATER and not self._transport.is_closing():
            self._transport.resume_reading()
        self._size = 0
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow."""
        self._transport.write(data)
        await self._drained()

    def close(self) -> None:
        """Close both directions."""
        self._transport.close()
