"""An HTTP/1.1 client for curl and wget inside containers, over the pod's own connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from labctl.embedded.http.client import Answer, ProtocolError, TlsStream, read_answer
from labctl.embedded.http.messages import Duplex, Headers
from labctl.embedded.images.process import Process
from labctl.embedded.images.programs.resolving import addresses, first_answer


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
        answer = await read_answer(stream, exchange.method)
    finally:
        connection.close()
    answer.address = found[0]
    return answer


__all__ = ["Answer", "Exchange", "ProtocolError", "Url", "parse_url", "perform", "with_deadline"]


async def with_deadline(work: asyncio.Task[Answer], seconds: float | None) -> Answer:
    """The result of a request, or TimeoutError once the seconds are over."""
    try:
        return await asyncio.wait_for(work, seconds)
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            work.cancel()
