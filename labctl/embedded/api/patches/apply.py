"""Server-side apply.

Source: k8s.io/apimachinery v0.34.4 `pkg/util/managedfields` and sigs.k8s.io/structured-merge-diff v6 `merge/update.go`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.embedded.api import managed
from labctl.embedded.api.call import Call
from labctl.embedded.api.errors import bad_request, internal, invalid_reference, not_found
from labctl.embedded.api.fields import merging, sets
from labctl.embedded.api.fields.compare import ABSENT, compare
from labctl.embedded.api.fields.sets import FieldSet
from labctl.embedded.api.fields.shapes import Shape
from labctl.embedded.api.jsonvalue import copy, equal
from labctl.embedded.api.managed import Manager
from labctl.embedded.api.objectmeta import timestamp
from labctl.embedded.api.options import ChangeOptions
from labctl.embedded.api.registry import Registry, WriteOptions
from labctl.embedded.api.yamltext import load_yaml
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.store import encode

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class _Conflict:
    """Fields that the applied configuration sets otherwise than another manager has."""

    manager: Manager
    fields: FieldSet


class Applier:
    """Applies configurations to stored objects.

    Args:
        registry: Where they are.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._checks = registry.rules

    def apply(self, call: Call, options: ChangeOptions) -> tuple[Obj, bool]:
        """Do an apply request; returns the object and whether it was created.

        Raises:
            ApiError: 409 when other managers own what is applied; 400 or 422 for a wrong configuration.
        """
        resource, info = self._registry.catalog.stored(call.target), call.info
        if not options.given_manager:
            problem = ("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")
            raise invalid_reference("PatchOptions", "meta.k8s.io", "", [problem])
        config = self._configuration(call, resource, options)
        entry = self._registry.entry(resource, info.namespace, info.name)
        if entry is None and info.subresource:
            raise not_found(resource, info.name)
        live = entry.object if entry else None
        merged, managers = self._merge(call, resource, live, config, options)
        if live is not None and managers is None:
            return live, False
        merged["metadata"].setdefault("name", info.name)
        write = WriteOptions(options.manager, options.dry_run, "Apply", managed.encode(managers or ()), call.admission)
        if live is None:
            return self._registry.create_object(resource, info.namespace, merged, write), True
        updated = self._registry.update_object(
            resource, info.namespace, info.name, merged, write, subresource=info.subresource
        )
        return updated, False

    def _configuration(self, call: Call, resource: Resource, options: ChangeOptions) -> Obj:
        try:
            config = load_yaml(call.body())
        except ValueError as error:
            raise bad_request(f"error decoding YAML: {error}") from None
        if not isinstance(config, dict):
            raise bad_request(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal"
            )
        kind, version = config.get("kind") or "", config.get("apiVersion") or ""
        if (kind, version) != (resource.kind, resource.api_version):
            shown = f"{version}, Kind={kind}" if "/" in version else f"/{version}, Kind={kind}"
            raise bad_request(f"invalid object type: {shown}")
        metadata = config.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise bad_request("metadata must be an object")
        if metadata.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        given, namespace = metadata.get("name"), metadata.get("namespace")
        if given is not None and given != call.info.name:
            words = f"the name of the object ({given}) does not match the name on the URL ({call.info.name})"
            raise bad_request(words)
        if resource.namespaced and namespace and namespace != call.info.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        self._check_form(call, resource, config, options)
        return config

    def _check_form(self, call: Call, resource: Resource, config: Obj, options: ChangeOptions) -> None:
        del options
        unknown = self._checks.unknown_fields(resource, config)
        name, version = call.info.name, resource.api_version
        if unknown:
            # A typed configuration has no place for them, whatever fieldValidation says (the real one answers 500).
            words = "\n".join(f".{path}: field not declared in schema" for path in unknown)
            place = f"({call.info.namespace}/{name}; {version}, Kind={resource.kind})"
            raise ApiError(400, "", f"failed to create typed patch object {place}: {_errors(words)}")
        problem = self._checks.type_error(resource, config)
        if problem:
            place = f"({call.info.namespace}/{name}; {version}, Kind={resource.kind})"
            raise ApiError(400, "", f"failed to create typed patch object {place}: {problem}")

    def _merge(
        self, call: Call, resource: Resource, live: Obj | None, config: Obj, options: ChangeOptions
    ) -> tuple[Obj, list[Manager] | None]:
        """The object with the configuration in it, and its managers (None when nothing changes)."""
        apply = _Apply(
            self._registry.rules.shape(resource),
            managed.bare(live) if live is not None else self._registry.rules.empty(resource),
            managed.decode((live or {}).get("metadata", {}).get("managedFields")),
            self._registry.rules.ignored_fields(resource, call.info.subresource),
        )
        now = timestamp(self._registry.clock.now())
        mine = Manager(options.manager, "Apply", resource.api_version, call.info.subresource, now, {})
        try:
            return apply.run(config, mine, force=bool(options.force))
        except merging.DuplicateKeysError as error:
            place = f"({call.info.namespace}/{call.info.name}; {resource.api_version}, Kind={resource.kind})"
            raise ApiError(400, "", f"failed to create typed patch object {place}: {error}") from None


