"""Which representation of an answer a client accepts.

Source: k8s.io/apiserver v0.34.4 `endpoints/handlers/negotiation`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from labctl.embedded.api.errors import not_acceptable
from labctl.embedded.http.messages import Request

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
AVAILABLE = (JSON, YAML, PROTOBUF)

_BROWSERS = ("curl", "Wget", "Mozilla/5.0")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})


@dataclass(frozen=True, slots=True)
class Representation:
    """How to write an answer.

    Attributes:
        media_type: `application/json` or `application/yaml`.
        kind: `Table`, `PartialObjectMetadata`, …; empty for the object itself.
        version: `v1` or `v1beta1` of that kind.
        pretty: Indented, for people.
    """

    media_type: str = JSON
    kind: str = ""
    version: str = ""
    pretty: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """One alternative of an Accept header."""

    media_type: str
    parameters: Mapping[str, str]


@lru_cache(maxsize=128)
def clauses(accept: str) -> tuple[Clause, ...]:
    """The alternatives of an Accept header, best first."""
    found: list[tuple[float, Clause]] = []
    for part in accept.split(","):
        media_type, *pairs = (word.strip() for word in part.split(";"))
        parameters = {key.strip(): value.strip(" \"'") for key, _, value in (pair.partition("=") for pair in pairs)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 1.0
        if media_type:
            found.append((-quality, Clause(media_type.lower(), parameters)))
    found.sort(key=lambda item: item[0])
    return tuple(clause for _, clause in found)


def _matches(clause: Clause, media_type: str) -> bool:
    kind = media_type.partition("/")[0]
    return clause.media_type in (media_type, f"{kind}/*", "*/*")


def negotiate(request: Request, pretty_parameter: str, transforms: Collection[str] = ()) -> Representation:
    """Choose the representation.

    Args:
        request: Its Accept and User-Agent headers count.
        pretty_parameter: The query parameter `pretty`.
        transforms: Kinds that the answer can be turned into, for example `Table`.

    Raises:
        ApiError: 406, none can be produced. Protobuf never can: clients that also accept JSON get that.
    """
    pretty = wants_pretty(request, pretty_parameter)
    accept = request.header("Accept") or ""
    if not accept:
        return Representation(pretty=pretty)
    for clause in clauses(accept):
        for media_type in (JSON, YAML):
            if not _matches(clause, media_type):
                continue
            kind = clause.parameters.get("as", "")
            if kind and kind not in transforms:
                continue
            return Representation(media_type, kind, clause.parameters.get("v", ""), pretty)
    raise not_acceptable(AVAILABLE)


def wants_pretty(request: Request, parameter: str) -> bool:
    """Whether the answer is for people: `?pretty=true`, or a command-line tool or browser asks."""
    if parameter:
        return parameter in _TRUE
    return (request.header("User-Agent") or "").startswith(_BROWSERS)
