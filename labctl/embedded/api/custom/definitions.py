"""Follows CustomResourceDefinitions: what they define is served, and their status says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from labctl.embedded.api.catalog import Catalog
from labctl.embedded.api.custom.kinds import CustomKind, served_kinds
from labctl.embedded.api.deletion import DEFINITION_FINALIZER as FINALIZER
from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.api.objectmeta import timestamp
from labctl.embedded.api.registry import Registry
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.store import Commit

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


class CustomKinds:
    """The kinds that are defined at the moment, by resource."""

    def __init__(self) -> None:
        self._kinds: dict[Resource, CustomKind] = {}

    def replace(self, kinds: list[CustomKind]) -> None:
        """Forget the old ones."""
        self._kinds = {kind.resource: kind for kind in kinds}

    def get(self, resource: Resource) -> CustomKind | None:
        """The custom kind of a resource; None for a built-in one."""
        return self._kinds.get(resource)

    def __iter__(self) -> Iterator[CustomKind]:
        return iter(self._kinds.values())


class Definitions:
    """Keeps the catalog in step with the stored definitions, and does what their controllers do.

    Args:
        registry: Where the definitions and their objects are.
        kinds: What is defined; kept up to date.
        catalog: What is served; kept up to date.
        changed: Called when what is served has changed, with the storage keys of resources that are gone.
    """

    def __init__(
        self, registry: Registry, kinds: CustomKinds, catalog: Catalog, changed: Callable[[set[str]], None]
    ) -> None:
        self._registry = registry
        self._kinds = kinds
        self._catalog = catalog
        self._changed = changed
        self._scheduled = False
        self._stop = registry.store.subscribe(self._notice)
        self._refresh()

    def close(self) -> None:
        """Stop following."""
        self._stop()

    def _notice(self, commit: Commit) -> None:
        if commit.record.resource == DEFINITIONS:
            self._refresh()
        elif self._catalog.by_key(commit.record.resource) not in self._catalog.custom:
            return
        self._schedule()

    def _schedule(self) -> None:
        # Writing is not allowed while a commit is being told of.
        if not self._scheduled:
            self._scheduled = True
            try:
                asyncio.get_running_loop().call_soon(self._work)
            except RuntimeError:
                # Outside of an event loop (at start-up) `settle` does it.
                self._scheduled = False

    def settle(self) -> None:
        """Bring every definition's status up to date now."""
        self._work()

    def _refresh(self) -> None:
        before = {resource.key for resource in self._catalog.custom}
        kinds = [
            kind
            for definition in self._registry.list(DEFINITIONS)
            if not conflict_of(definition, self._registry.list(DEFINITIONS))
            for kind in served_kinds(definition)
        ]
        self._kinds.replace(kinds)
        self._catalog.set_custom(
            (kind.resource for kind in kinds), {kind.resource.key: kind.storage_version for kind in kinds}
        )
        self._changed(before - {kind.resource.key for kind in kinds})

    def _work(self) -> None:
        self._scheduled = False
        for definition in self._registry.list(DEFINITIONS):
            try:
                self._reconcile(definition)
            except ApiError as error:
                # Changed meanwhile: its own change brings us back.
                if error.code not in (404, 409):
                    raise

    def _reconcile(self, definition: Obj) -> None:
        if definition["metadata"].get("deletionTimestamp"):
            self._clean_up(definition)
            return
        now = timestamp(self._registry.clock.now())
        new = copy(definition)
        new["status"] = wanted_status(definition, self._registry.list(DEFINITIONS), now)
        if new["status"] != definition.get("status"):
            self._registry.update(DEFINITIONS, new, subresource="status")

    def _clean_up(self, definition: Obj) -> None:
        """Delete what is defined, then let the definition go."""
        if FINALIZER not in (definition["metadata"].get("finalizers") or ()):
            return
        names = definition["spec"]["names"]
        key = f"{names['plural']}.{definition['spec']['group']}"
        resource = self._catalog.by_key(key)
        if resource is not None:
            for obj in self._registry.list(key):
                metadata = obj["metadata"]
                if not metadata.get("deletionTimestamp"):
                    self._registry.delete_object(resource, metadata.get("namespace", ""), metadata["name"])
            if self._registry.list(key):
                return
        new = copy(definition)
        new["metadata"]["finalizers"] = [name for name in new["metadata"]["finalizers"] if name != FINALIZER]
        self._registry.update(DEFINITIONS, new)


def conflict_of(definition: Obj, definitions: list[Obj]) -> tuple[str, str] | None:
    """Reason and message when another definition of the group took one of the names earlier."""
    spec, names = definition["spec"], definition["spec"]["names"]
    created = (definition["metadata"]["creationTimestamp"], definition["metadata"]["name"])
    for other in definitions:
        theirs = other["spec"]["names"]
        older = (other["metadata"]["creationTimestamp"], other["metadata"]["name"]) < created
        if not older or other["spec"]["group"] != spec["group"]:
            continue
        taken = {theirs["plural"], theirs.get("singular"), *(theirs.get("shortNames") or ())}
        for reason, name in (("PluralConflict", names["plural"]), ("SingularConflict", names.get("singular"))):
            if name and name in taken:
                return reason, f'"{name}" is already in use'
        for name in names.get("shortNames") or ():
            if name in taken:
                return "ShortNamesConflict", f'"{name}" is already in use'
        kinds = {theirs["kind"], theirs.get("listKind")}
        if names["kind"] in kinds:
            return "KindConflict", f'"{names["kind"]}" is already in use'
        if names.get("listKind") in kinds:
            return "ListKindConflict", f'"{names["listKind"]}" is already in use'
    return None


def wanted_status(definition: Obj, definitions: list[Obj], now: str) -> Obj:
    """The status of a definition, with what does not change of its present one."""
    status: Obj = copy(definition.get("status") or {})
    conflict = conflict_of(definition, definitions)
    if conflict:
        wanted = [("NamesAccepted", "False", *conflict)]
        wanted.append(("Established", "False", "NotAccepted", "not all names are accepted"))
    else:
        wanted = [("NamesAccepted", "True", "NoConflicts", "no conflicts found")]
        wanted.append(("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"))
        status["acceptedNames"] = copy(definition["spec"]["names"])
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    for kind, value, reason, message in wanted:
        present = conditions.get(kind)
        if present and (present["status"], present.get("reason")) == (value, reason):
            continue
        conditions[kind] = {
            "type": kind,
            "status": value,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
    status["conditions"] = list(conditions.values())
    stored = list(status.get("storedVersions") or ())
    stored += [v["name"] for v in definition["spec"]["versions"] if v.get("storage") and v["name"] not in stored]
    status["storedVersions"] = stored
    return status
