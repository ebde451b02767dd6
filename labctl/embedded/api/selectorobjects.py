"""`metav1.LabelSelector` objects as selectors."""

from __future__ import annotations

from typing import Any

from labctl.embedded.api.selectors import LabelSelector, Requirement

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def label_selector(selector: Any) -> LabelSelector | None:
    """The requirements of a LabelSelector; None (which chooses nothing) for a missing one."""
    if selector is None:
        return None
    found = [Requirement(key, "in", frozenset([value])) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS[expression["operator"]]
        found.append(Requirement(expression["key"], operator, frozenset(expression.get("values") or ())))
    return tuple(found)
