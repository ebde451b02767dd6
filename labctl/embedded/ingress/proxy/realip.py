"""The realip module: the client's address from X-Forwarded-For, as far as its senders are trusted."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from labctl.embedded.ingress.proxy.access import Networks

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.settings import Settings


class RealIp:
    """Replaces the client address, from the right while addresses are trusted (`real_ip_recursive on`)."""

    def __init__(self, header: str, trusted: tuple[str, ...]) -> None:
        self._header = header.lower()
        self._trusted = Networks(trusted)

    def apply(self, exchange: Exchange) -> None:
        """Set `exchange.remote`."""
        values = exchange.head.fields.get(self._header)
        if not values:
            return
        address = exchange.peer[0]
        for candidate in reversed([piece.strip() for piece in values.replace(" ", ",").split(",") if piece.strip()]):
            if address not in self._trusted or not _is_address(candidate):
                break
            address = candidate
        exchange.remote = address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def real_ip(settings: Settings) -> RealIp | None:
    """The module as the ConfigMap sets it up; None when it is off."""
    if settings.use_proxy_protocol:
        return None  # `real_ip_header proxy_protocol`: see proxy_protocol.py
    if settings.use_forwarded_headers or settings.enable_real_ip:
        return RealIp(settings.forwarded_for_header, settings.proxy_real_ip_cidr)
    return None
