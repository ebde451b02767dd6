"""nginx's own pages, byte for byte."""

from __future__ import annotations

_LINES = {
    301: "301 Moved Permanently",
    302: "302 Found",
    303: "303 See Other",
    307: "307 Temporary Redirect",
    308: "308 Permanent Redirect",
    400: "400 Bad Request",
    401: "401 Authorization Required",
    402: "402 Payment Required",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Not Allowed",
    406: "406 Not Acceptable",
    408: "408 Request Time-out",
    409: "409 Conflict",
    410: "410 Gone",
    411: "411 Length Required",
    412: "412 Precondition Failed",
    413: "413 Request Entity Too Large",
    414: "414 Request-URI Too Large",
    415: "415 Unsupported Media Type",
    416: "416 Requested Range Not Satisfiable",
    421: "421 Misdirected Request",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    501: "501 Not Implemented",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
    505: "505 HTTP Version Not Supported",
    507: "507 Insufficient Storage",
}

_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Not Allowed",
    406: "Not Acceptable",
    408: "Request Time-out",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable",
    421: "Misdirected Request",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}

SPECIAL = {
    "request header too large": ("400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"),
    "certificate error": ("400 The SSL certificate error", "The SSL certificate error"),
    "no certificate": ("400 No required SSL certificate was sent", "No required SSL certificate was sent"),
    "plain http": (
        "400 The plain HTTP request was sent to HTTPS port",
        "The plain HTTP request was sent to HTTPS port",
    ),
}
"""nginx's variants of the 400 page: title and extra line."""

CLOSING = frozenset({400, 413, 414, 500, 501})
"""Statuses after whose page nginx closes the connection."""


def status_line(status: int, reason: str = "") -> str:
    """`200 OK`: nginx's own words unless an upstream's are given; unknown statuses have none."""
    return f"{status} {reason or _REASONS.get(status, '')}"


def page(status: int, product: str, special: str = "") -> bytes:
    """The body of nginx's page.

    Args:
        status: Status code; those without a page give an empty body.
        product: `nginx`, or with the version when server tokens are on.
        special: A key of SPECIAL for one of the variants of 400.
    """
    line = _LINES.get(status)
    if line is None:
        return b""
    title, extra = line, ""
    if special:
        title, text = SPECIAL[special]
        extra = f"<center>{text}</center>\r\n"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{line}</h1></center>\r\n"
        f"{extra}<hr><center>{product}</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


def has_page(status: int) -> bool:
    """Whether nginx has a page of its own for the status."""
    return status in _LINES
