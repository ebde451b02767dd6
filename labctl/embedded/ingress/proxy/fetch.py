"""A single request to a URL, for subrequests: HTTP/1.0 as nginx's proxy module sends it, then closed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.proxy.upstream import InvalidResponse, parse_response

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.plane import Generation

_LIMIT = 4096
_TIMEOUT = 60.0


class FetchError(Exception):
    """The URL could not be asked."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back; bodies are of no use to subrequests."""

    status: int
    headers: tuple[tuple[str, str], ...]


async def fetch(
    generation: Generation, url: str, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> Fetched:
    """Ask a URL.

    Raises:
        FetchError: It cannot be reached, or answers no HTTP.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    shown = [(name, value) for name, value in headers if value]
    if body:
        shown.append(("Content-Length", str(len(body))))
    head = "\r\n".join(
        [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in shown), "Connection: close", "\r\n"]
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await _open(generation, host, port, secure=secure)
            try:
                writer.write(head.encode("latin-1", "replace") + body)
                text = await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.close()
        parsed = parse_response(text.decode("latin-1"), no_body=True)
    except (OSError, TimeoutError, InvalidResponse, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise FetchError(str(error)) from error
    if parsed is None:
        raise FetchError(f"{url} answers no HTTP")
    return Fetched(parsed.status, tuple(parsed.headers))


async def _open(
    generation: Generation, host: str, port: int, *, secure: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = host if secure else None
    local = generation.network.port_at(host, port)
    if local is None:
        address, number = generation.address(host, port)
        return await asyncio.open_connection(address, number, ssl=context, server_hostname=name, limit=_LIMIT)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    flow = Flow((generation.pod_ip, 0), (host, port))
    await asyncio.get_running_loop().connect_accepted_socket(lambda: local.connected(flow), theirs)
    return await asyncio.open_connection(sock=ours, ssl=context, server_hostname=name, limit=_LIMIT)
