"""PATCH: the current object, changed by one of the four kinds of patch, goes the way of an update."""

from __future__ import annotations

from typing import Any

from labctl.embedded.api.bodies import media_type
from labctl.embedded.api.call import Call
from labctl.embedded.api.errors import (
    GenericError,
    bad_request,
    conflict,
    not_found,
    unsupported_body,
    unsupported_media_type,
)
from labctl.embedded.api.gojson import GoJsonError, decode_with_duplicates
from labctl.embedded.api.options import ChangeOptions, change_options
from labctl.embedded.api.patches.apply import Applier
from labctl.embedded.api.patches.jsonpatch import PatchError, apply_json_patch, apply_merge_patch
from labctl.embedded.api.patches.strategic import apply_strategic_patch, shown
from labctl.embedded.api.registry import Registry, WriteOptions
from labctl.embedded.api.scale import scale_of, scale_resource
from labctl.embedded.api.versions import Served
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds import wire
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.store import encode

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_MAX_OPERATIONS = 10_000


class Patcher:
    """Applies patches to stored objects.

    Args:
        registry: Where they are.
        served: How objects look in the version that is patched.
    """

    def __init__(self, registry: Registry, served: Served) -> None:
        self._registry = registry
        self._checks = registry.rules
        self._served = served
        self._applier = Applier(registry)

    def patch(self, call: Call) -> tuple[Obj, bool]:
        """Do a PATCH request; returns the object and whether it was created.

        Raises:
            ApiError: 400, 404, 409, 413, 415 or 422 with the API server's words.
        """
        resource, info = call.target, call.info
        kind = media_type(call)
        struct = wire.struct_of(resource)
        if kind not in (JSON_PATCH, MERGE_PATCH, APPLY_PATCH) and (kind != STRATEGIC_PATCH or struct is None):
            raise unsupported_media_type() if struct else unsupported_body((JSON_PATCH, MERGE_PATCH, APPLY_PATCH))
        options = change_options(info, call.user_agent, "PatchOptions")
        if kind == APPLY_PATCH:
            return self._applier.apply(call, options)
        entry = self._registry.entry(resource, info.namespace, info.name)
        if entry is None:
            raise not_found(resource, info.name)
        current = self._served.convert(resource, entry.object)
        target = resource
        if info.subresource == "scale":
            paths = self._registry.rules.scale_paths(resource)
            current, target = scale_of(current, paths), scale_resource(resource)
        patched = self._patched(call, target, current, kind, options)
        self._check(call, patched, entry.object)
        write = WriteOptions(manager=options.manager, dry_run=options.dry_run, admission=call.admission)
        stored = self._registry.catalog.stored(resource)
        if info.subresource != "scale":
            patched = self._served.to_stored(patched, stored)
        updated = self._registry.update_object(
            stored, info.namespace, info.name, patched, write, subresource=info.subresource
        )
        return updated, False

    def _patched(self, call: Call, resource: Resource, current: Obj, kind: str, options: ChangeOptions) -> Obj:
        if kind == STRATEGIC_PATCH:
            return self._strategic(call, resource, current, options)
        duplicates: list[str] = []
        try:
            patch, duplicates = decode_with_duplicates(call.body())
        except GoJsonError as error:
            raise bad_request(f"error decoding patch: {error}") from None
        if kind == JSON_PATCH:
            patched = _json_patch(current, patch)
        else:
            if not isinstance(patch, dict):
                words = f"json: cannot unmarshal {_go_kind(patch)} into Go value of type map[string]interface {{}}"
                raise bad_request(f"error decoding patch: {words}")
            patched = apply_merge_patch(current, patch)
        text = encode(patched).decode()
        if not isinstance(patched, dict):
            raise _invalid_patch(
                text, f"json: cannot unmarshal {_go_kind(patched)} into Go value of type {resource.kind}"
            )
        self._check_form(call, resource, patched, text, duplicates, options)
        return patched

    def _strategic(self, call: Call, resource: Resource, current: Obj, options: ChangeOptions) -> Obj:
        struct = wire.kind_struct(resource.api_version, resource.kind)
        assert struct is not None
        try:
            patch, duplicates = decode_with_duplicates(call.body())
        except GoJsonError as error:
            raise bad_request(str(error)) from None
        if not isinstance(patch, dict):
            raise bad_request(
                f"json: cannot unmarshal {_go_kind(patch)} into Go value of type map[string]interface {{}}"
            )
        patched = apply_strategic_patch(current, patch, struct)
        self._check_form(call, resource, patched, shown(patch), duplicates, options, strategic=True)
        return patched

    def _check_form(
        self,
        call: Call,
        resource: Resource,
        patched: Obj,
        text: str,
        duplicates: list[str],
        options: ChangeOptions,
        *,
        strategic: bool = False,
    ) -> None:
        problem = (
            self._checks.patch_type_error(resource, patched)
            if strategic
            else self._checks.type_error(resource, patched)
        )
        if problem:
            raise _invalid_patch(text, problem)
        if options.validation == "Ignore":
            return
        found = [f'duplicate field "{path}"' for path in duplicates]
        found += [f'unknown field "{path}"' for path in self._checks.unknown_fields(resource, patched)]
        if found and options.validation == "Strict":
            raise _invalid_patch(text, "strict decoding error: " + ", ".join(found))
        for words in found:
            call.warn(words)

    def _check(self, call: Call, patched: Obj, stored: Obj) -> None:
        metadata = patched.get("metadata") or {}
        name, namespace = metadata.get("name"), metadata.get("namespace")
        if name != call.info.name:
            raise bad_request(
                f"the name of the object ({name or ''}) does not match the name on the URL ({call.info.name})"
            )
        wanted = call.info.namespace
        if namespace and wanted and namespace != wanted and call.target.namespaced:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        uid = metadata.get("uid")
        if uid and uid != stored["metadata"]["uid"]:
            cause = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['metadata']['uid']}"
            raise conflict(call.target, call.info.name, cause)


def _json_patch(current: Obj, patch: Any) -> Any:
    if not isinstance(patch, list):
        words = f"json: cannot unmarshal {_go_kind(patch)} into Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: {words}")
    for operation in patch:
        if not isinstance(operation, dict):
            words = f"json: cannot unmarshal {_go_kind(operation)} into Go value of type handlers.jsonPatchOp"
            raise bad_request(f"error decoding patch: {words}")
    if len(patch) > _MAX_OPERATIONS:
        words = f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}, got {len(patch)}"
        raise ApiError(413, "RequestEntityTooLarge", words)
    try:
        return apply_json_patch(current, patch)
    except PatchError as error:
        # The API server does not tell what is wrong.
        words = "the server rejected our request due to an error in our request"
        raise GenericError(422, "Invalid", words) from error


def _invalid_patch(text: str, problem: str) -> ApiError:
    shown_text = encode(text).decode() if not text.startswith("map[") else f'"{text}"'
    message = f"Invalid value: {shown_text}: {problem}"
    details = {"causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}]}
    return ApiError(422, "Invalid", f' "" is invalid: patch: {message}', details)


def _go_kind(value: Any) -> str:
    kinds = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
