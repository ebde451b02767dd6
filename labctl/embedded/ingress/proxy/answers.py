"""Responses: nginx's own, and what happens to the headers of all on the way out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING

from labctl.embedded.ingress.proxy import pages

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange, HeaderOperation

Headers = list[tuple[str, str]]

_ADD_HEADER_STATUSES = frozenset({200, 201, 204, 206, 301, 302, 303, 304, 307, 308})
_date: tuple[int, str] = (0, "")


class Answer:
    """A response that nginx makes itself.

    Attributes:
        status: Status code.
        body: Body; for statuses with a page of nginx's own, that page unless given.
        headers: Further headers, before those of the configuration.
        content_type: Content-Type, empty for none.
        special: Which variant of the 400 page.
        close: Whether the connection ends after it.
        location: A Location that nginx made absolute itself, which it writes before Connection.
    """

    __slots__ = ("body", "close", "content_type", "headers", "location", "reason", "special", "status")

    def __init__(
        self,
        status: int,
        body: bytes | None = None,
        *,
        headers: Headers | None = None,
        content_type: str = "text/html",
        special: str = "",
        close: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else []
        self.content_type = content_type
        self.special = special
        self.close = close or status in pages.CLOSING
        self.reason = ""
        self.location = ""


def redirect(exchange: Exchange, status: int, url: str) -> Answer:
    """A redirect; a path becomes a URL of this host."""
    if not url.startswith("/"):
        return Answer(status, headers=[("Location", url)])
    answer = Answer(status)
    answer.location = f"{exchange.scheme}://{exchange.host}{url}"
    return answer


def http_date() -> str:
    """The Date header, made once a second."""
    global _date  # noqa: PLW0603 - nginx keeps its time string the same way
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]


def apply_operations(
    status: int, content_type: str, headers: Headers, operations: Iterable[HeaderOperation], exchange: Exchange
) -> tuple[str, Headers]:
    """Execute `more_set_headers`, `more_clear_headers` and `add_header`.

    Args:
        status: Status of the response.
        content_type: Its Content-Type, which nginx keeps apart.
        headers: The other headers.
        operations: What to do, in order.
        exchange: For variables.

    Returns:
        Content-Type and headers as they are then.
    """
    for operation in operations:
        if operation.statuses and status not in operation.statuses:
            continue
        name = operation.name.lower()
        if operation.kind == "add":
            value = operation.value.value(exchange)
            if value and (operation.always or status in _ADD_HEADER_STATUSES):
                headers.append((operation.name, value))
        elif name == "content-type":
            content_type = operation.value.value(exchange) if operation.kind == "set" else ""
        elif name != "content-length":
            headers = _set(headers, operation, name, exchange)
    return content_type, headers


def _set(headers: Headers, operation: HeaderOperation, name: str, exchange: Exchange) -> Headers:
    """Replace the first header of that name and drop the others, or append it; clearing drops them all."""
    star = name.endswith("*")
    replaced = operation.kind == "clear"
    result: Headers = []
    for key, value in headers:
        lower = key.lower()
        if lower != name and not (star and lower.startswith(name[:-1])):
            result.append((key, value))
        elif not replaced:
            result.append((operation.name, operation.value.value(exchange)))
            replaced = True
    if not replaced:
        result.append((operation.name, operation.value.value(exchange)))
    return result
