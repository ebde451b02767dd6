"""Whether a request goes to the canary: the decision of the controller's Lua code."""

from __future__ import annotations

import functools
import re
from random import Random
from typing import Protocol

from labctl.embedded.ingress.model import TrafficShaping


class Asked(Protocol):
    """What the decision needs to know of a request."""

    def header_variable(self, name: str) -> str | None:
        """Value of `$http_name`: any case, dashes and underscores alike, repeated headers joined."""

    def cookie_variable(self, name: str) -> str | None:
        """Value of `$cookie_name`: any case."""


@functools.lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text)
    except re.error:
        return None


def decide(shaping: TrafficShaping, request: Asked, random: Random) -> tuple[bool, str]:
    """Decide by header, then cookie, then weight.

    Args:
        shaping: The canary's rules.
        request: The request.
        random: For the weight.

    Returns:
        Whether the canary gets it, and why, in words.
    """
    if shaping.header:
        value = request.header_variable(shaping.header)
        if value is not None:
            decision = _by_header(shaping, value)
            if decision is not None:
                return decision, f"header {shaping.header} is {value!r}"
    if shaping.cookie:
        value = request.cookie_variable(shaping.cookie)
        if value in {"always", "never"}:
            return value == "always", f"cookie {shaping.cookie} is {value!r}"
    total = max(100, shaping.weight_total)
    return random.randint(1, total) <= shaping.weight, f"weight {shaping.weight} of {total}"


def _by_header(shaping: TrafficShaping, value: str) -> bool | None:
    """What the header decides; None leaves it to the other rules."""
    if shaping.header_value:
        return True if value == shaping.header_value else None
    if shaping.header_pattern:
        pattern = _pattern(shaping.header_pattern)
        if pattern is None:
            return False
        return True if pattern.search(value) else None
    return {"always": True, "never": False}.get(value)
