"""An HTTP/1.1 client for curl and wget inside containers, over the pod's own connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from labctl.embedded.http.messages import Duplex, Headers
from labctl.embedded.images.process import Process
from labctl.embedded.images.programs.resolving import addresses, first_answer

HEAD_LIMIT = 64 * 1024


class ProtocolError(Exception):
    """What came back is no HTTP response; an empty text is an empty reply."""


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that a request needs."""

    scheme: str
    host: str
    port: int
    target: str
    authority: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


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


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to make.

    Attributes:
        url: Where to.
        method: The method.
        headers: All header fields.
        body: The body.
        tls: TLS settings; None takes the defaults with no trusted authority.
        address: Address and port to connect to instead of the URL's (`--resolve`); empty for none.
    """

    url: Url
    method: str = "GET"
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    tls: ssl.SSLContext | None = None
    address: str = ""


def parse_url(text: str) -> Url:
    """Read a URL; without a scheme it is http, as for curl.

    Raises:
        ValueError: It is no http or https URL.
    """
    if "://" not in text:
        text = "http://" + text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(text)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = parts.netloc.rpartition("@")[2]
    return Url(parts.scheme, parts.hostname, port, target, authority)


async def perform(process: Process, exchange: Exchange) -> Answer:
    """Make one request on a connection of its own.

    Raises:
        ResolveError: The host has no address.
        OSError: No connection; ssl.SSLError is one of them.
        ProtocolError: No HTTP came back.
    """
    url = exchange.url
    found = [exchange.address] if exchange.address else await addresses(process, url.host)
    connection = await first_answer(process, found, url.port)
    try:
        stream: Duplex = connection
        if url.scheme == "https":
            stream = await TlsStream.open(connection, exchange.tls or ssl.create_default_context(), url.host)
        lines = [f"{exchange.method} {url.target} HTTP/1.1"] + [f"{name}: {value}" for name, value in exchange.headers]
        await stream.write("\r\n".join([*lines, "", ""]).encode("latin-1") + exchange.body)
        answer = await _read_answer(stream, exchange.method)
    finally:
        connection.close()
    answer.address = found[0]
    return answer


async def _read_answer(stream: Duplex, method: str) -> Answer:
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


async def with_deadline(work: asyncio.Task[Answer], seconds: float | None) -> Answer:
    """The result of a request, or TimeoutError once the seconds are over."""
    try:
        return await asyncio.wait_for(work, seconds)
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            work.cancel()
