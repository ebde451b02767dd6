"""Scalars as Go's standard library reads them, because annotations and ConfigMap values are read by it.

Each function returns None where Go returns an error.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT = re.compile(r"[+-]?[0-9]+")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_MAX_INT = 2**63


def parse_bool(text: str) -> bool | None:
    """`strconv.ParseBool`."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def parse_int(text: str) -> int | None:
    """`strconv.Atoi` on a 64-bit machine."""
    if not _INT.fullmatch(text):
        return None
    value = int(text)
    return value if -_MAX_INT <= value < _MAX_INT else None


def parse_duration(text: str) -> float | None:
    """`time.ParseDuration`, in seconds."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    for match in _DURATION.finditer(rest):
        if match.start() != position:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    return sign * total if rest and position == len(rest) else None


def parse_cidr(text: str) -> str | None:
    """`net.ParseCIDR`, as the network's own text with host bits cleared."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit():
        return None
    try:
        return str(ipaddress.ip_network(f"{address}/{int(length)}", strict=False))
    except ValueError:
        return None


def parse_ip(text: str) -> str | None:
    """`net.ParseIP`, as its canonical text."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def parse_networks(specs: list[str]) -> tuple[list[str], str]:
    """Addresses and networks of an access list, sorted as the controller writes them, and an error ("" when fine)."""
    found: set[str] = set()
    for spec in specs:
        text = spec.strip()
        network = parse_cidr(text) or parse_ip(text)
        if network is None:
            return [], f"invalid CIDR address: {text}"
        found.add(network)
    return sorted(found), ""


def parse_url(text: str) -> tuple[SplitResult | None, str]:
    """`url.Parse` as far as the controller relies on it: the parts, or None and Go's error text."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        return None, f'parse "{text}": net/url: invalid control character in URL'
    head, colon, _ = text.partition(":")
    if colon and "/" not in head and "?" not in head and not _SCHEME.fullmatch(head):
        what = "missing protocol scheme" if not head else "first path segment in URL cannot contain colon"
        return None, f'parse "{text}": {what}'
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        return None, f'parse "{text}": {error}'
    if " " in parts.netloc:
        return None, f'parse "{text}": invalid character " " in host name'
    return parts, ""


def absolute_url(text: str) -> tuple[SplitResult | None, str]:
    """A URL with scheme and host, as `auth-url` and its like need it, or None and the controller's own error."""
    parts, error = parse_url(text)
    if parts is None:
        return None, f"{text} is not a valid URL: {error}"
    if not parts.scheme:
        return None, "url scheme is empty"
    if not parts.netloc:
        return None, "url host is empty"
    if ".." in parts.netloc:
        return None, "invalid url host"
    return parts, ""