def _errors(words: str) -> str:
    lines = words.split("\n")
    return words if len(lines) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in lines)


@dataclass(frozen=True, slots=True)
class _Apply:
    """One application of a configuration to an object.

    Attributes:
        shape: The kind's shape.
        live: The object without its managedFields.
        managers: Who owns what of it.
        ignored: Fields that this endpoint does not write.
    """

    shape: Shape
    live: Obj
    managers: Sequence[Manager]
    ignored: FieldSet

    def run(self, config: Obj, mine: Manager, *, force: bool) -> tuple[Obj, list[Manager] | None]:
        last = next((manager for manager in self.managers if manager.key == mine.key), None)
        fields = managed.stripped(sets.without_subtrees(merging.field_set(config, self.shape), self.ignored))
        mine = replace(mine, fields=fields)
        others = [manager for manager in self.managers if manager.key != mine.key]
        merged = merging.merge(self.live, config, self.shape)
        merged = self._pruned(merged, [*others, mine], last)
        difference = compare(self.live, merged, self.shape).without(self.ignored)
        changed = sets.union(difference.modified, difference.added)
        conflicts = [
            _Conflict(manager, found) for manager in others if (found := sets.intersection(manager.fields, changed))
        ]
        if conflicts and not force and not self._allowed(mine, conflicts):
            raise _conflict_error(conflicts)
        lost = sets.union(changed, difference.removed)
        kept = [replace(manager, fields=sets.difference(manager.fields, lost)) for manager in others]
        result = [manager for manager in kept if manager.fields]
        if equal(merged, self.live) and last is not None and last.fields == mine.fields:
            return merged, None
        if equal(merged, self.live):
            # Owning more or less of the same object is a change of the owner only: the time stays.
            mine = replace(mine, time=last.time if last else "")
        self._sync_last_applied(merged, config, mine)
        return copy(merged), [*result, mine] if mine.fields else result

    def _pruned(self, merged: Obj, managers: Sequence[Manager], last: Manager | None) -> Obj:
        """Without what this manager applied last time, does not apply now, and nobody else owns."""
        if last is None or not last.fields:
            return merged
        shape = self.shape
        before = merging.with_named_fields(last.fields, shape)
        pruned = _object(merging.without(merged, before, shape))
        owned: FieldSet = {}
        for manager in managers:
            owned = sets.union(owned, manager.fields)
        everything = merging.with_named_fields(merging.field_set(merged, shape), shape)
        left = merging.with_named_fields(merging.field_set(pruned, shape), shape)
        keep = sets.union(left, merging.with_named_fields(owned, shape))
        pruned = _object(merging.without(merged, sets.difference(everything, keep), shape))
        left = merging.with_named_fields(merging.field_set(pruned, shape), shape)
        dropped = sets.intersection(sets.difference(everything, left), before)
        return _object(merging.without(merged, dropped, shape))

    def _allowed(self, mine: Manager, conflicts: Sequence[_Conflict]) -> bool:
        """Whether kubectl only takes over what it had applied on the client side before."""
        if mine.name != "kubectl":
            return False
        text = ((self.live.get("metadata") or {}).get("annotations") or {}).get(_LAST_APPLIED)
        try:
            applied = json.loads(text or "")
        except ValueError:
            return False
        if not isinstance(applied, dict) or applied.get("apiVersion") != mine.api_version:
            return False
        difference = compare(applied, self.live, self.shape)
        fields = merging.field_set(applied, self.shape)
        for part in (difference.modified, difference.added, difference.removed):
            fields = sets.difference(fields, part)
        return not any(sets.difference(conflict.fields, fields) for conflict in conflicts)

    def _sync_last_applied(self, merged: Obj, config: Obj, mine: Manager) -> None:
        annotations: dict[str, Any] = (merged.get("metadata") or {}).get("annotations") or {}
        if mine.name == "kubectl" and annotations.get(_LAST_APPLIED):
            merged["metadata"] = dict(merged["metadata"])
            merged["metadata"]["annotations"] = {**annotations, _LAST_APPLIED: encode(config).decode() + "\n"}


def _object(value: Any) -> Obj:
    if value is ABSENT:
        raise internal("the applied configuration would leave nothing of the object")
    result: Obj = value
    return result


def _conflict_error(conflicts: Sequence[_Conflict]) -> ApiError:
    found = [(conflict.manager.title, path) for conflict in conflicts for path in sets.paths(conflict.fields)]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {title}", "field": path} for title, path in found
    ]
    if len(found) == 1:
        title, path = found[0]
        message = f"Apply failed with 1 conflict: conflict with {title}: {path}"
    else:
        lines: list[str] = []
        for title in sorted(dict.fromkeys(title for title, _ in found)):
            lines.append(f"conflicts with {title}:")
            lines += [f"- {path}" for owner, path in found if owner == title]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})
