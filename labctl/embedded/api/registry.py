"""The API's operations on stored objects: what every request, controller and kubelet goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from labctl.embedded.api import componentstatuses, deletion, managed, objectmeta
from labctl.embedded.api.catalog import Catalog
from labctl.embedded.api.errors import (
    already_exists,
    bad_request,
    conflict,
    internal,
    modified,
    no_such_resource,
    not_found,
)
from labctl.embedded.api.jsonvalue import copy, equal
from labctl.embedded.api.rules import Admission, Rules
from labctl.embedded.api.scale import replicas_of, with_replicas
from labctl.embedded.clientset import ApiError, Change, DeleteOptions, Obj
from labctl.embedded.kinds.resources import Resource, storage_key
from labctl.embedded.store import Commit, ConflictError, Entry, Store, StoreError
from labctl.env import Clock

_CREATE_ON_UPDATE = frozenset(
    {
        "clusterrolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "endpoints",
        "events",
        "leases.coordination.k8s.io",
        "limitranges",
        "rolebindings.rbac.authorization.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "runtimeclasses.node.k8s.io",
        "services",
    }
)
_NAME_ATTEMPTS = 8
_NO_OPTIONS = DeleteOptions()


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a write is to be done.

    Attributes:
        manager: The field manager that the changes are recorded under.
        dry_run: Do everything but store it.
        operation: `Update`, or `Apply` when `managed_fields` come from server-side apply.
        managed_fields: The complete new managedFields; None lets the registry work them out.
        admission: Who is asked before the change is stored; None for nobody (the cluster's own parts).
    """

    manager: str = "k3s"
    dry_run: bool = False
    operation: str = "Update"
    managed_fields: list[Obj] | None = None
    admission: Admission | None = None


