"""`/openapi/v2` and `/openapi/v3`."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from hashlib import sha512

from labctl.embedded.api.call import Call
from labctl.embedded.api.catalog import Catalog
from labctl.embedded.api.errors import not_acceptable
from labctl.embedded.api.negotiation import JSON, clauses
from labctl.embedded.api.protobuf.openapi import CONTENT_TYPE, MEDIA_TYPE, encode_document
from labctl.embedded.api.responses import headers
from labctl.embedded.clientset import Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.store import encode

_V2 = "/openapi/v2"
_PROTOBUF = (MEDIA_TYPE, CONTENT_TYPE)


class OpenApi:
    """Answers what is below `/openapi`.

    Args:
        catalog: What is served.
        v2: Makes the document of version 2.
        v3: Makes the document of a group version, for example `apps/v1`.
    """

    def __init__(self, catalog: Catalog, v2: Callable[[], Obj], v3: Callable[[str], Obj]) -> None:
        self._catalog = catalog
        self._v2 = v2
        self._v3 = v3
        self._documents: dict[tuple[str, str], tuple[str, bytes]] = {}

    def forget(self) -> None:
        """The served resources have changed: make the documents anew when they are asked for."""
        self._documents.clear()

    def find(self, call: Call, rest: list[str]) -> Callable[[], Response] | None:
        """Who answers a path below `/openapi`; None when there is no such document."""
        if rest == ["v2"]:
            return functools.partial(self._document, call, _V2)
        if rest == ["v3"]:
            return functools.partial(self._index, call)
        if rest[:1] == ["v3"]:
            name = "/".join(rest[1:])
            if name in self._group_versions():
                return functools.partial(self._document, call, name)
        return None

    def _group_versions(self) -> dict[str, str]:
        """Document names and their versions: `api/v1` → `v1`, `apis/apps/v1` → `apps/v1`."""
        versions = dict.fromkeys(resource.api_version for resource in self._catalog.resources)
        return {f"apis/{version}" if "/" in version else f"api/{version}": version for version in versions}

    def _index(self, call: Call) -> Response:
        paths = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={self._get(name)[0]}"} for name in self._names()}
        del call
        return Response(200, headers(JSON), encode({"paths": paths}))

    def _names(self) -> list[str]:
        return list(self._group_versions())

    def _get(self, name: str, media_type: str = JSON) -> tuple[str, bytes]:
        found = self._documents.get((name, media_type))
        if found is None:
            if name != _V2:
                data = encode(self._v3(self._group_versions()[name]))
            else:
                data = encode_document(self._v2()) if media_type == CONTENT_TYPE else encode(self._v2())
            # Kept compressed: clients ask rarely, and the documents are big.
            found = (sha512(data).hexdigest().upper(), zlib.compress(data, 1))
            self._documents[name, media_type] = found
        return found

    def _document(self, call: Call, name: str) -> Response:
        media_type = _media_type(call) if name == _V2 else JSON
        digest, data = self._get(name, media_type)
        tag = f'"{digest}"'
        if call.request.header("If-None-Match") == tag:
            return Response(304, [("Etag", tag)])
        found = headers(media_type)
        found += [("Etag", tag), ("Vary", "Accept")]
        return Response(200, found, zlib.decompress(data))


def _media_type(call: Call) -> str:
    """The form in which the client wants version 2."""
    accepted = clauses(call.request.header("Accept") or "")
    for clause in accepted:
        if clause.media_type in (JSON, "application/*", "*/*"):
            return JSON
        if clause.media_type in _PROTOBUF:
            return CONTENT_TYPE
    if accepted:
        raise not_acceptable((JSON, MEDIA_TYPE))
    return JSON
