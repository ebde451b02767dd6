"""ObjectMeta and label selectors.

Source: k8s.io/apimachinery/pkg/api/validation/objectmeta.go, meta/v1/validation, and core's stricter finalizers.
"""

from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, required, too_long
from labctl.embedded.kinds.validation.formats import (
    Check,
    all_of,
    dns1123_label,
    immutable,
    label_value,
    not_negative,
    qualified_name,
)

_ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def object_meta(metadata: Obj, *, namespaced: bool, name_check: Check, path: str = "metadata") -> list[Cause]:
    """Faults of a new object's metadata; its name has been generated."""
    causes: list[Cause] = []
    prefix = metadata.get("generateName", "")
    if prefix:
        # A trailing hyphen is fine: five characters will follow.
        causes += [invalid_value(f"{path}.generateName", prefix, text) for text in name_check(_masked(prefix))]
    name = metadata.get("name", "")
    if name:
        causes += all_of(f"{path}.name", name, name_check)
    else:
        causes.append(required(f"{path}.name", "name or generateName is required"))
    causes += _namespace(metadata.get("namespace", ""), namespaced, f"{path}.namespace")
    causes += not_negative(f"{path}.generation", metadata.get("generation", 0))
    causes += _common(metadata, path)
    causes += finalizers(metadata.get("finalizers", []), f"{path}.finalizers")
    return causes


def object_meta_update(new: Obj, old: Obj, path: str = "metadata") -> list[Cause]:
    """Faults of a change of metadata; what the registry keeps by itself is not looked at."""
    causes: list[Cause] = []
    if old.get("deletionTimestamp"):
        extra = sorted(set(new.get("finalizers", ())) - set(old.get("finalizers", ())))
        if extra:
            listed = ", ".join(f'"{name}"' for name in extra)
            text = "no new finalizers can be added if the object is being deleted, found new finalizers"
            causes.append(forbidden(f"{path}.finalizers", f"{text} []string{{{listed}}}"))
    for name in ("name", "namespace", "uid"):
        causes += immutable(f"{path}.{name}", new.get(name, ""), old.get(name, ""))
    causes += _common(new, path)
    for index, name in enumerate(new.get("finalizers", ())):
        causes += finalizer(name, f"{path}.finalizers[{index}]")
    return causes


def _masked(name: str) -> str:
    return f"{name[:-1]}a" if len(name) > 1 and name.endswith("-") else name


def _namespace(namespace: str, namespaced: bool, path: str) -> list[Cause]:
    if not namespaced:
        return [forbidden(path, "not allowed on this type")] if namespace else []
    return all_of(path, namespace, dns1123_label) if namespace else [required(path)]


def _common(metadata: Obj, path: str) -> list[Cause]:
    return [
        *labels(metadata.get("labels", {}), f"{path}.labels"),
        *annotation_keys(metadata.get("annotations", {}), f"{path}.annotations"),
        *_owners(metadata.get("ownerReferences", []), f"{path}.ownerReferences"),
    ]


def labels(pairs: Obj, path: str) -> list[Cause]:
    """Keys and values of labels."""
    causes: list[Cause] = []
    for key, value in pairs.items():
        causes += all_of(path, key, qualified_name)
        causes += all_of(path, value, label_value)
    return causes


def annotation_keys(pairs: Obj, path: str) -> list[Cause]:
    """Keys of annotations (any case), and their size all together."""
    causes = [invalid_value(path, key, text) for key in pairs for text in qualified_name(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in pairs.items()) > _ANNOTATIONS_LIMIT:
        causes.append(too_long(path, _ANNOTATIONS_LIMIT))
    return causes


def _owners(references: list[Obj], path: str) -> list[Cause]:
    causes: list[Cause] = []
    controller = ""
    for reference in references:
        causes += _owner(reference, path)
        if reference.get("controller"):
            name = f"{reference.get('kind', '')}/{reference.get('name', '')}"
            if controller:
                text = (
                    "Only one reference can have Controller set to true."
                    f' Found "true" in references for {controller} and {name}'
                )
                causes.append(invalid_value(path, references, text))
            controller = controller or name
    return causes


def _owner(reference: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    if not reference.get("apiVersion"):
        causes.append(invalid_value(f"{path}.apiVersion", "", "version must not be empty"))
    causes += [
        invalid_value(f"{path}.{name}", "", "must not be empty")
        for name in ("kind", "name", "uid")
        if not reference.get(name)
    ]
    if reference.get("apiVersion") == "v1" and reference.get("kind") == "Event":
        causes.append(invalid_value(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
    return causes


def finalizers(names: list[str], path: str) -> list[Cause]:
    """Finalizers are standard ones, or have a domain in front."""
    causes = [cause for name in names for cause in all_of(path, name, qualified_name)]
    if {"orphan", "foregroundDeletion"} <= set(names):
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        causes.append(invalid_value(path, names, text))
    for index, name in enumerate(names):
        causes += finalizer(name, f"{path}[{index}]")
    return causes


def finalizer(name: str, path: str) -> list[Cause]:
    """One finalizer: a standard name, or one with a domain in front."""
    causes = all_of(path, name, qualified_name)
    if not causes and "/" not in name and name not in _STANDARD_FINALIZERS:
        causes.append(invalid_value(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
    return causes


def label_selector(selector: Any, path: str, *, check_values: bool = True) -> list[Cause]:
    """A `metav1.LabelSelector`; nothing to say about one that is missing."""
    if selector is None:
        return []
    causes = labels(selector.get("matchLabels", {}), f"{path}.matchLabels")
    for index, requirement in enumerate(selector.get("matchExpressions", ())):
        causes += _requirement(requirement, f"{path}.matchExpressions[{index}]", check_values=check_values)
    return causes


def _requirement(requirement: Obj, path: str, *, check_values: bool) -> list[Cause]:
    operator, values = requirement["operator"], requirement.get("values", [])
    causes: list[Cause] = []
    if operator in ("In", "NotIn"):
        if not values:
            causes.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(forbidden(f"{path}.values", text))
    else:
        causes.append(invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    causes += all_of(f"{path}.key", requirement["key"], qualified_name)
    if check_values:
        for index, value in enumerate(values):
            causes += all_of(f"{path}.values[{index}]", value, label_value)
    return causes


def selector_is_empty(selector: Any) -> bool:
    """Whether a LabelSelector selects everything."""
    return not (selector or {}).get("matchLabels") and not (selector or {}).get("matchExpressions")


def selector_is_valid(selector: Any) -> bool:
    """Whether a LabelSelector can be made into a selector."""
    return not label_selector(selector, "")


def selector_matches(selector: Any, pairs: Obj) -> bool:
    """Whether labels satisfy a valid LabelSelector; a missing one matches nothing."""
    if selector is None:
        return False
    if any(pairs.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_satisfied(item, pairs) for item in selector.get("matchExpressions", ()))


def _satisfied(requirement: Obj, pairs: Obj) -> bool:
    key, operator = requirement["key"], requirement["operator"]
    values: list[str] = requirement.get("values", [])
    if operator == "In":
        return bool(pairs.get(key) in values)
    if operator == "NotIn":
        return bool(key not in pairs or pairs[key] not in values)
    return bool((key in pairs) == (operator == "Exists"))
