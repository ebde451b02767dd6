"""Cases that differ for a reason: docs/differences.md has each of them."""

from __future__ import annotations

from collections.abc import Mapping

LISTED: Mapping[str, str] = {
    "tls-basic": "HTTP/2 is not spoken yet: ALPN chooses http/1.1 where nginx would choose h2",
}
"""Case → reason."""
