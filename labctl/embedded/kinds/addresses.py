"""IP addresses and ranges as the API's older fields accept them: leading zeros and mapped IPv4 are tolerated."""

from __future__ import annotations

import ipaddress
import re

from labctl.embedded.kinds.field import Cause, invalid_value

INVALID_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
INVALID_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ZEROS = re.compile(r"(^|(?<=\.))0+(?=[0-9])")


def parse_ip(text: str) -> Address | None:
    """The address, or None when the text is none."""
    try:
        address = ipaddress.ip_address(_ZEROS.sub("", text) if ":" not in text else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_cidr(text: str) -> Network | None:
    """The range (bits after the prefix are dropped), or None when the text is none."""
    base, slash, prefix = text.partition("/")
    if not slash or not prefix.isascii() or not prefix.isdigit():
        return None
    address = parse_ip(base)
    if address is None:
        return None
    try:
        return ipaddress.ip_network(f"{address}/{int(prefix)}", strict=False)
    except ValueError:
        return None


def family(text: str) -> str:
    """`IPv4`, `IPv6`, or nothing when the text is no address."""
    address = parse_ip(text)
    return f"IPv{address.version}" if address is not None else ""


def ip_causes(path: str, text: str) -> list[Cause]:
    """What is wrong with an address."""
    return [] if parse_ip(text) is not None else [invalid_value(path, text, INVALID_IP)]


def cidr_causes(path: str, text: str) -> list[Cause]:
    """What is wrong with a range."""
    return [] if parse_cidr(text) is not None else [invalid_value(path, text, INVALID_CIDR)]
