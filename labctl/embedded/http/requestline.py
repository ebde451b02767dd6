"""The request line, as strict as nginx (ngx_http_parse_request_line of 1.25.5)."""

from __future__ import annotations

import re
from typing import NamedTuple

from labctl.embedded.http.fields import is_host
from labctl.embedded.http.refusal import Refusal

_BAD = Refusal(400, "client sent invalid request")
_BAD_METHOD = Refusal(400, "client sent invalid method")
_METHOD = re.compile(r"[A-Z_-]+(?= )")
_METHOD_SO_FAR = re.compile(r"(?:[A-Z_-]+(?: .*)?)?", re.DOTALL)
_TARGET = re.compile(
    r" +(?:(?P<path>/[^\x00-\x20\x7f]*)"
    r"|[A-Za-z][A-Za-z0-9+.-]*://(?P<host>\[[A-Za-z0-9:._~!$&'()*+,;=-]*\]|[A-Za-z0-9.-]*)(?::[0-9]*)?"
    r"(?P<rest>[/?][^\x00-\x20\x7f]*)?(?(rest)|(?= )))"
)
_VERSION = re.compile(r" +HTTP/1\.([0-9]{1,3}) *| *")
_FUTURE = re.compile(r" +HTTP/(?:[2-9]|1[0-9])")


class RequestLine(NamedTuple):
    """What a request line says.

    Attributes:
        method: As sent.
        target: Path and query, also of an absolute-form target.
        authority: Host of an absolute-form target, without its port; else empty.
        version: `1.1`, `1.0`, or `0.9` when none is given.
    """

    method: str
    target: str
    authority: str
    version: str


def parse_request_line(line: str) -> RequestLine | Refusal:
    """A request line without its line end."""
    method = _METHOD.match(line)
    if method is None:
        return _BAD_METHOD
    target = _TARGET.match(line, method.end())
    if target is None:
        return _BAD
    if _FUTURE.match(line, target.end()):
        return Refusal(505, "client sent invalid version")
    version = _VERSION.fullmatch(line, target.end())
    if version is None:
        return _BAD
    minor = version[1]
    if minor is None and method[0] != "GET":
        return Refusal(400, "client sent invalid method in HTTP/0.9 request", simple=True)
    number = "0.9" if minor is None else "1.1" if int(minor) else "1.0"
    host = target["host"]
    if host is None:
        return RequestLine(method[0], target["path"], "", number)
    if not is_host(host):
        return Refusal(400, "client sent invalid host in request line")
    rest = target["rest"] or "/"
    return RequestLine(method[0], rest if rest[0] == "/" else "/" + rest, host, number)


def begins_request_line(text: str) -> bool:
    """Whether the beginning of a request line may still become one: nginx refuses at the first byte that is wrong."""
    return _METHOD_SO_FAR.fullmatch(text) is not None
