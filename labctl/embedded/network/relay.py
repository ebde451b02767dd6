"""Connections to endpoints that are no embedded pods: a TCP relay."""

from __future__ import annotations

import asyncio
from typing import cast


class RelayClient(asyncio.Protocol):
    """The accepted side: dials the endpoint, holds what has come until it answers, then passes bytes both ways."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._early = bytearray()
        self._ended = False
        self._transport: asyncio.Transport | None = None
        self._peer: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to dial."""
        self._transport = cast(asyncio.Transport, transport)
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        assert self._transport is not None
        try:
            peer, _ = await asyncio.get_running_loop().create_connection(
                lambda: _RelayServer(self._transport), *self._target
            )
        except OSError:
            self._transport.abort()
            return
        if self._transport.is_closing():
            peer.abort()
            return
        self._peer = peer
        peer.write(bytes(self._early))
        if self._ended:
            peer.write_eof()

    def data_received(self, data: bytes) -> None:
        """Bytes for the endpoint."""
        if self._peer is None:
            self._early += data
        else:
            self._peer.write(data)

    def eof_received(self) -> bool:
        """The client sends no more."""
        self._ended = True
        if self._peer is not None:
            self._peer.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self._peer is not None:
            self._peer.close()

    def pause_writing(self) -> None:
        """The client reads slowly: so does the relay."""
        if self._peer is not None:
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._peer is not None:
            self._peer.resume_reading()


class _RelayServer(asyncio.Protocol):
    """The dialled side."""

    def __init__(self, client: asyncio.Transport | None) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        if self._client is not None and not self._client.is_closing():
            self._client.write(data)

    def eof_received(self) -> bool:
        if self._client is not None and not self._client.is_closing() and self._client.can_write_eof():
            self._client.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client is not None:
            self._client.close()

    def pause_writing(self) -> None:
        if self._client is not None and not self._client.is_closing():
            self._client.pause_reading()

    def resume_writing(self) -> None:
        if self._client is not None and not self._client.is_closing():
            self._client.resume_reading()
