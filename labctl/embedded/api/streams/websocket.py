"""WebSocket (RFC 6455), the server's side."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from hashlib import sha1

from labctl.embedded.http.messages import Duplex, Headers, Request

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_MAX_MESSAGE = 4 << 20


def is_upgrade(request: Request) -> bool:
    """Whether the client asks for a WebSocket."""
    connection = (request.header("Connection") or "").lower()
    return "upgrade" in connection and (request.header("Upgrade") or "").lower() == "websocket"


def offered_protocols(request: Request) -> list[str]:
    """The subprotocols that the client speaks, its favourite first."""
    offered = (value for key, value in request.headers if key.lower() == "sec-websocket-protocol")
    return [name.strip() for value in offered for name in value.split(",")]


def accept_headers(request: Request, protocol: str) -> Headers:
    """The headers of the 101 that accepts a WebSocket."""
    key = (request.header("Sec-WebSocket-Key") or "") + _GUID
    digest = base64.b64encode(sha1(key.encode("latin-1")).digest()).decode()  # noqa: S324 - RFC 6455, no secret
    found = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", digest)]
    return [*found, ("Sec-WebSocket-Protocol", protocol)] if protocol else found


class WebSocket:
    """A WebSocket on an upgraded connection."""

    def __init__(self, connection: Duplex) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._message = bytearray()
        self.closed = False

    async def receive(self) -> bytes | None:
        """The next message; None when the peer has closed or does not keep to the protocol."""
        while not self.closed:
            frame = self._next_frame()
            if frame is None:
                data = b"" if self.closed else await self._connection.read()
                if not data:
                    break
                self._buffer += data
                continue
            final, kind, payload = frame
            if kind == _CLOSE:
                await self._send_frame(_CLOSE, payload[:2])
                break
            if kind == _PING:
                await self._send_frame(_PONG, payload)
            elif kind in (_CONTINUATION, _TEXT, _BINARY):
                self._message += payload
                if len(self._message) > _MAX_MESSAGE:
                    break
                if final:
                    message = bytes(self._message)
                    self._message.clear()
                    return message
        self.closed = True
        return None

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, at = buffer[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(buffer) < at + size:
                return None
            length = int.from_bytes(buffer[at : at + size], "big")
            at += size
        if length > _MAX_MESSAGE:
            self.closed = True
            return None
        masked = bool(buffer[1] & 0x80)
        end = at + 4 * masked + length
        if len(buffer) < end:
            return None
        mask = bytes(buffer[at : at + 4]) if masked else b"\0\0\0\0"
        payload = _unmasked(bytes(buffer[at + 4 * masked : end]), mask)
        first = buffer[0]
        del buffer[:end]
        return bool(first & 0x80), first & 0x0F, payload

    async def send(self, data: bytes, *, text: bool = False) -> None:
        """Send one message.

        Raises:
            BrokenPipeError: The connection is closed.
        """
        if self.closed:
            raise BrokenPipeError
        await self._send_frame(_TEXT if text else _BINARY, data)

    async def _send_frame(self, kind: int, data: bytes) -> None:
        length = len(data)
        if length < 126:
            head = bytes([0x80 | kind, length])
        elif length < 1 << 16:
            head = bytes([0x80 | kind, 126]) + struct.pack(">H", length)
        else:
            head = bytes([0x80 | kind, 127]) + struct.pack(">Q", length)
        await self._connection.write(head + data)

    async def close(self, code: int = 1000) -> None:
        """Say goodbye and close the connection."""
        if not self.closed:
            self.closed = True
            await self._send_frame(_CLOSE, struct.pack(">H", code))
        self._connection.close()


def _unmasked(data: bytes, mask: bytes) -> bytes:
    if mask == b"\0\0\0\0" or not data:
        return data
    length = len(data)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")


def choose(offered: Sequence[str], supported: Sequence[str]) -> str | None:
    """The first offered protocol that is supported; None when none is."""
    return next((name for name in offered if name in supported), None)
