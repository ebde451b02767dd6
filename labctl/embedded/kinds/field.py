"""Field errors (`k8s.io/apimachinery/pkg/util/validation/field`) and the Status they become."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds.resources import Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object.

    Attributes:
        type_: `metav1.CauseType`, for example `FieldValueInvalid`.
        field: Path of the field, for example `spec.ports[0].nodePort`.
        message: What is wrong, as the API server words it, with the type in front: `Invalid value: 0: must be …`.
    """

    type_: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def invalid_value(path: str, value: Any, detail: str) -> Cause:
    """A value that breaks a rule."""
    return Cause("FieldValueInvalid", path, f"Invalid value: {quote(value)}: {detail}")


def without_value(path: str, detail: str) -> Cause:
    """Something wrong with a field whose value is not worth showing."""
    return Cause("FieldValueInvalid", path, f"Invalid value: {detail}")


def required(path: str, detail: str = "") -> Cause:
    """A value that is missing."""
    return Cause("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    """A value that is none of the supported ones."""
    listed = ", ".join(quote(item) for item in supported)
    return Cause("FieldValueNotSupported", path, f"Unsupported value: {quote(value)}: supported values: {listed}")


def duplicate(path: str, value: Any) -> Cause:
    """A value that occurs twice where it must be unique."""
    return Cause("FieldValueDuplicate", path, f"Duplicate value: {quote(value)}")


def not_found(path: str, value: Any) -> Cause:
    """A reference to something that does not exist."""
    return Cause("FieldValueNotFound", path, f"Not found: {quote(value)}")


def forbidden(path: str, detail: str) -> Cause:
    """A field that may not be given, or not be changed."""
    return Cause("FieldValueForbidden", path, f"Forbidden: {detail}")


def too_long(path: str, limit: int) -> Cause:
    """A text of more bytes than allowed."""
    unit = "byte" if limit == 1 else "bytes"
    return Cause("FieldValueTooLong", path, f"Too long: may not be more than {limit} {unit}")


def too_many(path: str, number: int, limit: int) -> Cause:
    """A list of more items than allowed."""
    unit = "item" if limit == 1 else "items"
    return Cause("FieldValueTooMany", path, f"Too many: {number}: must have at most {limit} {unit}")


def quote(value: Any) -> str:
    """A value as Go's field errors print it: strings quoted, structures as JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str):
        return text
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """The 422 for an object with these faults.

    The message names the kind with its group and all faults once: `Deployment.apps "x" is invalid: [a, b]`.
    """
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details: Obj = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.kind
    if causes:
        details["causes"] = [{"reason": c.type_, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f"{kind} {quote(name)} is invalid: {text}", details)


def refused(resource: Resource, name: str, reason: str) -> ApiError:
    """The 403 of an admission plugin: `pods "x" is forbidden: reason`."""
    details: Obj = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    return ApiError(403, "Forbidden", f"{resource.key} {quote(name)} is forbidden: {reason}", details)
