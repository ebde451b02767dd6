"""nginx serving files: index files, redirects to directories, conditions and ranges."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from labctl.embedded.http.messages import Headers
from labctl.embedded.images.accesslog import http_date
from labctl.embedded.images.filesystem import Directory, File, FileSystem
from labctl.embedded.images.nginxconf import Rules
from labctl.embedded.images.nginxpages import MIME_TYPES, TITLES, error_page


@dataclass(frozen=True, slots=True)
class Answer:
    """A prepared answer.

    Attributes:
        status: Its status.
        headers: Its header fields, `Server` first.
        body: Its body.
        mtime: The file's time.
        etag: The file's ETag.
        error: What the error log says; empty for nothing.
        again: A path to answer instead (an internal redirect of `try_files`); empty for none.
    """

    status: int
    headers: Headers
    body: bytes
    mtime: float = 0.0
    etag: str = ""
    error: str = ""
    again: str = ""


def failure(status: int, version: str, error: str = "") -> Answer:
    """Nginx's own page for a status; `version` is empty when it is not to be shown."""
    headers = [("Server", f"nginx/{version}" if version else "nginx")]
    if status not in TITLES:
        return Answer(status, headers, b"", error=error)
    return Answer(status, [*headers, ("Content-Type", "text/html")], error_page(status, version), error=error)


def static(files: FileSystem, rules: Rules, path: str, host: str, version: str) -> Answer:
    """The file for a decoded path."""
    if rules.try_files:
        return _try_files(files, rules, path, version)
    full = rules.root + path
    try:
        node = files.stat(full.rstrip("/") or "/")
        if isinstance(node, Directory):
            if not path.endswith("/"):
                moved = failure(301, version)
                return Answer(301, [*moved.headers, ("Location", f"http://{host}{path}/")], moved.body)
            return _index(files, rules, full, version)
        return _file(files, rules, full, version)
    except NotADirectoryError:
        return failure(404, version, f'open() "{full}" failed (20: Not a directory)')
    except OSError:
        return failure(404, version, f'open() "{full}" failed (2: No such file or directory)')


def _try_files(files: FileSystem, rules: Rules, path: str, version: str) -> Answer:
    *candidates, last = rules.try_files
    for candidate in candidates:
        full = rules.root + candidate.replace("$uri", path)
        if full.endswith("/"):
            if files.is_dir(full):
                return _index(files, rules, full, version)
        elif files.exists(full) and not files.is_dir(full):
            return _file(files, rules, full, version)
    if last.startswith("="):
        return failure(int(last[1:]), version)
    return Answer(0, [], b"", again=last.replace("$uri", path))


def _index(files: FileSystem, rules: Rules, full: str, version: str) -> Answer:
    for name in rules.index:
        if files.exists(full + name):
            return _file(files, rules, full + name, version)
    return failure(403, version, f'directory index of "{full}" is forbidden')


def _file(files: FileSystem, rules: Rules, full: str, version: str) -> Answer:
    node = files.stat(full)
    if not isinstance(node, File):
        return failure(404, version)
    body = node.content()
    extension = posixpath.splitext(full)[1].lstrip(".").lower()
    etag = f'"{int(node.mtime):x}-{len(body):x}"'
    headers = [
        ("Server", f"nginx/{version}" if version else "nginx"),
        ("Content-Type", MIME_TYPES.get(extension, rules.default_type)),
        ("Last-Modified", http_date(node.mtime)),
        ("ETag", etag),
        *rules.headers,
        ("Accept-Ranges", "bytes"),
    ]
    return Answer(200, headers, body, node.mtime, etag)


@dataclass(slots=True)
class Fields:
    """The request fields that matter, read in one pass."""

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


def read_fields(headers: Headers) -> Fields:
    """Pick the fields that matter."""
    fields = Fields()
    for name, value in headers:
        attribute = _FIELD_NAMES.get(name.lower())
        if attribute is not None:
            setattr(fields, attribute, value)
    return fields


def conditional(answer: Answer, fields: Fields, version: str) -> tuple[int, Headers, bytes]:
    """Status, fields and body of a GET with conditions or a range."""
    if _not_modified(answer, fields):
        kept = [field for field in answer.headers if field[0] in ("Server", "Last-Modified", "ETag")]
        return 304, kept, b""
    if not fields.ranges.startswith("bytes=") or "," in fields.ranges:
        return 200, answer.headers.copy(), answer.body
    span = _span(fields.ranges.removeprefix("bytes="), len(answer.body))
    size = len(answer.body)
    if span is None:
        refused = failure(416, version)
        return 416, [*refused.headers, ("Content-Range", f"bytes */{size}")], refused.body
    start, end = span
    kept = [field for field in answer.headers if field[0] != "Accept-Ranges"]
    return 206, [*kept, ("Content-Range", f"bytes {start}-{end}/{size}")], answer.body[start : end + 1]


def _not_modified(answer: Answer, fields: Fields) -> bool:
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
