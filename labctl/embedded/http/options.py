"""Limits and manners of a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.embedded.http.limits import NGINX_LIMITS, HeadLimits
from labctl.embedded.http.messages import Request, Response
from labctl.embedded.http.refusal import Refusal


def plain_refusal(refusal: Refusal) -> Response:
    """The reason as text."""
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    return Response(refusal.sent_status, headers, f"{refusal.reason}\n".encode())


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Limits and manners of a server. Times in seconds, sizes in bytes.

    Attributes:
        max_body: Largest request body, or a function that says it for a request whose body is still to come (nginx's
            `client_max_body_size`); a longer one is answered 413.
        head_timeout: A request must have arrived within this time (nginx's `client_header_timeout`).
        body_timeout: Longest pause within a request's body (`client_body_timeout`).
        idle_timeout: How long a kept-alive connection may rest (`keepalive_timeout`).
        send_timeout: How long a client may take nothing of a response (`send_timeout`).
        max_requests: Requests on one connection, after which it is closed (`keepalive_requests`); 0: any number.
        limits: How long request heads may be.
        refuse: The answer to a request that is refused.
    """

    max_body: int | Callable[[Request], int] = 16 * 1024 * 1024
    head_timeout: float = 60.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    send_timeout: float = 60.0
    max_requests: int = 0
    limits: HeadLimits = NGINX_LIMITS
    refuse: Callable[[Refusal], Response] = plain_refusal


DEFAULT_OPTIONS = HttpOptions()
"""nginx's times, and bodies of up to 16 MiB."""
