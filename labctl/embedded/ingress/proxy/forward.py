"""From a request to its response: tries at pods, errors, and the response's way back."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Coroutine

from labctl.embedded.http.messages import Flow, Request
from labctl.embedded.ingress.model import DEFAULT_BACKEND
from labctl.embedded.ingress.proxy import phases
from labctl.embedded.ingress.proxy.answers import Answer
from labctl.embedded.ingress.proxy.attempts import Attempts
from labctl.embedded.ingress.proxy.inprocess import local_port, start_app, start_local
from labctl.embedded.ingress.proxy.request_headers import error_page_headers
from labctl.embedded.ingress.proxy.subrequest import authenticate, mirror
from labctl.embedded.ingress.proxy.upstream import (
    LENGTH,
    NONE,
    ResponseHead,
    UpstreamConnection,
    open_connection,
)
from labctl.embedded.ingress.proxy.worker import is_internal

_STATUS_OF = {"timeout": 504, "http_403": 403, "http_404": 404, "http_429": 429, "http_500": 500, "http_503": 503}
_RETRY_STATUSES = frozenset({403, 404, 429, 500, 502, 503, 504})
_MAX_REDIRECTS = 10


class Forwarder(Attempts):
    """Answers one request."""

    __slots__ = ()

    # Start

    def start(self) -> None:
        """Run the phases, then answer or go to the pod."""
        self._continue(phases.run(self.exchange, self.generation))

    def _continue(self, answer: Answer | None) -> None:
        plan = self._plan = self.exchange.plan
        if answer is not None:
            self.answer(answer)
            return
        assert plan is not None
        self.header_limit = plan.header_limit
        if plan.external_auth is not None and "_satisfied" not in self.exchange.variables:
            self._task = asyncio.get_running_loop().create_task(self._authenticate())
        elif self.exchange.head.length:
            self.client.read_body(self, plan.body_limit)
        else:
            self.body_complete()

    async def _authenticate(self) -> None:
        answer = await authenticate(self.exchange, self.generation)
        self._task = None
        if answer is not None:
            self.answer(answer)
        elif self.exchange.head.length:
            assert self._plan is not None
            self.client.read_body(self, self._plan.body_limit)
        else:
            self.body_complete()

    def body_complete(self) -> None:
        """The request body is there (in `exchange.body`)."""
        plan = self._plan
        assert plan is not None
        if plan.annotations.mirror.target:
            mirror(self.exchange, self.generation)
        if plan.unsupported:
            self.answer(Answer(502))
        else:
            self._try()

    def body_refused(self, status: int) -> None:
        """The body is malformed or too large."""
        self.answer(Answer(status, close=True))

    # Tries

    def _try(self) -> None:
        exchange = self.exchange
        balancer = exchange.balancer
        assert balancer is not None
        peer = balancer.balance(exchange, time.time())
        if peer is None:
            self.answer(Answer(502))
            return
        exchange.tries.append(peer)
        self._request_sent = False
        self._try_started = time.monotonic()
        if is_internal(exchange, peer):
            self._own_default()
            return
        self._connect(peer)

    def _own_default(self) -> None:
        """Nginx's own server behind the default backend: 404, or 500 where the error page it would need is missing."""
        settings = self.generation.settings
        status = 500 if 404 in settings.custom_http_errors else 404
        body = self.generation.page(status)
        headers = [("Content-Type", "text/html"), ("Content-Length", str(len(body)))]
        head = ResponseHead(status, "", headers, reusable=True)
        head.framing, head.length = (NONE if self.is_head else LENGTH), len(body)
        if self.local_head(head):
            if not self.is_head:
                self.upstream_data(body)
            self.upstream_done()

    def _connect(self, peer: str) -> None:
        exchange, plan = self.exchange, self._plan
        assert plan is not None
        tls = plan.tls
        if tls is not None and tls.only_for_https and exchange.scheme != "https":
            tls = None
        if tls is None:
            port = local_port(self.generation.network, peer)
            if port is not None and port.app is not None and not exchange.head.fields.get("upgrade"):
                start_app(self, port.app, peer)
                return
        key = f"{peer}{'!tls' if tls is not None else ''}"
        connection = exchange.worker.pool.take(key)
        if connection is not None:
            self._send(connection)
            return
        context = tls.context if tls is not None else None
        name = tls.server_name if tls is not None else None
        self._task = asyncio.get_running_loop().create_task(self._open(key, peer, context, name))

    async def _open(self, key: str, peer: str, context: ssl.SSLContext | None, name: str | None) -> None:
        plan = self._plan
        assert plan is not None
        host, _, port = peer.rpartition(":")
        pool = self.exchange.worker.pool
        kind = ""
        try:
            async with asyncio.timeout(plan.proxy.connect_timeout or None):
                local = local_port(self.generation.network, peer)
                if local is not None:
                    connection = await start_local(self, pool, key, local, peer, context, name)
                elif self.generation.network.is_pod(host):
                    raise ConnectionRefusedError(peer)
                else:
                    address, number = self.generation.address(host, int(port))
                    connection = await open_connection(pool, key, address, number, context=context, server_name=name)
        except TimeoutError:
            kind = "timeout"
        except OSError:
            kind = "error"
        self._task = None
        if kind:
            self._next(kind)
        elif plan.tls is not None and not self.generation.verified(connection, plan.tls):
            connection.abort()
            self._next("error")
        else:
            self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        plan, exchange = self._plan, self.exchange
        assert plan is not None
        self._connection = connection
        headers = self._error_headers or plan.request_headers
        minor = 0 if self._error_headers is not None or plan.http_1_0 else 1
        length = len(exchange.body)
        connection.send(self, headers.build(exchange, length, minor=minor) + exchange.body)
        self._request_sent = True
        self._arm(plan.proxy.read_timeout)

    # What the pod does

    def upstream_head(self, head: ResponseHead) -> None:
        """The head of a response: another try, an error page, an internal redirect, or the response."""
        self._sent_at = time.monotonic()
        plan = self._plan
        assert plan is not None
        self.exchange.upstream_statuses[len(self.exchange.upstream_seconds) :] = [head.status]
        if self._error_headers is None and head.status in _RETRY_STATUSES and self._retries_status(head.status):
            self._release()
            self._next(f"http_{head.status}")
            return
        if self._error_headers is None and plan.intercept and head.status in plan.error_pages:
            self._release()
            self._error_page(head.status, head)
            return
        target = next((value for name, value in head.headers if name.lower() == "x-accel-redirect"), "")
        if target:
            self._release()
            self._internal_redirect(target, head)
            return
        self.started_response = True
        if head.status == 101:
            self._disarm()
            self._observe()
            self.writer.upgrade(head, plan if self._error_headers is None else None)
            assert self._connection is not None
            self.client.tunnel(self._connection)
            return
        self.writer.begin(head, plan if self._error_headers is None else None)

    def upstream_data(self, data: bytes) -> None:
        """A piece of the response's body."""
        self._sent_at = time.monotonic()
        self.writer.data(data)

    def upstream_done(self) -> None:
        """The response is complete."""
        self._disarm()
        self._connection = None
        self._observe()
        self.writer.end()

    def upstream_raw(self, data: bytes) -> None:
        """The pod speaks no HTTP: nginx passes its bytes on as they are."""
        if not self.started_response:
            self.started_response = True
            self.writer.raw()
        self._sent_at = time.monotonic()
        self.writer.data(data)

    def upstream_failed(self, kind: str) -> None:
        """The connection broke, or the response is not acceptable."""
        self._connection = None
        if self.started_response:
            self._disarm()
            self._observe()
            self.client.cut_off()
        else:
            self._next(kind)

    # In-process pods

    def app_request(self, peer: str) -> Request:
        """The request as the pod at `peer` reads it."""
        plan, exchange = self._plan, self.exchange
        assert plan is not None
        headers = self._error_headers or plan.request_headers
        minor = 0 if self._error_headers is not None or plan.http_1_0 else 1
        host, _, port = peer.rpartition(":")
        flow = Flow((self.generation.pod_ip, self.generation.next_port()), (host, int(port)))
        self._request_sent = True
        return headers.request(exchange, len(exchange.body), minor, flow)

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Await something for this request, within the read timeout."""
        plan = self._plan
        assert plan is not None
        self._task = asyncio.get_running_loop().create_task(work)
        self._arm(plan.proxy.read_timeout)

    def local_head(self, head: ResponseHead) -> bool:
        """A response of an in-process pod begins. Returns whether its body is wanted."""
        self._task = None
        self.upstream_head(head)
        return self.started_response

    # Another try, or giving up

    def _next(self, kind: str) -> None:
        """A try has failed: take the next one where the configuration says so, else answer."""
        self._disarm()
        self.exchange.upstream_seconds.append(time.monotonic() - self._try_started)
        self.exchange.upstream_statuses[len(self.exchange.upstream_seconds) - 1 :] = [_STATUS_OF.get(kind, 502)]
        if self._tries_left() > 0 and self._allowed(self._kinds(kind)):
            if len(self.exchange.tries) % 50 == 0:
                asyncio.get_running_loop().call_later(0.01, self._try)
            else:
                self._try()
            return
        self.exchange.worker.observed(self.exchange)
        self.answer(Answer(_STATUS_OF.get(kind, 502)))

    # Answers of nginx's own

    def answer(self, answer: Answer) -> None:
        """Answer without a pod, by an error page where the configuration names one for the status."""
        plan = self._plan or self.exchange.plan
        if (
            plan is not None
            and self._error_headers is None
            and answer.status in plan.error_pages
            and not answer.special
        ):
            if plan.error_pages[answer.status]:
                self._plan = plan
                self._error_page(answer.status, None)
                return
            if plan.external_auth is not None and answer.status == 401:
                answer = self.generation.signin(self.exchange, plan.external_auth)
        self._disarm()
        self.writer.answer(answer, plan if self._error_headers is None else None)

    def _error_page(self, status: int, head: ResponseHead | None) -> None:
        """Let the error backend answer: a named location of its own, with HTTP/1.0 and other headers."""
        exchange, plan = self.exchange, self._plan
        assert plan is not None
        self._disarm()
        if head is not None:
            self._observe()
        exchange.error_status = status
        exchange.response_headers.clear()
        exchange.header_operations.clear()
        exchange.upstream_name = plan.error_pages[status]
        exchange.alternative = ""
        exchange.tries = []
        exchange.uri, exchange.rewritten = "/", True
        self._error_headers = error_page_headers(status)
        self._plan = plan
        if exchange.worker.choose(exchange) is None:
            self.answer(Answer(502 if exchange.upstream_name != DEFAULT_BACKEND else 503))
        else:
            self._try()

    def _internal_redirect(self, target: str, head: ResponseHead) -> None:
        """`X-Accel-Redirect`: start over with another path, keeping some headers."""
        exchange = self.exchange
        kept = [(name, value) for name, value in head.headers if name.lower() == "set-cookie"]
        exchange.response_headers += kept
        exchange.internal_redirects += 1
        self._disarm()
        if exchange.internal_redirects > _MAX_REDIRECTS:
            self.answer(Answer(500))
            return
        path, mark, args = target.partition("?")
        exchange.uri, exchange.args, exchange.rewritten = path, args if mark else None, True
        exchange.tries = []
        if exchange.method != "HEAD":
            exchange.method = "GET"
        self._continue(phases.locate(exchange, self.generation))
