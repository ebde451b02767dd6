"""The ports a controller's pod listens on."""

from __future__ import annotations

import asyncio
import json
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import App, Flow, Request, Response
from labctl.embedded.http.server import HttpServer, http_port
from labctl.embedded.ingress.controller.webhook import webhook_app
from labctl.embedded.ingress.model import Backend
from labctl.embedded.ingress.proxy.client import ClientConnection
from labctl.embedded.ingress.proxy.proxy_protocol import ProxyProtocol
from labctl.embedded.ingress.proxy.tls import TlsWire
from labctl.embedded.ingress.proxy.upstream_tls import load_key_pair

if TYPE_CHECKING:
    from labctl.embedded.ingress.controller.controller import Controller
    from labctl.embedded.ingress.proxy.plane import DataPlane

_CLOSE = ("Connection", "close")
_TEXT = ("Content-Type", "text/plain; charset=utf-8")


def plain_port(plane: DataPlane, number: int) -> PodPort:
    """HTTP."""
    return _port(plane, lambda flow: ClientConnection(plane, flow, number))


def tls_port(plane: DataPlane, number: int) -> PodPort:
    """HTTPS."""
    return _port(plane, lambda flow: TlsWire(plane, flow, number))


def _port(plane: DataPlane, serve: Callable[[Flow], asyncio.Protocol]) -> PodPort:
    """A port of nginx's, with the PROXY protocol before everything else where the ConfigMap asks for it."""

    def connected(flow: Flow) -> asyncio.Protocol:
        if plane.generation.settings.use_proxy_protocol:
            return ProxyProtocol(plane, flow, serve)
        return serve(flow)

    return PodPort(connected)


def controller_ports(controller: Controller) -> Mapping[int, PodPort]:
    """All ports that are open in a running controller, the webhook's left out."""
    flags, plane = controller.flags, controller.plane
    return {
        flags.http_port: plain_port(plane, flags.http_port),
        flags.https_port: tls_port(plane, flags.https_port),
        flags.healthz_port: http_port(health_app(controller)),
        flags.status_port: http_port(status_app(controller)),
    }


def webhook_port(controller: Controller, pem: bytes) -> PodPort:
    """The validating webhook, over TLS.

    Args:
        controller: What judges.
        pem: Certificate and key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_key_pair(context, pem)
    server = HttpServer(webhook_app(controller))

    def connected(flow: Flow) -> asyncio.BaseProtocol:
        loop = asyncio.get_running_loop()
        shaken: asyncio.Future[None] = loop.create_future()
        shaken.add_done_callback(_heed)
        return SSLProtocol(loop, server(flow), context, shaken, server_side=True)

    return PodPort(connected)


def _heed(handshake: asyncio.Future[None]) -> None:
    """A handshake that fails is the client's affair."""
    if not handshake.cancelled():
        handshake.exception()


def health_app(controller: Controller) -> App:
    """`/healthz`, `/metrics` and `/build`."""
    flags = controller.flags

    def answer(request: Request) -> Response:
        path = request.target.partition("?")[0]
        if path in {"/healthz", flags.health_check_path}:
            return Response(200, [_TEXT, ("X-Content-Type-Options", "nosniff")], b"ok")
        if path == "/metrics" and flags.enable_metrics:
            body = controller.metrics.text(controller.plane.statistics, controller.leadership).encode()
            return Response(200, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=values")], body)
        return Response(404, [_TEXT, ("X-Content-Type-Options", "nosniff")], b"404 page not found\n")

    return answer


def status_app(controller: Controller) -> App:
    """Nginx's own server on the loopback interface: `/nginx_status`, `/configuration/backends` and so on."""

    def answer(request: Request) -> Response:
        path = request.target.partition("?")[0]
        if path == "/nginx_status":
            return Response(
                200, [("Content-Type", "text/plain")], controller.plane.generation.status_page().body or b""
            )
        if path in {"/is-dynamic-lb-initialized", "/healthz"}:
            return Response(200, [("Content-Type", "text/html"), _CLOSE], b"OK\n" if path != "/healthz" else b"")
        if path == "/configuration/backends":
            return Response(200, [("Content-Type", "text/html"), _CLOSE], json.dumps(_backends(controller)).encode())
        return Response(404, [("Content-Type", "text/html"), _CLOSE], controller.plane.generation.page(404))

    return answer


def _status(controller: Controller) -> bytes:
    return controller.plane.generation.status_page().body or b""


def _backends(controller: Controller) -> list[dict[str, object]]:
    """What the controller posts to nginx's Lua code."""
    return [_backend(backend) for backend in controller.plane.backends.values()]


def _backend(backend: Backend) -> dict[str, object]:
    cookie, by, shaping = backend.affinity.cookie, backend.hash_by, backend.shaping
    shown: dict[str, object] = {
        "name": backend.name,
        "port": int(backend.port) if backend.port.isdigit() else backend.port,
        "sslPassthrough": backend.ssl_passthrough,
        "endpoints": [{"address": endpoint.address, "port": endpoint.port} for endpoint in backend.endpoints],
        "sessionAffinityConfig": {
            "name": backend.affinity.type,
            "mode": backend.affinity.mode,
            "cookieSessionAffinity": {"name": cookie.name},
        },
        "upstreamHashByConfig": {
            **({"upstream-hash-by": by.by} if by.by else {}),
            **({"upstream-hash-by-subset": True} if by.subset else {}),
            **({"upstream-hash-by-subset-size": by.subset_size} if by.subset_size else {}),
        },
    }
    if backend.load_balance:
        shown["load-balance"] = backend.load_balance
    shown["noServer"] = backend.no_server
    shown["trafficShapingPolicy"] = {
        "weight": shaping.weight,
        "weightTotal": shaping.weight_total,
        "header": shaping.header,
        "headerValue": shaping.header_value,
        "headerPattern": shaping.header_pattern,
        "cookie": shaping.cookie,
    }
    if backend.alternatives:
        shown["alternativeBackends"] = list(backend.alternatives)
    return shown


__all__ = ["controller_ports", "health_app", "plain_port", "status_app", "tls_port", "webhook_port"]
