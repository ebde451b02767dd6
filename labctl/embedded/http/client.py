"""HTTP/1.1 as a client reads it, and TLS, over any two-way stream of bytes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from labctl.embedded.http.messages import Duplex, Headers

HEAD_LIMIT = 64 * 1024


class ProtocolError(Exception):
    """What came back is no HTTP response; an empty text is an empty reply."""


@dataclass(slots=True)
class Answer:
    """A response; `body` is empty when only the head was wanted."""

    status: int
    reason: str
    version: str
    headers: Headers
    body: bytes = b""
    address: str = ""
    head: bytes = b""

    def header(self, name: str) -> str:
        """The first field of that name; empty for none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


async def read_answer(stream: Duplex, method: str) -> Answer:
    """The response to a request that was sent.

    Raises:
        OSError: The connection broke.
        ProtocolError: No HTTP came back.
    """
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = await stream.read()
            if not piece:
                raise ProtocolError("" if not data else "the response's head is cut short")
            data += piece
            if len(data) > HEAD_LIMIT and b"\r\n\r\n" not in data:
                raise ProtocolError("the response's head is too long")
        head, _, data = data.partition(b"\r\n\r\n")
        answer = _parse_head(head)
        if answer.status >= 200 or answer.status == 101:
            break
    if method != "HEAD" and answer.status not in (204, 304):
        answer.body = await _read_body(stream, answer, data)
    return answer


def _parse_head(head: bytes) -> Answer:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/") or not code.isdigit():
        raise ProtocolError("Received HTTP/0.9 when not allowed")
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Answer(int(code), reason, version.removeprefix("HTTP/"), headers, head=head + b"\r\n\r\n")


async def _read_body(stream: Duplex, answer: Answer, data: bytes) -> bytes:
    if "chunked" in answer.header("Transfer-Encoding").lower():
        return await _read_chunks(stream, data)
    length = answer.header("Content-Length")
    if length.isdigit():
        while len(data) < int(length):
            piece = await stream.read()
            if not piece:
                raise ProtocolError("transfer closed with outstanding read data remaining")
            data += piece
        return data[: int(length)]
    while piece := await stream.read():
        data += piece
    return data


async def _read_chunks(stream: Duplex, data: bytes) -> bytes:
    body = b""
    while True:
        while b"\r\n" not in data:
            data += await _more(stream)
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0] or b"0", 16)
        while len(data) < size + 2:
            data += await _more(stream)
        if size == 0:
            return body
        body += data[:size]
        data = data[size + 2 :]


async def _more(stream: Duplex) -> bytes:
    piece = await stream.read()
    if not piece:
        raise ProtocolError("transfer closed with outstanding read data remaining")
    return piece


class TlsStream:
    """TLS over a byte stream, for a client."""

    def __init__(self, stream: Duplex, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._stream = stream
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing

    @classmethod
    async def open(cls, stream: Duplex, context: ssl.SSLContext, host: str) -> TlsStream:
        """Shake hands.

        Raises:
            ssl.SSLError: The server's certificate or its protocol is not accepted.
        """
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
        made = cls(stream, tls, incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await made._flush()
                await made._fill()
        await made._flush()
        return made

    async def read(self) -> bytes:
        """The next bytes of plain text."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                return b""

    async def write(self, data: bytes) -> None:
        """Send plain text."""
        self._tls.write(data)
        await self._flush()

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()

    async def _fill(self) -> None:
        data = await self._stream.read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._stream.write(data)
