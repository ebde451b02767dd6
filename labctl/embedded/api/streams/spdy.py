"""SPDY/3.1 as kubectl speaks it: multiplexed streams, no flow control.

Source: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/ and github.com/moby/spdystream.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Mapping

from labctl.embedded.http.messages import Duplex

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 0x01
_MAX_DATA = 32 * 1024
_MAX_FRAME = 1 << 20

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status
""".split()  # noqa: SIM905 - a list of seventy lines reads no better
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS, *_MORE)) + _TAIL.encode()
"""The zlib dictionary of header blocks (draft 3, §2.6.10.1)."""


class SpdyError(Exception):
    """The peer does not keep to the protocol."""


class SpdyStream:
    """One stream of a session.

    Attributes:
        headers: What the client opened it with, names in lower case.
    """

    def __init__(self, session: SpdySession, number: int, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._session = session
        self._number = number
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""
        self._ended = False
        self._closed = False

    def received(self, data: bytes) -> None:
        """Bytes from the client; empty at the end."""
        self._pieces.put_nowait(data)

    async def read(self, size: int = 65536) -> bytes:
        """At most `size` bytes; empty at the end."""
        if not self._rest and not self._ended:
            self._rest = await self._pieces.get()
            self._ended = not self._rest
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    async def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            BrokenPipeError: The connection or the stream is closed.
        """
        if self._closed or self._session.closed:
            raise BrokenPipeError
        for at in range(0, len(data), _MAX_DATA):
            await self._session.send_data(self._number, data[at : at + _MAX_DATA])

    def close(self) -> None:
        """No more will be sent on it."""
        if not self._closed:
            self._closed = True
            self._session.finish(self._number)

    def abort(self) -> None:
        """The client has reset it."""
        self._closed = True
        self.received(b"")


class SpdySession:
    """The server's side of a connection.

    Args:
        connection: The upgraded connection.
    """

    def __init__(self, connection: Duplex) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._streams: dict[int, SpdyStream] = {}
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._opened: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._pending: list[bytes] = []
        self.closed = False

    async def run(self) -> None:
        """Read until the client is gone or breaks the protocol."""
        try:
            while data := await self._connection.read():
                self._buffer += data
                while self._frame():
                    pass
                await self._flush()
        except (SpdyError, zlib.error, struct.error, UnicodeDecodeError, ConnectionError):
            # Nothing can be said to a peer that does not speak the protocol, or is gone.
            return
        finally:
            self.closed = True
            for stream in self._streams.values():
                stream.received(b"")
            self._opened.put_nowait(None)

    async def accept(self) -> SpdyStream | None:
        """The next stream the client opens; None when the session has ended."""
        return await self._opened.get()

    def close(self) -> None:
        """Close the connection once everything is sent."""
        for data in self._pending:
            # What is still queued goes out before the connection closes; nobody waits for it.
            task = asyncio.ensure_future(self._connection.write(data))
            task.add_done_callback(_ignore)
        self._pending.clear()
        self.closed = True
        self._connection.close()

    async def send_data(self, number: int, data: bytes) -> None:
        """Send a data frame."""
        await self._flush()
        await self._connection.write(struct.pack(">II", number, len(data)) + data)

    def finish(self, number: int) -> None:
        """Half-close a stream."""
        if not self.closed:
            self._pending.append(struct.pack(">II", number, _FIN << 24))

    async def _flush(self) -> None:
        while self._pending:
            await self._connection.write(self._pending.pop(0))

    async def flush(self) -> None:
        """Send what is queued."""
        await self._flush()

    def _frame(self) -> bool:
        """Handle one frame; False when it is not complete yet."""
        if len(self._buffer) < 8:
            return False
        first, second = struct.unpack_from(">II", self._buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if length > _MAX_FRAME:
            raise SpdyError
        if len(self._buffer) < 8 + length:
            return False
        payload = bytes(self._buffer[8 : 8 + length])
        del self._buffer[: 8 + length]
        if first & 0x80000000:
            self._control(first & 0xFFFF, flags, payload)
        else:
            self._data(first, flags, payload)
        return True

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if payload:
            stream.received(payload)
        if flags & _FIN:
            stream.received(b"")

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _SYN_STREAM:
            self._open(flags, payload)
        elif kind == _RST_STREAM:
            (number, _) = struct.unpack_from(">II", payload)
            stream = self._streams.pop(number, None)
            if stream is not None:
                stream.abort()
        elif kind == _PING:
            self._pending.append(_control_frame(_PING, payload[:4]))
        elif kind == _HEADERS:
            # The header compression is one stream for all frames: it must be read to stay in step.
            self._headers(payload[4:])

    def _open(self, flags: int, payload: bytes) -> None:
        (number,) = struct.unpack_from(">I", payload)
        number &= 0x7FFFFFFF
        stream = SpdyStream(self, number, self._headers(payload[10:]))
        self._streams[number] = stream
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._pending.append(_control_frame(_SYN_REPLY, struct.pack(">I", number) + block))
        if flags & _FIN:
            stream.received(b"")
        self._opened.put_nowait(stream)

    def _headers(self, block: bytes) -> dict[str, str]:
        data = self._inflate.decompress(block, _MAX_FRAME)
        (count,) = struct.unpack_from(">I", data)
        at, texts = 4, []
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", data, at)
            texts.append(data[at + 4 : at + 4 + length].decode("utf-8"))
            at += 4 + length
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


def _control_frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, len(payload)) + payload


def _ignore(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
