"""POST, PUT, PATCH and DELETE of stored objects."""

from __future__ import annotations

from labctl.embedded.api.bodies import read_object, read_value
from labctl.embedded.api.call import Call
from labctl.embedded.api.custom.resources import CustomResources
from labctl.embedded.api.errors import bad_request
from labctl.embedded.api.options import ChangeOptions, change_options, delete_options, list_options
from labctl.embedded.api.patching import Patcher
from labctl.embedded.api.reading import Reader, select
from labctl.embedded.api.registry import Registry, WriteOptions
from labctl.embedded.api.responses import respond
from labctl.embedded.api.scale import scale_resource
from labctl.embedded.api.tableview import TRANSFORMS
from labctl.embedded.api.versions import Served
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.kinds.resources import Resource

_RETURNS_DELETED = frozenset(
    {
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "namespaces",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "volumeattributesclasses.storage.k8s.io",
    }
)


def write_options(call: Call, options: ChangeOptions) -> WriteOptions:
    """The registry's part of a request's options."""
    return WriteOptions(manager=options.manager, dry_run=options.dry_run, admission=call.admission)


class Writer:
    """Answers requests that change stored objects.

    Args:
        registry: Where they are.
        reader: Writes the answers.
        custom: Which fields custom resources can be selected by.
        served: How objects look in the version that is asked for.
    """

    def __init__(self, registry: Registry, reader: Reader, custom: CustomResources, served: Served) -> None:
        self._registry = registry
        self._reader = reader
        self._custom = custom
        self._served = served
        self._patcher = Patcher(registry, served)

    def create(self, call: Call) -> Response:
        """POST of a new object."""
        resource = call.target
        shape = call.representation(TRANSFORMS)
        options = change_options(call.info, call.user_agent, "CreateOptions")
        stored = self._registry.catalog.stored(resource)
        obj = self._served.to_stored(read_object(call, resource, self._registry.rules, options.validation), stored)
        self._custom.attribute(resource, obj, call.user)
        created = self._registry.create_object(stored, call.info.namespace, obj, write_options(call, options))
        self._warn(call, resource, created)
        return self._reader.respond_object(call, created, shape, status=201)

    def _warn(self, call: Call, resource: Resource, obj: Obj) -> None:
        for text in self._registry.rules.warnings(resource, obj):
            call.warn(text)

    def update(self, call: Call) -> Response:
        """PUT of an object or of a subresource."""
        resource, info = call.target, call.info
        shape = call.representation(TRANSFORMS)
        options = change_options(info, call.user_agent, "UpdateOptions")
        kind = scale_resource(resource) if info.subresource == "scale" else resource
        obj = read_object(call, kind, self._registry.rules, options.validation)
        check_name(obj, info.name)
        stored = self._registry.catalog.stored(resource)
        if info.subresource != "scale":
            obj = self._served.to_stored(obj, stored)
        existed = self._registry.entry(resource, info.namespace, info.name) is not None
        updated = self._registry.update_object(
            stored, info.namespace, info.name, obj, write_options(call, options), subresource=info.subresource
        )
        self._warn(call, resource, updated)
        if info.subresource == "scale":
            return self._reader.respond_scale(call, updated, shape)
        return self._reader.respond_object(call, updated, shape, status=200 if existed else 201)

    def patch(self, call: Call) -> Response:
        """PATCH of an object or of a subresource."""
        shape = call.representation(TRANSFORMS)
        patched, created = self._patcher.patch(call)
        if call.info.subresource == "scale":
            return self._reader.respond_scale(call, patched, shape)
        return self._reader.respond_object(call, patched, shape, status=201 if created else 200)

    def delete(self, call: Call) -> Response:
        """DELETE of one object."""
        resource, info = call.target, call.info
        shape = call.representation(TRANSFORMS)
        options, dry_run = delete_options(info, read_value(call))
        last, gone = self._registry.delete_object(
            resource, info.namespace, info.name, options, dry_run=dry_run, admission=call.admission
        )
        if not gone or resource.key in _RETURNS_DELETED:
            return self._reader.respond_object(call, last, shape)
        return respond(_deleted(resource, last), shape, warnings=call.warnings)

    def delete_collection(self, call: Call) -> Response:
        """DELETE of every object that selectors choose."""
        resource, info = call.target, call.info
        shape = call.representation()
        chosen = list_options(info, resource, self._custom.selectable(resource))
        options, dry_run = delete_options(info, read_value(call))
        deleted: list[Obj] = []
        for entry in select(self._registry.entries(resource, info.namespace), chosen):
            metadata = entry.object["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            try:
                self._registry.delete_object(
                    resource, namespace, name, options, dry_run=dry_run, admission=call.admission
                )
            except ApiError as error:
                if error.reason != "NotFound":
                    raise
            deleted.append(self._served.convert(resource, entry.object))
        metadata = {"resourceVersion": str(self._registry.store.revision)}
        return respond(self._served.list_object(resource, deleted, metadata), shape, warnings=call.warnings)


def check_name(obj: Obj, name: str) -> None:
    """Raise the 400 for an object whose name is not the one in the path; without a name it gets that one."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        metadata = obj["metadata"] = {}
    given = metadata.get("name")
    if not given:
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def _deleted(resource: Resource, last: Obj) -> Obj:
    details: Obj = {"name": last["metadata"]["name"]}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.plural, "uid": last["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
