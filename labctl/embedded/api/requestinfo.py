"""What a request asks for, read from its method and path.

Source: k8s.io/apiserver v0.34.4 `endpoints/request/requestinfo.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One request.

    Attributes:
        method: HTTP method.
        path: Decoded path.
        query: Query parameters, decoded.
        verb: For a resource: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`; for
            another path the method in lower case.
        is_resource: Whether the path names a resource of `/api/v1` or `/apis/GROUP/VERSION`.
        group: API group.
        version: API version.
        namespace: Namespace in the path; empty for cluster-wide requests.
        resource: Resource in the path (plural).
        name: Object name in the path.
        subresource: What follows the name.
        rest: Path after a `proxy` subresource.
    """

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    verb: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: tuple[str, ...] = ()

    def param(self, name: str) -> str:
        """The first value of a query parameter; empty when there is none."""
        values = self.query.get(name)
        return values[0] if values else ""

    def flag(self, name: str) -> bool:
        """A boolean query parameter, in any of Go's spellings of true (`1`, `t`, `true`)."""
        values = self.query.get(name)
        return bool(values) and (values or [""])[0] in ("", "1", "t", "T", "true", "TRUE", "True")


def parse(method: str, target: str) -> RequestInfo:
    """Read a request line's method and target."""
    raw_path, _, raw_query = target.partition("?")
    path = unquote(raw_path)
    query = parse_qs(raw_query, keep_blank_values=True) if raw_query else {}
    parts = [part for part in path.split("/") if part]
    place = _api_prefix(parts)
    if place is None:
        return RequestInfo(method, path, query, method.lower())
    group, version, rest = place
    return _resource(method, path, query, group, version, rest)


def _api_prefix(parts: list[str]) -> tuple[str, str, list[str]] | None:
    if len(parts) >= 3 and parts[0] == "api":
        return "", parts[1], parts[2:]
    if len(parts) >= 4 and parts[0] == "apis":
        return parts[1], parts[2], parts[3:]
    return None


def _resource(
    method: str, path: str, query: Mapping[str, Sequence[str]], group: str, version: str, parts: list[str]
) -> RequestInfo:
    verb = _VERBS.get(method, method.lower())
    watching = parts[0] == "watch" and len(parts) > 1
    if watching:
        parts = parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource, name, subresource, *rest = [*parts, "", "", ""][: max(len(parts), 3)]
    info = RequestInfo(
        method,
        path,
        query,
        verb,
        True,
        group,
        version,
        namespace,
        resource,
        name,
        subresource,
        tuple(filter(None, rest)),
    )
    verb = _collection_verb(info, verb, watching=watching)
    if verb == info.verb:
        return info
    return RequestInfo(
        method, path, query, verb, True, group, version, namespace, resource, name, subresource, info.rest
    )


def _collection_verb(info: RequestInfo, verb: str, *, watching: bool) -> str:
    if watching and verb == "get":
        return "watch"
    if info.name:
        return verb
    if verb == "get":
        return "watch" if "watch" in info.query and info.flag("watch") else "list"
    return "deletecollection" if verb == "delete" else verb
