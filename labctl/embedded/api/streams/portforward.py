"""port-forward: connections to a pod's ports over SPDY, plain or inside a WebSocket.

Source: k8s.io/kubelet `pkg/cri/streaming/portforward`, `portforward.k8s.io`; KEP-4006 for the tunnel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from labctl.embedded.api.errors import bad_request
from labctl.embedded.api.streams import websocket
from labctl.embedded.api.streams.remotecommand import spdy_upgrade
from labctl.embedded.api.streams.spdy import SpdySession, SpdyStream
from labctl.embedded.api.streams.websocket import WebSocket
from labctl.embedded.clientset import ApiError
from labctl.embedded.http.messages import Duplex, Request, Response

Connect = Callable[[int], Awaitable[Duplex]]
"""Connects to a port of the pod."""

_PROTOCOL = "portforward.k8s.io"
_TUNNEL = "SPDY/3.1+portforward.k8s.io"


def upgrade(request: Request, pod: str, connect: Connect) -> Response:
    """The answer that forwards a client's connections to a pod.

    Args:
        request: The client's request.
        pod: How error messages name the pod.
        connect: Connects to its ports.

    Raises:
        ApiError: 400, the client does not ask for an upgrade that is known here.
    """
    if websocket.is_upgrade(request):
        chosen = websocket.choose(websocket.offered_protocols(request), (_TUNNEL,))
        if chosen is None:
            raise bad_request(f"unable to negotiate protocol: the server only supports {_TUNNEL}")

        async def tunnel(connection: Duplex) -> None:
            await _serve(_Tunnel(WebSocket(connection), connection), pod, connect)

        return Response(101, websocket.accept_headers(request, chosen), upgrade=tunnel)
    if not spdy_upgrade(request):
        raise bad_request("Upgrade request required")

    async def plain(connection: Duplex) -> None:
        await _serve(connection, pod, connect)

    headers = [("Upgrade", "SPDY/3.1"), ("Connection", "Upgrade"), ("X-Stream-Protocol-Version", _PROTOCOL)]
    return Response(101, headers, upgrade=plain)


class _Tunnel:
    """A WebSocket's messages as a byte stream."""

    def __init__(self, socket: WebSocket, connection: Duplex) -> None:
        self._socket = socket
        self._connection = connection

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message is None or message:
                return message or b""

    async def write(self, data: bytes) -> None:
        await self._socket.send(data)

    def close(self) -> None:
        self._connection.close()


async def _serve(connection: Duplex, pod: str, connect: Connect) -> None:
    session = SpdySession(connection)
    reading = asyncio.ensure_future(session.run())
    waiting: dict[str, SpdyStream] = {}
    forwarding: set[asyncio.Task[None]] = set()
    try:
        while (stream := await session.accept()) is not None:
            await session.flush()
            request = stream.headers.get("requestid", "")
            partner = waiting.pop(request, None)
            if partner is None:
                waiting[request] = stream
                continue
            error, data = (partner, stream) if partner.headers.get("streamtype") == "error" else (stream, partner)
            task = asyncio.ensure_future(_forward(session, error, data, pod, connect))
            forwarding.add(task)
            task.add_done_callback(forwarding.discard)
    finally:
        for task in forwarding:
            task.cancel()
        session.close()
        reading.cancel()


async def _forward(session: SpdySession, error: SpdyStream, data: SpdyStream, pod: str, connect: Connect) -> None:
    """One connection: the data stream and the pod's port, until both have ended."""
    port = data.headers.get("port", "")
    try:
        target = await connect(int(port))
    except (OSError, ValueError, ApiError) as problem:
        await error.write(f"error forwarding port {port} to pod {pod}: {_words(problem)}".encode())
        error.close()
        data.close()
        await session.flush()
        return
    outgoing = asyncio.ensure_future(_send(data, target))
    try:
        while piece := await target.read():
            await data.write(piece)
    except ConnectionError:
        # Either side has gone: the other one hears the end below.
        pass
    finally:
        outgoing.cancel()
        target.close()
        data.close()
        error.close()
        if not session.closed:
            await session.flush()


def _words(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem)


async def _send(data: SpdyStream, target: Duplex) -> None:
    while piece := await data.read():
        await target.write(piece)
