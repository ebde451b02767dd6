"""CORS as the controller's template does it."""

from __future__ import annotations

import re

from labctl.embedded.ingress.annotations.values import Cors
from labctl.embedded.ingress.proxy.exchange import Exchange, HeaderOperation


class CorsPlan:
    """Which origins get which headers."""

    def __init__(self, cors: Cors) -> None:
        self._any = cors.allow_origin == ("*",)
        expressions = "|".join(_expression(origin) for origin in cors.allow_origin)
        self._pattern = re.compile(f"(?:{expressions})$", re.IGNORECASE) if expressions and not self._any else None
        headers = [("Access-Control-Allow-Credentials", "true")] if cors.allow_credentials else []
        headers += [
            ("Access-Control-Allow-Methods", cors.allow_methods),
            ("Access-Control-Allow-Headers", cors.allow_headers),
        ]
        if cors.expose_headers:
            headers.append(("Access-Control-Expose-Headers", cors.expose_headers))
        headers.append(("Access-Control-Max-Age", str(cors.max_age)))
        self._headers = headers

    def apply(self, exchange: Exchange) -> bool:
        """Add the headers when the origin is allowed. Returns whether this is a preflight, to be answered 204."""
        origin = exchange.head.fields.get("origin", "")
        if self._any:
            exchange.variables["http_origin"] = origin = "*"
        elif self._pattern is None or not self._pattern.search(origin):
            return False
        operations = [HeaderOperation("set", name, value) for name, value in self._headers]
        exchange.header_operations += [HeaderOperation("set", "Access-Control-Allow-Origin", origin), *operations]
        if exchange.method != "OPTIONS":
            return False
        exchange.header_operations += [
            HeaderOperation("set", "Content-Type", "text/plain charset=UTF-8"),
            HeaderOperation("set", "Content-Length", "0"),
        ]
        return True


def _expression(origin: str) -> str:
    """An origin as a regular expression; its first `*` stands for one label."""
    return "(" + re.escape(origin.strip()).replace(r"\*", r"[A-Za-z0-9\-]+", 1) + ")"
