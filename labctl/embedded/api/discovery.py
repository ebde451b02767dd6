"""Discovery: which groups, versions and resources are served.

Source: k8s.io/apiserver v0.34.4 `endpoints/discovery`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha512

from labctl.embedded.api.call import Call
from labctl.embedded.api.catalog import Catalog
from labctl.embedded.api.errors import no_such_resource
from labctl.embedded.api.negotiation import JSON, YAML, clauses
from labctl.embedded.api.responses import headers, respond
from labctl.embedded.clientset import Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.kinds.resources import Resource, Subresource, subresource
from labctl.embedded.store import encode

_AGGREGATED_GROUP = "apidiscovery.k8s.io"
_AGGREGATED_VERSIONS = ("v2", "v2beta1")


class Discovery:
    """Answers `/api`, `/apis` and what is below them.

    Args:
        catalog: What is served.
        address: The server's address, for `serverAddressByClientCIDRs`.
    """

    def __init__(self, catalog: Catalog, address: str) -> None:
        self._catalog = catalog
        self._address = address

    def core_versions(self, call: Call) -> Response:
        """`/api`."""
        aggregated = self._aggregated(call, [resource for resource in self._catalog.resources if not resource.group])
        if aggregated:
            return aggregated
        cidrs = [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}]
        value = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": cidrs}
        return respond(value, call.representation())

    def groups(self, call: Call) -> Response:
        """`/apis`."""
        aggregated = self._aggregated(call, [resource for resource in self._catalog.resources if resource.group])
        if aggregated:
            return aggregated
        groups = [_group(name, versions) for name, versions in self._versions().items()]
        return respond({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}, call.representation())

    def group(self, call: Call, name: str) -> Response:
        """`/apis/GROUP`."""
        versions = self._versions().get(name)
        if versions is None:
            raise no_such_resource()
        value = {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}
        return respond(value, call.representation())

    def resources(self, call: Call, group: str, version: str) -> Response:
        """`/api/v1` and `/apis/GROUP/VERSION`."""
        found = [r for r in self._catalog.resources if (r.group, r.version) == (group, version)]
        if not found:
            raise no_such_resource()
        listed: list[Obj] = []
        for resource in found:
            listed.append(_resource(resource))
            listed += [_subresource(resource, sub) for sub in self._subresources(resource)]
        api_version = f"{group}/{version}" if group else version
        # The core group's list has no apiVersion of its own.
        head: Obj = {"kind": "APIResourceList"} | ({"apiVersion": "v1"} if group else {})
        return respond(head | {"groupVersion": api_version, "resources": listed}, call.representation())

    def _subresources(self, resource: Resource) -> list[Subresource]:
        return [sub for name in resource.subresources if (sub := subresource(resource, name))]

    def paths(self) -> list[str]:
        """The paths that `/` lists for discovery."""
        found = {"/api", "/api/v1", "/apis", "/apis/"}
        for resource in self._catalog.resources:
            if resource.group:
                found |= {f"/apis/{resource.group}", f"/apis/{resource.group}/{resource.version}"}
        return sorted(found)

    def _versions(self) -> dict[str, list[str]]:
        versions: dict[str, list[str]] = {}
        for resource in self._catalog.resources:
            if resource.group:
                known = versions.setdefault(resource.group, [])
                if resource.version not in known:
                    known.append(resource.version)
        return versions

    def _aggregated(self, call: Call, resources: Sequence[Resource]) -> Response | None:
        version = _accepts_aggregated(call)
        if not version:
            return None
        groups: dict[str, dict[str, list[Obj]]] = {}
        for resource in resources:
            described = _aggregated_resource(resource, self._subresources(resource))
            groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(described)
        items = [
            {
                "metadata": {"name": name} if name else {},
                "versions": [
                    {"version": at, "resources": listed, "freshness": "Current"} for at, listed in versions.items()
                ],
            }
            for name, versions in groups.items()
        ]
        value = {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"{_AGGREGATED_GROUP}/{version}",
            "metadata": {},
            "items": items,
        }
        kind = f"{JSON};g={_AGGREGATED_GROUP};v={version};as=APIGroupDiscoveryList"
        data = encode(value) + b"\n"
        tag = f'"{sha512(data).hexdigest().upper()}"'
        if call.request.header("If-None-Match") == tag:
            return Response(304, [("Etag", tag)])
        return Response(200, [*headers(kind), ("Etag", tag), ("Vary", "Accept")], data)


def _accepts_aggregated(call: Call) -> str:
    """The version of aggregated discovery that the client prefers; empty when it wants the plain documents first."""
    for clause in clauses(call.request.header("Accept") or ""):
        if clause.media_type not in (JSON, "application/*", "*/*"):
            if clause.media_type == YAML:
                return ""
            continue
        kind = clause.parameters.get("as")
        if kind is None:
            return ""
        version = clause.parameters.get("v", "")
        wanted = clause.parameters.get("g") == _AGGREGATED_GROUP and kind == "APIGroupDiscoveryList"
        if wanted and version in _AGGREGATED_VERSIONS:
            return version
    return ""


def _group(name: str, versions: Iterable[str]) -> Obj:
    described = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": described, "preferredVersion": described[0]}


def _resource(resource: Resource) -> Obj:
    described: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        described["shortNames"] = list(resource.short_names)
    if resource.categories:
        described["categories"] = list(resource.categories)
    if resource.storage_version_hash:
        described["storageVersionHash"] = resource.storage_version_hash
    return described


def _subresource(resource: Resource, sub: Subresource) -> Obj:
    described: Obj = {
        "name": f"{resource.plural}/{sub.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
    }
    if sub.version:
        described |= {"group": sub.group, "version": sub.version}
    return described | {"kind": sub.kind, "verbs": list(sub.verbs)}


def _aggregated_resource(resource: Resource, subresources: Sequence[Subresource]) -> Obj:
    described: Obj = {
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        described["shortNames"] = list(resource.short_names)
    if resource.categories:
        described["categories"] = list(resource.categories)
    if subresources:
        described["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": list(sub.verbs),
            }
            for sub in subresources
        ]
    return described
