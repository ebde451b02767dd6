"""The official nginx image: static files of /usr/share/nginx/html, nginx's own error pages, and the access log."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from labctl.embedded.http.messages import Headers, Request, Response
from labctl.embedded.images.accesslog import LocalTime, http_date
from labctl.embedded.images.filesystem import Directory, File, FileSystem
from labctl.embedded.images.nginxpages import MIME_TYPES, error_page

ROOT = "/usr/share/nginx/html"


@dataclass(frozen=True, slots=True)
class _Answer:
    """A prepared answer: status, header fields and body of a plain GET."""

    status: int
    headers: Headers
    body: bytes
    mtime: float = 0.0
    etag: str = ""
    error: str = ""


@dataclass(slots=True)
class _Fields:
    """The request fields that matter here, read in one pass."""

    host: str = "localhost"
    agent: str = "-"
    referer: str = "-"
    forwarded: str = "-"
    ranges: str = ""
    none_match: str = ""
    modified_since: str = ""

    @property
    def conditional(self) -> bool:
        """Whether the answer can differ from a plain GET's."""
        return bool(self.ranges or self.none_match or self.modified_since)


_FIELD_NAMES = {
    "host": "host",
    "user-agent": "agent",
    "referer": "referer",
    "x-forwarded-for": "forwarded",
    "range": "ranges",
    "if-none-match": "none_match",
    "if-modified-since": "modified_since",
}


class NginxApp:
    """nginx serving static files, as its default configuration does.

    Answers are prepared once per target and forgotten when any file of the container changes.
    """

    def __init__(
        self, version: str, files: FileSystem, log: Callable[[str], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._version = version
        self._files = files
        self._log = log
        self._clock = clock
        self._now = LocalTime(clock)
        self._prepared: dict[str, _Answer] = {}
        self._generation = files.generation
        self._connections = 0

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        fields = _read_fields(request)
        answer = self._answer(request, fields)
        status, headers, body = answer.status, answer.headers.copy(), answer.body
        if fields.conditional and status == 200:
            status, headers, body = _conditional(answer, fields, self._version)
        sent = 0 if request.method == "HEAD" else len(body)
        if request.method == "HEAD":
            headers.append(("Content-Length", str(len(body))))
            body = b""
        flow = request.flow
        if answer.error:
            self._error(answer.error, request, fields)
        self._log(
            f'{flow.client[0]} - - [{self._now()}] "{request.method} {request.target} HTTP/{request.version}" '
            f'{status} {sent} "{fields.referer}" "{fields.agent}" "{fields.forwarded}"'
        )
        return Response(status, headers, body)

    def _answer(self, request: Request, fields: _Fields) -> _Answer:
        if request.method not in ("GET", "HEAD"):
            return self._failure(405)
        generation = self._files.generation
        if generation != self._generation:
            self._prepared.clear()
            self._generation = generation
        prepared = self._prepared.get(request.target)
        if prepared is None:
            prepared = self._prepare(request.target, fields)
            if len(self._prepared) < 256 and prepared.status == 200:
                self._prepared[request.target] = prepared
        return prepared

    def _prepare(self, target: str, fields: _Fields) -> _Answer:
        path = posixpath.normpath(unquote(target.partition("?")[0]))
        path = path + "/" if target.partition("?")[0].endswith("/") and path != "/" else path
        if not path.startswith("/"):
            return self._failure(400)
        full = ROOT + path
        try:
            node = self._files.stat(full.rstrip("/") or "/")
            if isinstance(node, Directory):
                if not path.endswith("/"):
                    return self._moved(f"http://{fields.host}{path}/")
                return self._index(full, path)
            node = self._files.stat(full)
        except NotADirectoryError:
            return self._failure(404, f'open() "{full}" failed (20: Not a directory)')
        except OSError:
            return self._failure(404, f'open() "{full}" failed (2: No such file or directory)')
        assert isinstance(node, File)
        return self._static(full, node)

    def _index(self, full: str, path: str) -> _Answer:
        index = full + "index.html"
        try:
            node = self._files.stat(index)
        except OSError:
            return self._failure(403, f'directory index of "{full}" is forbidden')
        assert isinstance(node, File)
        return self._static(index, node)

    def _static(self, full: str, node: File) -> _Answer:
        body = node.content()
        extension = posixpath.splitext(full)[1].lstrip(".").lower()
        etag = f'"{int(node.mtime):x}-{len(body):x}"'
        headers = [
            ("Server", f"nginx/{self._version}"),
            ("Content-Type", MIME_TYPES.get(extension, "application/octet-stream")),
            ("Last-Modified", http_date(node.mtime)),
            ("ETag", etag),
            ("Accept-Ranges", "bytes"),
        ]
        return _Answer(200, headers, body, node.mtime, etag)

    def _failure(self, status: int, error: str = "") -> _Answer:
        headers = [("Server", f"nginx/{self._version}"), ("Content-Type", "text/html")]
        return _Answer(status, headers, error_page(status, self._version), error=error)

    def _moved(self, location: str) -> _Answer:
        answer = self._failure(301)
        return _Answer(301, [*answer.headers, ("Location", location)], answer.body)

    def _error(self, what: str, request: Request, fields: _Fields) -> None:
        moment = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(self._clock()))
        self._connections += 1
        self._log(
            f"{moment} [error] 29#29: *{self._connections} {what}, client: {request.flow.client[0]}, "
            f'server: localhost, request: "{request.method} {request.target} HTTP/{request.version}", '
            f'host: "{fields.host}"'
        )


def _read_fields(request: Request) -> _Fields:
    fields = _Fields()
    for name, value in request.headers:
        attribute = _FIELD_NAMES.get(name.lower())
        if attribute is not None:
            setattr(fields, attribute, value)
    return fields


def _conditional(answer: _Answer, fields: _Fields, version: str) -> tuple[int, Headers, bytes]:
    if _not_modified(answer, fields):
        kept = [field for field in answer.headers if field[0] in ("Server", "Last-Modified", "ETag")]
        return 304, kept, b""
    if not fields.ranges.startswith("bytes=") or "," in fields.ranges:
        return 200, answer.headers.copy(), answer.body
    span = _span(fields.ranges.removeprefix("bytes="), len(answer.body))
    size = len(answer.body)
    if span is None:
        headers = [("Server", f"nginx/{version}"), ("Content-Type", "text/html"), ("Content-Range", f"bytes */{size}")]
        return 416, headers, error_page(416, version)
    start, end = span
    kept = [field for field in answer.headers if field[0] != "Accept-Ranges"]
    return 206, [*kept, ("Content-Range", f"bytes {start}-{end}/{size}")], answer.body[start : end + 1]


def _not_modified(answer: _Answer, fields: _Fields) -> bool:
    if fields.none_match:
        tags = [tag.strip().removeprefix("W/") for tag in fields.none_match.split(",")]
        return answer.etag in tags or "*" in tags
    if fields.modified_since:
        try:
            # nginx's default `if_modified_since exact`.
            return int(parsedate_to_datetime(fields.modified_since).timestamp()) == int(answer.mtime)
        except ValueError:
            return False
    return False


def _span(text: str, size: int) -> tuple[int, int] | None:
    first, dash, last = text.partition("-")
    if not dash or not (first + last).isdigit():
        return None
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    return (start, end) if start <= end else None
