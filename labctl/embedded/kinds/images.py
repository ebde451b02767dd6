"""Image references as the kubelet and the API server read them."""

from __future__ import annotations

import re

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = (
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_REFERENCE = re.compile(
    rf"((?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)


def tag(reference: str) -> str:
    """The tag of an image; `latest` when it names neither tag nor digest; empty when it is no valid reference.

    Source: the grammar of github.com/distribution/reference.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        return ""
    return match["tag"] or ("" if match["digest"] else "latest")


def default_pull_policy(reference: str) -> str:
    """`Always` for `latest`, else `IfNotPresent`."""
    return "Always" if tag(reference) == "latest" else "IfNotPresent"
