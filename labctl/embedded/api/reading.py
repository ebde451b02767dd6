"""GET of objects and lists."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.embedded.api.call import Call
from labctl.embedded.api.custom.resources import CustomResources
from labctl.embedded.api.errors import ExpiredTokenError, expired
from labctl.embedded.api.negotiation import JSON, Representation
from labctl.embedded.api.options import ListOptions, check_revision, list_options
from labctl.embedded.api.paging import decode_token, encode_token, position, snapshot
from labctl.embedded.api.registry import Registry
from labctl.embedded.api.responses import respond, respond_bytes
from labctl.embedded.api.scale import scale_columns, scale_of
from labctl.embedded.api.selectors import matches_fields, matches_labels
from labctl.embedded.api.tableview import TRANSFORMS, partial, partial_list, table
from labctl.embedded.api.versions import Served
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.kinds.resources import Resource, storage_key
from labctl.embedded.store import Entry, ExpiredError

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Reader:
    """Answers GET requests for stored objects.

    Args:
        registry: Where they are.
        custom: How custom resources are shown and selected.
        served: How objects look in the version that is asked for.
    """

    def __init__(self, registry: Registry, custom: CustomResources, served: Served) -> None:
        self._registry = registry
        self._custom = custom
        self._served = served

    def get(self, call: Call) -> Response:
        """One object."""
        shape = call.representation(TRANSFORMS)
        check_revision(call.info.param("resourceVersion"))
        entry = self._registry.require(call.target, call.info.namespace, call.info.name)
        if call.info.subresource == "scale":
            return self.respond_scale(call, entry.object, shape)
        return self.respond_object(call, entry.object, shape, entry.data)

    def respond_scale(self, call: Call, obj: Obj, shape: Representation) -> Response:
        """A workload's Scale in the representation that was asked for."""
        scale = scale_of(obj, self._registry.rules.scale_paths(call.target))
        if shape.kind == "Table":
            columns = scale_columns(self._custom.columns(call.target).definitions)
            metadata = {"resourceVersion": scale["metadata"]["resourceVersion"]}
            include, now = call.info.param("includeObject"), self._registry.clock.now()
            scale = table(columns, [scale], metadata, shape.version, include, now)
        elif shape.kind:
            scale = partial(scale, shape.version)
        return respond(scale, shape, warnings=call.warnings)

    def respond_object(
        self, call: Call, obj: Obj, shape: Representation, data: bytes = b"", status: int = 200
    ) -> Response:
        """An object in the representation that was asked for."""
        resource = call.target
        if shape.kind == "Table":
            columns = self._custom.columns(resource)
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            now = self._registry.clock.now()
            include = call.info.param("includeObject")
            view = table(columns, [self._served.convert(resource, obj)], metadata, shape.version, include, now)
            return respond(view, shape, status, call.warnings)
        if shape.kind:
            return respond(partial(obj, shape.version), shape, status, call.warnings)
        if data and shape.media_type == JSON and not shape.pretty and self._served.is_stored_form(resource, obj):
            return respond_bytes(data, status, call.warnings)
        return respond(self._served.convert(resource, obj), shape, status, call.warnings)

    def list(self, call: Call) -> Response:
        """A list of objects."""
        resource = call.target
        shape = call.representation(TRANSFORMS)
        options = list_options(call.info, resource, self._custom.selectable(resource))
        revision, start, entries = self._at_revision(resource, call.info.namespace, options)
        chosen = select(entries, options)
        metadata: Obj = {"resourceVersion": str(revision)}
        chosen = _page(chosen, options.limit, start, revision, metadata, exact=not (options.labels or options.fields))
        if shape.kind == "" and shape.media_type == JSON and not shape.pretty:
            data = self._served.list_bytes(resource, chosen, metadata)
            if data:
                return respond_bytes(data, 200, call.warnings)
        return respond(self._list_value(call, shape, chosen, metadata), shape, warnings=call.warnings)

    def _list_value(self, call: Call, shape: Representation, entries: Sequence[Entry], metadata: Obj) -> Obj:
        resource = call.target
        objects = [self._served.convert(resource, entry.object) for entry in entries]
        if shape.kind == "Table":
            now = self._registry.clock.now()
            include = call.info.param("includeObject")
            return table(self._custom.columns(resource), objects, metadata, shape.version, include, now)
        if shape.kind:
            return partial_list(objects, metadata, shape.version)
        return self._served.list_object(resource, objects, metadata)

    def _at_revision(
        self, resource: Resource, namespace: str, options: ListOptions
    ) -> tuple[int, str, Sequence[Entry]]:
        """The revision of the list, where it begins, and the objects as they were then."""
        store = self._registry.store
        if options.token:
            revision, start = decode_token(options.token)
            try:
                return revision, start, self._past(resource, namespace, revision)
            except ExpiredError:
                token = encode_token(store.revision, start.removesuffix("\x00"))
                raise ExpiredTokenError(_TOO_OLD, token) from None
        wanted = options.revision
        if wanted > store.revision:
            raise too_new(wanted, store.revision)
        if options.match == "Exact" or (options.limit and wanted and options.match != "NotOlderThan"):
            try:
                return wanted, "", self._past(resource, namespace, wanted)
            except ExpiredError:
                raise expired("The resourceVersion for the provided list is too old.") from None
        return store.revision, "", self._registry.entries(resource, namespace)

    def _past(self, resource: Resource, namespace: str, revision: int) -> Sequence[Entry]:
        where = namespace if resource.namespaced else ""
        return snapshot(self._registry.store, storage_key(resource), where, revision)


def too_new(wanted: int, current: int) -> ApiError:
    """504: a resourceVersion that has not been reached yet."""
    message = f"Too large resource version: {wanted}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})


def select(entries: Sequence[Entry], options: ListOptions) -> Sequence[Entry]:
    """The objects that both selectors choose."""
    if options.labels:
        entries = [
            entry for entry in entries if matches_labels(options.labels, entry.object["metadata"].get("labels") or {})
        ]
    if options.fields:
        entries = [entry for entry in entries if matches_fields(options.fields, entry.object)]
    return entries


def _page(
    entries: Sequence[Entry], limit: int, start: str, revision: int, metadata: Obj, *, exact: bool
) -> Sequence[Entry]:
    """One page; the metadata gets the token for the next."""
    if start:
        entries = [entry for entry in entries if position(entry.object) >= start]
    if not limit or len(entries) <= limit:
        return entries
    page = entries[:limit]
    metadata["continue"] = encode_token(revision, position(page[-1].object))
    # How many remain is not known when selectors choose among them.
    if exact:
        metadata["remainingItemCount"] = len(entries) - limit
    return page
