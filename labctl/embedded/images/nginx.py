"""nginx as a pod's web server: what its configuration says about files and fixed answers, and the access log."""

from __future__ import annotations

import posixpath
import re
import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from labctl.embedded.http.messages import Request, Response
from labctl.embedded.images.accesslog import LocalTime
from labctl.embedded.images.filesystem import FileSystem
from labctl.embedded.images.nginxconf import Rules, Server, choose
from labctl.embedded.images.nginxstatic import Answer, Fields, conditional, failure, read_fields, static

PREPARED = 256
"""Answers kept ready, by target."""

REDIRECTS = 10
"""Internal redirects before nginx gives up."""

_VARIABLE = re.compile(r"\$(?:\{([a-z0-9_]+)\}|([a-z0-9_]+))")
_ADDED = frozenset((200, 201, 204, 206, 301, 302, 303, 304, 307, 308))
"""Statuses to which `add_header` applies."""


class NginxApp:
    """The HTTP application of one listening port of one container.

    Answers from files are prepared once per target and forgotten when any file of the container changes.

    Args:
        version: nginx's version.
        hostname: The container's hostname.
        port: The port.
        servers: The configuration's servers that listen on it.
        files: The container's files.
        log: Access and error log.
        clock: Wall time in seconds.
    """

    def __init__(
        self,
        version: str,
        hostname: str,
        port: int,
        servers: Sequence[Server],
        files: FileSystem,
        log: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._version = version
        self._hostname = hostname
        self._port = port
        self._servers = servers
        self._files = files
        self._log = log
        self._clock = clock
        self._now = LocalTime(clock)
        self._prepared: dict[str, Answer] = {}
        self._generation = files.generation
        self._connections = 0

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        fields = read_fields(request.headers)
        answer = self._answer(request, fields)
        status, headers, body = answer.status, answer.headers.copy(), answer.body
        if fields.conditional and status == 200 and answer.etag:
            status, headers, body = conditional(answer, fields, self._version)
        sent = len(body)
        if request.method == "HEAD":
            headers.append(("Content-Length", str(sent)))
            sent, body = 0, b""
        flow = request.flow
        if answer.error:
            self._error(answer.error, request, fields)
        self._log(
            f'{flow.client[0]} - - [{self._now()}] "{request.method} {request.target} HTTP/{request.version}" '
            f'{status} {sent} "{fields.referer}" "{fields.agent}" "{fields.forwarded}"'
        )
        return Response(status, headers, body)

    def _answer(self, request: Request, fields: Fields) -> Answer:
        generation = self._files.generation
        if generation != self._generation:
            self._prepared.clear()
            self._generation = generation
        plain = len(self._servers) == 1 and request.method in ("GET", "HEAD")
        prepared = self._prepared.get(request.target) if plain else None
        if prepared is None:
            prepared = self._prepare(request, fields)
            if plain and prepared.etag and len(self._prepared) < PREPARED:
                self._prepared[request.target] = prepared
        return prepared

    def _prepare(self, request: Request, fields: Fields) -> Answer:
        given = request.target.partition("?")[0]
        if not given.startswith("/"):
            return failure(400, self._version)
        path = posixpath.normpath(unquote(given)).replace("//", "/")
        path = path + "/" if given.endswith("/") and path != "/" else path
        host = fields.host.rpartition(":")[0] if ":" in fields.host else fields.host
        server = choose(self._servers, self._port, host)
        for _ in range(REDIRECTS):
            rules = server.location(path)
            version = self._version if rules.tokens else ""
            if rules.answer is not None:
                return self._returned(rules, request, path, host, server)
            if request.method not in ("GET", "HEAD"):
                return failure(405, version)
            answer = static(self._files, rules, path, fields.host, version)
            if not answer.again:
                return answer
            path = answer.again
        return failure(500, self._version, "rewrite or internal redirection cycle")

    def _returned(self, rules: Rules, request: Request, path: str, host: str, server: Server) -> Answer:
        """`return`: a fixed answer, a redirect, or nginx's own page."""
        assert rules.answer is not None
        status, text = rules.answer
        version = self._version if rules.tokens else ""
        text = self._expand(text, request, path, host, server)
        page = failure(status, version)
        headers = page.headers if not text or 300 <= status < 400 else page.headers[:1]
        if 300 <= status < 400 and text:
            location = f"http://{request.header('Host') or host}{text}" if text.startswith("/") else text
            headers = [*headers, ("Location", location)]
        elif text:
            headers = [*headers, ("Content-Type", rules.default_type)]
        if status in _ADDED:
            headers = [*headers, *rules.headers]
        return Answer(status, headers, page.body if not text or 300 <= status < 400 else text.encode())

    def _expand(self, text: str, request: Request, path: str, host: str, server: Server) -> str:
        if "$" not in text:
            return text
        query = request.target.partition("?")[2]
        values = {
            "hostname": self._hostname,
            "host": host,
            "uri": path,
            "request_uri": request.target,
            "request_method": request.method,
            "scheme": "https" if request.flow.secure else "http",
            "args": query,
            "query_string": query,
            "is_args": "?" if query else "",
            "remote_addr": request.flow.client[0],
            "remote_port": str(request.flow.client[1]),
            "server_addr": request.flow.server[0],
            "server_port": str(self._port),
            "server_name": server.names[0] if server.names else "",
            "server_protocol": f"HTTP/{request.version}",
            "nginx_version": self._version,
            "time_local": self._now(),
            "request_id": secrets.token_hex(16),
        }

        def value(match: re.Match[str]) -> str:
            name = match.group(1) or match.group(2)
            if name.startswith("http_"):
                return request.header(name[5:].replace("_", "-")) or ""
            return values.get(name, "")

        return _VARIABLE.sub(value, text)

    def _error(self, what: str, request: Request, fields: Fields) -> None:
        moment = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(self._clock()))
        self._connections += 1
        self._log(
            f"{moment} [error] 29#29: *{self._connections} {what}, client: {request.flow.client[0]}, "
            f'server: localhost, request: "{request.method} {request.target} HTTP/{request.version}", '
            f'host: "{fields.host}"'
        )
