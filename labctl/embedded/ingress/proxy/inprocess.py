"""Pods of the embedded cluster: called in the process, without a socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING

from labctl.embedded.cni import PodNetwork, PodPort
from labctl.embedded.http.messages import App, Flow, Response
from labctl.embedded.ingress.proxy.upstream import CHUNKED, LENGTH, NONE, ResponseHead, UpstreamConnection, UpstreamPool

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.forward import Forwarder

_NO_BODY = frozenset({204, 304})


def local_port(network: PodNetwork, peer: str) -> PodPort | None:
    """What an embedded pod has listening at `address:port`."""
    host, _, port = peer.rpartition(":")
    return network.port_at(host, int(port))


def start_app(forwarder: Forwarder, app: App, peer: str) -> None:
    """Call a pod's application with the request that the pod would have read from its socket."""
    request = forwarder.app_request(peer)
    answer = app(request)
    if isinstance(answer, Response) and isinstance(answer.body, bytes):
        _deliver(forwarder, answer, answer.body)
    else:
        forwarder.run(_later(forwarder, answer))


async def _later(forwarder: Forwarder, answer: Response | Awaitable[Response]) -> None:
    response = answer if isinstance(answer, Response) else await answer
    if isinstance(response.body, bytes):
        _deliver(forwarder, response, response.body)
    else:
        await _stream(forwarder, response, response.body)


def _deliver(forwarder: Forwarder, response: Response, body: bytes) -> None:
    head = ResponseHead(response.status, response.reason or _reason(response), response.headers, reusable=True)
    empty = forwarder.is_head or response.status in _NO_BODY
    head.framing, head.length = (NONE, len(body)) if empty else (LENGTH, len(body))
    if forwarder.local_head(head):
        if body and not empty:
            forwarder.upstream_data(body)
        forwarder.upstream_done()


async def _stream(forwarder: Forwarder, response: Response, body: AsyncIterator[bytes]) -> None:
    head = ResponseHead(response.status, response.reason or _reason(response), response.headers, reusable=True)
    head.framing, head.length = CHUNKED, -1
    for name, value in response.headers:
        if name.lower() == "content-length" and value.isdigit():
            head.framing, head.length = LENGTH, int(value)
    if forwarder.local_head(head):
        async for piece in body:
            if piece:
                forwarder.upstream_data(piece)
                await forwarder.drained()
        forwarder.upstream_done()


def _reason(response: Response) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return ""


async def start_local(
    forwarder: Forwarder,
    pool: UpstreamPool,
    key: str,
    port: PodPort,
    peer: str,
    context: ssl.SSLContext | None,
    server_name: str | None,
) -> UpstreamConnection:
    """Connect to a pod that must see a byte stream: TLS, upgrades, anything that is not plain HTTP.

    Args:
        forwarder: Whose request it is.
        pool: Where the connection rests later.
        key: Under which name.
        port: The pod's port.
        peer: Its `address:port`.
        context: TLS settings, None without TLS.
        server_name: SNI.
    """
    host, _, number = peer.rpartition(":")
    flow = Flow((forwarder.generation.pod_ip, 0), (host, int(number)))
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    accepted = connected = False
    try:
        await loop.connect_accepted_socket(lambda: port.connected(flow), theirs)
        accepted = True
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(pool, key),
            sock=ours,
            ssl=context,
            server_hostname=(server_name or "") if context is not None else None,
        )
        connected = True
    finally:
        # A client may go away meanwhile; each end is closed unless a transport has it.
        if not accepted:
            theirs.close()
        if not connected:
            ours.close()
    return connection
