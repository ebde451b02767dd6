"""Cases that differ for a reason: docs/differences.md has each of them."""

from __future__ import annotations

from collections.abc import Mapping

LISTED: Mapping[str, str] = {}
"""Case → reason."""
