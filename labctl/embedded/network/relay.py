"""A connection to an endpoint that is no embedded pod: real bytes over a second, real connection."""

from __future__ import annotations

import asyncio
from typing import cast

from labctl.embedded.http.messages import Flow
from labctl.embedded.network.listener import reset

CONNECT_TIMEOUT = 127.0
"""Seconds until Linux gives a connection up (tcp_syn_retries = 6)."""


def relay(flow: Flow) -> asyncio.Protocol:
    """The protocol of the client's side: connects to `flow.server` and copies both ways, with back-pressure."""
    return _Client(flow)


class _Side(asyncio.Protocol):
    """One of the two connections; what arrives on it is written to the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.other is None or self.other.transport is None or self.other.transport.is_closing():
            return False
        self.other.transport.write_eof()
        return not self.other.ended  # once both have ended, this one closes, and with it the other

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        other = self.other.transport if self.other else None
        if other is None:
            return
        if exc is not None:
            reset(other)
        else:
            other.close()


class _Client(_Side):
    """The accepted connection; nothing is read until the endpoint's is there."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self._flow = flow
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)

    async def _connect(self) -> None:
        assert self.transport is not None
        endpoint = _Side()
        endpoint.other = self
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await _open(endpoint, self._flow)
        except OSError:
            reset(self.transport)
            return
        finally:
            self._connecting = None
        self.other = endpoint
        if self.transport.is_closing():
            cast(asyncio.Transport, endpoint.transport).abort()
        else:
            self.transport.resume_reading()


async def _open(protocol: asyncio.Protocol, flow: Flow) -> None:
    """Connect from the flow's source address where that is one of this machine, so that the endpoint sees it."""
    loop = asyncio.get_running_loop()
    if flow.client[0].startswith("127.") and flow.server[0].startswith("127."):
        await loop.create_connection(lambda: protocol, *flow.server, local_addr=(flow.client[0], 0))
    else:
        await loop.create_connection(lambda: protocol, *flow.server)
