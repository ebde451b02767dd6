"""The API server's refusals, in its own words.

Source of texts: k8s.io/apimachinery v0.34.4 `pkg/api/errors`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds.resources import Resource


def quoted(text: str) -> str:
    """Go's `%q` for text without control characters."""
    return json.dumps(text, ensure_ascii=False)


class GenericError(ApiError):
    """A refusal that is not about an object: its Status has details, and they are empty."""

    def status(self) -> Obj:
        """The `v1.Status` body."""
        status = super().status()
        code = status.pop("code")
        return {**status, "details": self.details, "code": code}


def _details(resource: Resource, name: str = "") -> Obj:
    details: Obj = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    return details


def not_found(resource: Resource, name: str) -> ApiError:
    """404: there is no such object."""
    return ApiError(404, "NotFound", f"{resource.key} {quoted(name)} not found", _details(resource, name))


def no_such_resource() -> ApiError:
    """404: the path names no resource that is served."""
    return GenericError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str, *, terminating: bool = False) -> ApiError:
    """409: an object of that name exists."""
    prefix = "object is being deleted: " if terminating else ""
    message = f"{prefix}{resource.key} {quoted(name)} already exists"
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, cause: str) -> ApiError:
    """409: the object is not in the state the request assumes."""
    message = f"Operation cannot be fulfilled on {resource.key} {quoted(name)}: {cause}"
    return ApiError(409, "Conflict", message, _details(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    """409: the resourceVersion is not the stored one."""
    cause = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, cause)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def invalid_reference(kind: str, group: str, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """422 for objects that are no stored kind (options, reviews); causes are (reason, field, message)."""
    messages = [f"{field}: {message}" for _, field, message in causes]
    text = messages[0] if len(messages) == 1 else "[" + ", ".join(messages) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details: Obj = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [{"reason": reason, "message": message, "field": field} for reason, field, message in causes]
    return ApiError(422, "Invalid", f"{qualified} {quoted(name)} is invalid: {text}", details)


def forbidden(resource: Resource, name: str, cause: str) -> ApiError:
    """403: admission or authorization refuses."""
    subject = f"{resource.key} {quoted(name)}" if name else resource.key
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {cause}", _details(resource, name))


def unauthorized() -> ApiError:
    """401: no or bad credentials."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """405: the path has no such method."""
    message = "the server does not allow this method on the requested resource"
    return GenericError(405, "MethodNotAllowed", message)


def not_supported(resource: Resource, action: str) -> ApiError:
    """405: the resource does not support the operation."""
    message = f"{action} is not supported on resources of kind {quoted(resource.key)}"
    return ApiError(405, "MethodNotAllowed", message, _details(resource))


def not_acceptable(available: Sequence[str]) -> ApiError:
    """406: none of the asked-for representations can be produced."""
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(available)}"
    return GenericError(406, "NotAcceptable", message)


def unsupported_media_type() -> ApiError:
    """415 of the patch handler."""
    return GenericError(415, "UnsupportedMediaType", "415: Unsupported Media Type")


def unsupported_body(supported: Sequence[str]) -> ApiError:
    """415 of create and update."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", message)


def too_large(limit: int) -> ApiError:
    """413: the body is over the limit."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def expired(message: str) -> ApiError:
    """410: the resourceVersion is too old."""
    return ApiError(410, "Expired", message)


class ExpiredTokenError(ApiError):
    """410: the continue token is too old; the Status carries one with which the list can go on, inconsistently."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(410, "Expired", message)
        self.token = token

    def status(self) -> Obj:
        """The `v1.Status` body."""
        return {**super().status(), "metadata": {"continue": self.token}}


def internal(cause: str) -> ApiError:
    """500: the server itself could not do it."""
    message = f"Internal error occurred: {cause}"
    return ApiError(500, "InternalError", message, {"causes": [{"message": cause}]})
