"""A TCP connection inside the process: a pod port's protocol on one end, a byte stream on the other."""

from __future__ import annotations

import asyncio
from collections import deque

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow

HIGH_WATER = 64 * 1024
"""Bytes that wait to be read before the server is asked to pause."""


class Connection:
    """The client's end; implements `http.messages.Duplex`, with half-close besides."""

    def __init__(self, server: PodPort, flow: Flow) -> None:
        self.flow = flow
        self._received: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._transport = _Transport(self)
        self._protocol = server.connected(flow)
        self._transport.set_protocol(self._protocol)
        self._protocol.connection_made(self._transport)

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        while not self._received:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = self._received.popleft()
        self._waiting -= len(data)
        if self._transport.writer_paused and self._waiting <= HIGH_WATER // 2:
            self._transport.resume_writer()
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the server does not read.

        Raises:
            BrokenPipeError: The server has closed.
        """
        while self._transport.reading_paused and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if self._ended:
            raise BrokenPipeError
        self._transport.deliver(data)

    def write_eof(self) -> None:
        """No more will be sent."""
        if not self._ended:
            self._transport.deliver_eof()

    def close(self) -> None:
        """Close both directions."""
        self._transport.abort()

    def received(self, data: bytes) -> int:
        """The server has sent something; how much waits now."""
        self._received.append(data)
        self._waiting += len(data)
        self._changed.set()
        return self._waiting

    def ended(self) -> None:
        """The server has closed."""
        self._ended = True
        self._changed.set()

    def wake(self) -> None:
        """The server reads again."""
        self._changed.set()


class _Transport(asyncio.Transport):
    """The server's end."""

    def __init__(self, client: Connection) -> None:
        super().__init__({"peername": client.flow.client, "sockname": client.flow.server})
        self._client = client
        self._protocol: asyncio.BaseProtocol | None = None
        self._closing = False
        self.reading_paused = False
        self.writer_paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def deliver(self, data: bytes) -> None:
        """Hand the client's bytes to the server."""
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            self._deliver_buffered(protocol, data)
        elif isinstance(protocol, asyncio.Protocol):
            protocol.data_received(data)

    def _deliver_buffered(self, protocol: asyncio.BufferedProtocol, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            buffer = memoryview(protocol.get_buffer(len(rest)))
            count = min(len(buffer), len(rest))
            buffer[:count] = rest[:count]
            protocol.buffer_updated(count)
            rest = rest[count:]

    def deliver_eof(self) -> None:
        """The client sends no more."""
        protocol = self._protocol
        if isinstance(protocol, (asyncio.Protocol, asyncio.BufferedProtocol)) and not protocol.eof_received():
            self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        if self._client.received(bytes(data)) > HIGH_WATER and not self.writer_paused and self._protocol is not None:
            self.writer_paused = True
            self._protocol.pause_writing()

    def resume_writer(self) -> None:
        """The client has caught up."""
        self.writer_paused = False
        if self._protocol is not None:
            self._protocol.resume_writing()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._client.ended()
        if self._protocol is not None:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        self._client.wake()

    def is_reading(self) -> bool:
        return not self.reading_paused

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._client.ended()

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The limits of `Connection` hold."""
