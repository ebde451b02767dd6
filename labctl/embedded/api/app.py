"""The API as an HTTP application: who asks, whether they may, and who answers."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labctl.embedded.api import discovery, health, requestinfo
from labctl.embedded.api.admission.gate import Gate
from labctl.embedded.api.authentication import Authenticator
from labctl.embedded.api.authorization import Attributes, Authorizer
from labctl.embedded.api.call import Call
from labctl.embedded.api.catalog import Catalog
from labctl.embedded.api.errors import internal, method_not_allowed, no_such_resource
from labctl.embedded.api.impersonation import impersonated
from labctl.embedded.api.negotiation import Representation, wants_pretty
from labctl.embedded.api.openapi import OpenApi
from labctl.embedded.api.podrequests import PodRequests
from labctl.embedded.api.reading import Reader
from labctl.embedded.api.requestinfo import RequestInfo
from labctl.embedded.api.responses import headers, pretty_json, respond, respond_error, respond_text
from labctl.embedded.api.reviews import Reviews
from labctl.embedded.api.tokens import ISSUER, TokenSigner
from labctl.embedded.api.watching import Watcher
from labctl.embedded.api.writing import Writer
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import Request, Response
from labctl.embedded.kinds.resources import Resource, subresource

_Handler = Callable[[Call], Response]
_DEPRECATED = {
    "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
}
_STORED_SUBRESOURCES = frozenset({"status", "scale", "approval", "finalize", "ephemeralcontainers", "resize"})


@dataclass(frozen=True, slots=True)
class Parts:
    """Who answers which requests."""

    catalog: Catalog
    authenticator: Authenticator
    authorizer: Authorizer
    signer: TokenSigner
    discovery: discovery.Discovery
    reader: Reader
    watcher: Watcher
    writer: Writer
    pods: PodRequests
    reviews: Reviews
    openapi: OpenApi
    gate: Gate
    version: Obj


class Api:
    """The application; call it with a request."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._verbs: dict[str, _Handler] = {
            "get": parts.reader.get,
            "list": parts.reader.list,
            "watch": parts.watcher.watch,
            "create": parts.writer.create,
            "update": parts.writer.update,
            "patch": parts.writer.patch,
            "delete": parts.writer.delete,
            "deletecollection": parts.writer.delete_collection,
        }
        self._special: dict[tuple[str, str, str], _Handler] = {
            ("pods", "log", "get"): parts.pods.log,
            **{("pods", "exec", verb): parts.pods.exec for verb in ("get", "create")},
            **{("pods", "attach", verb): parts.pods.attach for verb in ("get", "create")},
            **{("pods", "portforward", verb): parts.pods.port_forward for verb in ("get", "create")},
            ("pods", "binding", "create"): parts.pods.bind,
            ("pods", "eviction", "create"): parts.pods.evict,
            ("serviceaccounts", "token", "create"): parts.reviews.token,
        }

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request; at once, unless webhooks have to be asked first."""
        info = requestinfo.parse(request.method, request.target)
        try:
            answer = self._answer(request, info)
        except ApiError as error:
            return _refused(request, info, error)
        except RecursionError:
            return respond_error(internal("the request is nested too deeply"), Representation())
        return answer if isinstance(answer, Response) else _awaited(request, info, answer)

    def _answer(self, request: Request, info: RequestInfo) -> Response | Awaitable[Response]:
        user = self._parts.authenticator.authenticate(request)
        user = impersonated(request, user, self._parts.authorizer)
        resource = self._parts.catalog.by_path(info.group, info.version, info.resource) if info.is_resource else None
        call = Call(request, info, user, resource)
        self._parts.authorizer.require(user, _attributes(info), resource)
        if info.is_resource and self._parts.catalog.has_group(info.group, info.version):
            if self._parts.gate.interested(call):
                return self._parts.gate.answer(call, self._resource)
            return self._resource(call)
        return self._other(call)

    def _resource(self, call: Call) -> Response:
        info, resource = call.info, call.target
        if info.method == "HEAD":  # a route of the resources is for its method only
            raise method_not_allowed()
        _check_scope(info, resource)
        warning = _DEPRECATED.get(resource.key)
        if warning:
            call.warn(warning)
        if info.subresource:
            return self._subresource(call, resource)
        if info.verb not in resource.verbs or (info.name and info.verb in ("create", "list")):
            raise method_not_allowed()
        if not info.name and info.verb in ("get", "update", "patch", "delete"):
            raise method_not_allowed()
        if self._parts.reviews.handles(resource):
            return self._parts.reviews.review(call)
        return self._verbs[info.verb](call)

    def _subresource(self, call: Call, resource: Resource) -> Response:
        info = call.info
        found = subresource(resource, info.subresource)
        if found is None:
            raise no_such_resource()
        special = self._special.get((resource.key, info.subresource, info.verb))
        if special:
            return special(call)
        if info.verb not in found.verbs or info.subresource not in _STORED_SUBRESOURCES:
            raise method_not_allowed()
        return self._verbs[info.verb](call)

    def _other(self, call: Call) -> Response:
        parts = [part for part in call.info.path.split("/") if part]
        found = self._non_resource(call, parts)
        if found is None:
            return respond_text("404 page not found\n", 404)
        if call.info.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        return found()

    def _non_resource(self, call: Call, parts: list[str]) -> Callable[[], Response] | None:
        """Who answers a path that is no resource."""
        known = self._parts.discovery
        match parts:
            case []:
                return functools.partial(self._root, call)
            case ["api"]:
                return functools.partial(known.core_versions, call)
            case ["apis"]:
                return functools.partial(known.groups, call)
            case ["api", version]:
                return functools.partial(known.resources, call, "", version)
            case ["apis", group]:
                return functools.partial(known.group, call, group)
            case ["apis", group, version]:
                return functools.partial(known.resources, call, group, version)
            case ["version"]:
                return lambda: Response(200, headers("application/json"), pretty_json(self._parts.version))
            case [("healthz" | "livez" | "readyz") as endpoint, *check]:
                answer = health.answer(call, endpoint, "/".join(check))
                return (lambda: answer) if answer else None
            case ["openapi", *rest]:
                return self._parts.openapi.find(call, rest)
        return self._identity(call, parts)

    def _identity(self, call: Call, parts: list[str]) -> Callable[[], Response] | None:
        if parts == ["openid", "v1", "jwks"]:
            return lambda: respond(self._parts.signer.key_set(), call.representation())
        if parts == [".well-known", "openid-configuration"]:
            document = {
                "issuer": ISSUER,
                "jwks_uri": f"{ISSUER}/openid/v1/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
            return lambda: respond(document, call.representation())
        return None

    def _root(self, call: Call) -> Response:
        others = ["/.well-known/openid-configuration", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks"]
        groups = sorted({(r.group, r.version) for r in self._parts.catalog.resources})
        schemas = [
            f"/openapi/v3/apis/{group}/{version}" if group else "/openapi/v3/api/v1" for group, version in groups
        ]
        paths = sorted([*self._parts.discovery.paths(), *health.paths(), *others, *schemas, "/version"])
        return Response(200, headers("application/json"), pretty_json({"paths": paths}))


def _attributes(info: RequestInfo) -> Attributes:
    if not info.is_resource:
        return Attributes(info.verb, path=info.path)
    return Attributes(info.verb, info.group, info.resource, info.subresource, info.namespace, info.name)


def _check_scope(info: RequestInfo, resource: Resource) -> None:
    """Raise the 404 or 405 for a path that puts a resource where it is not."""
    if not resource.namespaced and info.namespace and resource.key != "namespaces":
        raise no_such_resource()
    if resource.namespaced and not info.namespace:
        if info.name:
            raise no_such_resource()
        if info.verb in ("create", "deletecollection"):
            raise method_not_allowed()


async def _awaited(request: Request, info: RequestInfo, answer: Awaitable[Response]) -> Response:
    try:
        return await answer
    except ApiError as error:
        return _refused(request, info, error)


def _refused(request: Request, info: RequestInfo, error: ApiError) -> Response:
    return respond_error(error, Representation(pretty=wants_pretty(request, info.param("pretty"))))
