"""The value checks of ingress-nginx 1.11.2, which `--enable-annotation-validation` turns on.

Regular expressions are Go's: `$` there means the very end of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from labctl.embedded.ingress.goscalars import parse_bool, parse_duration, parse_int, parse_networks

Validator = Callable[[str], bool]

_PLAIN = r"\-\.\_\~a-zA-Z0-9\/:"
_REGEX_CHARACTERS = re.escape("^$[](){}*+?|&=\\")
_URL_CHARACTERS = re.escape(":?&=")

IS_REGEX = re.compile(f"^[/{_PLAIN}{_REGEX_CHARACTERS}]*\\Z")
SIZE = re.compile(r"^(?:[0-9]+[bkmg]?)\Z", re.IGNORECASE)
URL = re.compile(f"^[{_PLAIN}{_URL_CHARACTERS}]*\\Z")
URL_WITH_VARIABLES = re.compile(f"^[{_PLAIN}, {_URL_CHARACTERS}$]*\\Z")
BASIC_CHARACTERS = re.compile(f"^[/{_PLAIN}]*\\Z")
EXTENDED_CHARACTERS = re.compile(f"^[/{_PLAIN}, ]*\\Z")
CHARACTERS_WITH_SPACE = re.compile(f"^[/{_PLAIN} ]*\\Z")
NGINX_VARIABLE = re.compile(r"^[A-Za-z0-9\-\_\$\{\}]*\Z")
PATH_WITH_CAPTURE = re.compile(f"^/?[{_PLAIN}\\/\\$]*\\Z")
HEADERS = re.compile(r"^[A-Za-z0-9\-_, ]*\Z")
AUTH_TYPE = re.compile(r"basic|digest")
AUTH_SECRET_TYPE = re.compile(r"auth-file|auth-map")
METHODS = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|CONNECT|OPTIONS|TRACE)")
HEADER_NAME = re.compile(r"^[a-zA-Z0-9\-_]+\Z")
HEADER_VALUE = re.compile(r"^[a-zA-Z0-9_ :;.,\\/\"'?!(){}\[\]@<>=\-+*#$&\x60|~^%]+\Z")
VERIFY_CLIENT = re.compile(r"^(on|off|optional|optional_no_ca)\Z")
ERROR_PAGE = re.compile(r"^((https?://)?[A-Za-z0-9\-.]*(:[0-9]+)?/[A-Za-z0-9\-.]*)?\Z")
CONNECTION = re.compile(r"^(close|keep-alive)\Z")
# The three lists are written so that Python's backtracking stays linear; the accepted texts are the real ones.
CORS_ORIGINS = re.compile(r"^(?:(?>https?://|\*\.|:[0-9]+|[A-Za-z0-9\-.,])*+|\*)\Z")
CORS_ORIGIN = re.compile(r"^(https?://(\*\.)?[A-Za-z0-9\-.]*(:[0-9]+)?|\*)?\Z")
CORS_METHODS = re.compile(r"^[A-Za-z]+(?:(?:,\s?|\s)[A-Za-z]+)*(?:,\s?|\s)?\Z", re.ASCII)
CORS_EXPOSE = re.compile(r"^[A-Za-z0-9\-_*]+(?:(?:,\s?|\s)[A-Za-z0-9\-_*]+)*(?:,\s?|\s)?\Z", re.ASCII)
HTTP_ERRORS = re.compile(r"^(?:[4,5][0-9]{2},?)*\Z")
FASTCGI_INDEX = re.compile(r"^[A-Za-z0-9.\-\_]+\Z")
ON_OFF = re.compile(r"^(on|off)\Z")
SSL_PROTOCOLS = re.compile(r"^(TLSv1\.2|TLSv1\.3| )*\Z")
PROXY_SSL_CIPHERS = re.compile(r"^[A-Za-z0-9\+:\_\-!]*\Z")
NEXT_UPSTREAM = re.compile(
    r"^((error|timeout|invalid_header|http_500|http_502|http_503|http_504|http_403|http_404|http_429"
    r"|non_idempotent|off)\s?)+\Z",
    re.ASCII,
)
COOKIE_EXPIRES = re.compile(r"(^0|-?[1-9][0-9]*\Z)")
OPERATION_NAME = re.compile(r"^[A-Za-z0-9_\-]*\Z")
HASH_BY = re.compile(r"^[A-Za-z0-9\-_\${}]*\Z")
SSL_CIPHERS = re.compile(r"^(?:(?:[A-Za-z0-9!:+\-])|(?:@STRENGTH)|(?:@SECLEVEL=[0-5]))*\Z")
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def matches(expression: re.Pattern[str], *, ignore_spaces: bool) -> Validator:
    """The whole rule is one expression; spaces may be taken out before it is tried."""

    def check(value: str) -> bool:
        return bool(expression.search(value.replace(" ", "") if ignore_spaces else value))

    return check


def one_of(*options: str, case_sensitive: bool = True) -> Validator:
    """One of a fixed set of words, spaces around it ignored."""

    def check(value: str) -> bool:
        word = value.strip()
        return (word if case_sensitive else word.lower()) in options

    return check


def is_bool(value: str) -> bool:
    """A boolean as Go reads it."""
    return parse_bool(value) is not None


def is_int(value: str) -> bool:
    """A decimal integer."""
    return parse_int(value) is not None


def is_duration(value: str) -> bool:
    """A Go duration such as `1m30s`."""
    return parse_duration(value) is not None


def are_networks(value: str) -> bool:
    """Comma-separated addresses and CIDRs."""
    return value == "" or not parse_networks(value.split(","))[1]


def is_anything(value: str) -> bool:
    """Snippets are not looked into: whether they are allowed at all is the administrator's decision."""
    return True


def is_server_name(value: str) -> bool:
    """A name or a regular expression without unusual characters."""
    return bool(IS_REGEX.search(value.strip()))


def are_server_names(value: str) -> bool:
    """Comma-separated server names."""
    return all(is_server_name(name) for name in value.split(","))


def is_service_name(value: str) -> bool:
    """A DNS-1035 label of at most 63 characters."""
    return len(value) <= 63 and bool(_DNS_1035.fullmatch(value))


def is_common_name(value: str) -> bool:
    """`CN=` and a regular expression."""
    if not value.startswith("CN="):
        return False
    try:
        re.compile(value[3:])
    except re.error:
        return False
    return True
