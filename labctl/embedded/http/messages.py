"""Requests, responses and applications as values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

Headers = list[tuple[str, str]]
"""Header fields in wire order and wire case; text is latin-1."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A TCP connection as its server sees it, after any address translation on the way.

    Attributes:
        client: Source address and port, as a pod's `accept` would report it.
        server: Destination address and port (the pod's own).
        tls_server_name: SNI when TLS was terminated on it, else empty.
        client_certificate: DER of the verified client certificate; empty without one.
        secure: Whether TLS was terminated on it.
    """

    client: tuple[str, int]
    server: tuple[str, int]
    tls_server_name: str = ""
    client_certificate: bytes = b""
    secure: bool = False


@dataclass(slots=True)
class Request:
    """One HTTP request.

    Attributes:
        method: As sent.
        target: Request target as sent (path and query, undecoded).
        headers: In wire order and case.
        body: The whole body.
        flow: The connection it came on.
        version: `1.0` or `1.1` (`0.9` for a request line without a version).
        authority: Host of an absolute-form target (`GET http://host/path`), without its port; else empty.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    flow: Flow
    version: str = "1.1"
    authority: str = ""

    def header(self, name: str) -> str | None:
        """The first field of that name (any case), or None."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return None


class Duplex(Protocol):
    """A raw two-way byte stream, after a protocol upgrade."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow."""

    def close(self) -> None:
        """Close both directions."""


@dataclass(slots=True)
class Response:
    """One HTTP response.

    Attributes:
        status: Status code.
        headers: In the order they are sent; the server adds Content-Length or Transfer-Encoding, and Date and
            Connection where they are missing.
        body: The whole body, or its pieces as they come (each is sent at once, chunked).
        reason: Reason phrase; empty takes the standard one.
        upgrade: With status 101: gets the connection after the head was sent.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    reason: str = ""
    upgrade: Callable[[Duplex], Awaitable[None]] | None = None


App = Callable[[Request], Response | Awaitable[Response]]
"""An HTTP application. Returning a Response at once (not a coroutine) is the quick way."""
