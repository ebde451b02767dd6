"""Access control: networks, and user names with passwords."""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
from collections.abc import Sequence

from labctl.embedded.ingress.proxy.crypt import check_password


class AccessList:
    """`deny` lines, then `allow` lines with `deny all` after them: the first that matches decides."""

    def __init__(self, denied: Sequence[str], allowed: Sequence[str]) -> None:
        self._denied = _networks(denied)
        self._allowed = _networks(allowed)

    def __bool__(self) -> bool:
        return bool(self._denied or self._allowed)

    def permits(self, address: str) -> bool:
        """Whether a client address gets in."""
        client = ipaddress.ip_address(address)
        if any(client in network for network in self._denied):
            return False
        return not self._allowed or any(client in network for network in self._allowed)


def _networks(texts: Sequence[str]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            continue
    return tuple(networks)


class Networks:
    """A set of networks."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._networks = _networks(texts)

    def __contains__(self, address: str) -> bool:
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(client in network for network in self._networks)


class Htpasswd:
    """A password file as nginx's `auth_basic_user_file` reads it."""

    def __init__(self, text: str) -> None:
        self._hashes: dict[str, str] = {}
        for line in text.splitlines():
            user, colon, rest = line.partition(":")
            if colon and not line.startswith("#"):
                self._hashes.setdefault(user, rest.partition(":")[0])
        self._check = functools.lru_cache(maxsize=128)(check_password)

    def user(self, authorization: str | None) -> str | None:
        """The user of an Authorization header; None when there is none or the password is wrong."""
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("latin-1").partition(":")
        except (binascii.Error, ValueError):
            return None
        stored = self._hashes.get(name)
        if not colon or stored is None:
            return None
        return name if self._check(password, stored) else None