class Registry:
    """Implements `Clientset`, and the same operations with the options that only HTTP requests have.

    Args:
        store: Where the objects are.
        catalog: Which resources there are.
        rules: What their kinds demand.
        clock: The time that stamps are taken from.
    """

    def __init__(self, store: Store, catalog: Catalog, rules: Rules, clock: Clock) -> None:
        self.store = store
        self.catalog = catalog
        self.rules = rules
        self.clock = clock

    # -- Clientset ---------------------------------------------------------------------------------------------------

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """See `Clientset.get`."""
        entry = self.entry(self.resource(resource), namespace, name)
        return entry.object if entry else None

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        """See `Clientset.list`."""
        return [entry.object for entry in self.entries(self.resource(resource), namespace)]

    def create(self, resource: str, obj: Obj) -> Obj:
        """See `Clientset.create`."""
        found = self.resource(resource)
        namespace = (obj.get("metadata") or {}).get("namespace") or ("default" if found.namespaced else "")
        return self.create_object(found, namespace, obj)

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        """See `Clientset.update`."""
        namespace, name = objectmeta.reference(obj)
        if subresource == "binding":
            return self.bind(namespace, name, (obj.get("spec") or {}).get("nodeName") or "")
        return self.update_object(self.resource(resource), namespace, name, obj, subresource=subresource)

    def delete(self, resource: str, namespace: str, name: str, options: DeleteOptions = _NO_OPTIONS) -> Obj:
        """See `Clientset.delete`."""
        return self.delete_object(self.resource(resource), namespace, name, options)[0]

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """See `Clientset.subscribe`."""

        def forward(commit: Commit) -> None:
            callback(commit.change)

        return self.store.subscribe(forward)

    # -- Reading -----------------------------------------------------------------------------------------------------

    def resource(self, key: str) -> Resource:
        """The resource of a key.

        Raises:
            ApiError: 404, there is no such resource.
        """
        found = self.catalog.by_key(key)
        if found is None:
            raise no_such_resource()
        return found

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """The stored object with its JSON, or None."""
        if resource.key == componentstatuses.KEY:
            return next((item for item in self.entries(resource) if item.object["metadata"]["name"] == name), None)
        return self.store.get(storage_key(resource), namespace if resource.namespaced else "", name)

    def require(self, resource: Resource, namespace: str, name: str) -> Entry:
        """The stored object with its JSON.

        Raises:
            ApiError: 404, there is none.
        """
        found = self.entry(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def entries(self, resource: Resource, namespace: str = "") -> Any:
        """The stored objects of a resource (in a namespace when given), in order."""
        if resource.key == componentstatuses.KEY:
            return componentstatuses.component_statuses()
        return self.store.entries(storage_key(resource), namespace if resource.namespaced else "")

    # -- Creating ----------------------------------------------------------------------------------------------------

    def create_object(
        self, resource: Resource, namespace: str, obj: Obj, options: WriteOptions = WriteOptions()
    ) -> Obj:
        """Create an object in a namespace; returns it as stored.

        Raises:
            ApiError: It exists (409), is not valid (422), is refused (403), or its namespace is missing (404).
        """
        named = bool((obj.get("metadata") or {}).get("name"))
        for attempt in range(_NAME_ATTEMPTS):
            try:
                return self._create(resource, namespace, copy(obj), options)
            except ApiError as error:
                # A generated name may be taken: another one is tried.
                if named or error.reason != "AlreadyExists" or attempt == _NAME_ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _create(self, resource: Resource, namespace: str, obj: Obj, options: WriteOptions) -> Obj:
        _complete(resource, obj)
        self.rules.defaults(resource, obj)
        metadata: Obj = obj["metadata"]
        objectmeta.match_namespace(resource, metadata, namespace)
        # Before admission and allocation: what they add belongs to no manager.
        self._manage(resource, obj, None, options, "")
        obj = self._mutated(resource, obj, None, options, "")
        metadata = obj["metadata"]
        objectmeta.fill_for_create(metadata, self.clock.now())
        self.rules.prepare_for_create(resource, obj, self)
        self.rules.validate(resource, obj, None)
        self.rules.reorder(resource, obj)
        name = obj["metadata"]["name"]
        existing = self.entry(resource, namespace, name)
        if existing is not None:
            raise already_exists(resource, name, terminating="deletionTimestamp" in existing.object["metadata"])
        if options.admission is not None:
            options.admission.validate(resource, obj, None, "")
        self.rules.admit_new(resource, obj, self)
        if options.dry_run:
            del obj["metadata"]["resourceVersion"]
            return obj
        return self._put(resource, obj, "")

    # -- Updating ----------------------------------------------------------------------------------------------------

    def update_object(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        options: WriteOptions = WriteOptions(),
        *,
        subresource: str = "",
    ) -> Obj:
        """Replace an object, or what one of its subresources may change; returns it as stored.

        Raises:
            ApiError: It does not exist (404), has been modified (409), is not valid (422).
        """
        stored = self.entry(resource, namespace, name)
        if stored is None:
            if subresource or resource.key not in _CREATE_ON_UPDATE:
                raise not_found(resource, name)
            return self.create_object(resource, namespace, obj, options)
        if subresource == "scale":
            self._check_version(resource, stored.object, obj.get("metadata") or {})
            scaled = with_replicas(stored.object, replicas_of(obj), self.rules.scale_paths(resource))
            return self._replace(resource, namespace, stored, scaled, options, subresource)
        return self._replace(resource, namespace, stored, copy(obj), options, subresource)

    def _replace(
        self, resource: Resource, namespace: str, stored: Entry, new: Obj, options: WriteOptions, subresource: str
    ) -> Obj:
        old = stored.object
        _complete(resource, new)
        self.rules.defaults(resource, new)
        metadata: Obj = new["metadata"]
        objectmeta.match_namespace(resource, metadata, namespace)
        self._check_version(resource, old, metadata)
        self._manage(resource, new, old, options, subresource)
        new = self._mutated(resource, new, old, options, subresource)
        metadata = new["metadata"]
        objectmeta.keep_for_update(metadata, old["metadata"])
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        if subresource and subresource != "scale":
            self.rules.prepare_for_subresource(resource, new, old, subresource)
        else:
            self.rules.prepare_for_update(resource, new, old, self)
        # Debug containers are what no update of the pod itself may change.
        debugging = subresource == "ephemeralcontainers"
        self.rules.validate(resource, new, {**old, "spec": new["spec"]} if debugging else old)
        self.rules.reorder(resource, new)
        if options.admission is not None:
            options.admission.validate(resource, new, old, subresource)
        if equal(new, old):
            return old
        if options.dry_run:
            return new
        if deletion.ends_with_update(new, old):
            return self._remove(resource, new, old["metadata"]["resourceVersion"])
        return self._put(resource, new, old["metadata"]["resourceVersion"])

    def _mutated(self, resource: Resource, new: Obj, old: Obj | None, options: WriteOptions, subresource: str) -> Obj:
        """The object as those who are asked want it, defaults filled in again."""
        if options.admission is None:
            return new
        wanted = options.admission.mutate(resource, new, old, subresource)
        assert wanted is not None
        _complete(resource, wanted)
        self.rules.defaults(resource, wanted)
        return wanted

    def _check_version(self, resource: Resource, old: Obj, metadata: Obj) -> None:
        stored = old["metadata"]
        uid = metadata.get("uid")
        if uid and uid != stored["uid"]:
            cause = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['uid']}"
            raise conflict(resource, stored["name"], cause)
        version = metadata.get("resourceVersion")
        if version and version != stored["resourceVersion"]:
            raise modified(resource, stored["name"])

    def _manage(self, resource: Resource, new: Obj, old: Obj | None, options: WriteOptions, subresource: str) -> None:
        if options.managed_fields is not None:
            fields = options.managed_fields
        else:
            ignored = self.rules.ignored_fields(resource, subresource)
            update = managed.Update(options.manager, resource.api_version, subresource, self.clock.now(), ignored)
            empty = self.rules.empty(resource) if old is None else {}
            fields = managed.after_update(self.rules.shape(resource), new, old, empty, update)
        if fields:
            new["metadata"]["managedFields"] = fields
        else:
            new["metadata"].pop("managedFields", None)

    def bind(self, namespace: str, name: str, node: str, *, dry_run: bool = False) -> Obj:
        """Put a pod on a node (`pods/binding`).

        Raises:
            ApiError: 404, there is no such pod; 409, it is on a node already or is being deleted.
        """
        pods = self.resource("pods")
        stored = self.require(pods, namespace, name).object
        binding = replace(pods, plural="pods/binding")
        if stored["metadata"].get("deletionTimestamp"):
            raise conflict(binding, name, f"pod {name} is being deleted, cannot be assigned to a host")
        present = stored["spec"].get("nodeName")
        if present:
            raise conflict(binding, name, f'pod {name} is already assigned to node "{present}"')
        pod = copy(stored)
        pod["spec"]["nodeName"] = node
        status = pod.setdefault("status", {})
        others = [item for item in status.get("conditions") or () if item["type"] != "PodScheduled"]
        now = objectmeta.timestamp(self.clock.now())
        status["conditions"] = [*others, {"type": "PodScheduled", "status": "True", "lastTransitionTime": now}]
        self.rules.reorder(pods, pod)
        return pod if dry_run else self._put(pods, pod, stored["metadata"]["resourceVersion"])

    # -- Deleting ----------------------------------------------------------------------------------------------------

    def delete_object(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        options: DeleteOptions = _NO_OPTIONS,
        *,
        dry_run: bool = False,
        admission: Admission | None = None,
    ) -> tuple[Obj, bool]:
        """Delete an object or mark it for deletion; returns its last state and whether it is gone.

        Raises:
            ApiError: It does not exist (404), a precondition does not hold (409), it may not be deleted (403).
        """
        stored = self.require(resource, namespace, name).object
        self.rules.prepare_for_delete(resource, name)
        if admission is not None:
            admission.mutate(resource, None, stored, "")
            admission.validate(resource, None, stored, "")
        outcome = deletion.plan(resource, stored, options, self.clock.now())
        if dry_run:
            return outcome.update or stored, outcome.remove
        if outcome.update is not None:
            stored = self._put(resource, outcome.update, stored["metadata"]["resourceVersion"])
        if outcome.remove:
            last = copy(stored)
            self.rules.reorder(resource, last)
            return self._remove(resource, last, stored["metadata"]["resourceVersion"]), True
        return stored, False

    # -- Storing -----------------------------------------------------------------------------------------------------

    def _put(self, resource: Resource, obj: Obj, expected: str) -> Obj:
        try:
            return self.store.put(storage_key(resource), obj, expected).object
        except ConflictError:
            if expected:
                raise modified(resource, obj["metadata"]["name"]) from None
            raise already_exists(resource, obj["metadata"]["name"]) from None
        except StoreError as error:
            raise internal(error.message) from error
        except UnicodeEncodeError:
            raise bad_request("the object holds text that is not valid Unicode") from None

    def _remove(self, resource: Resource, obj: Obj, expected: str) -> Obj:
        try:
            return self.store.remove(storage_key(resource), obj, expected).object
        except ConflictError:
            raise modified(resource, obj["metadata"]["name"]) from None
        except StoreError as error:
            raise internal(error.message) from error


def _complete(resource: Resource, obj: Obj) -> None:
    """Give the object its kind and a metadata, whatever the caller left out."""
    obj["kind"], obj["apiVersion"] = resource.kind, resource.api_version
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
