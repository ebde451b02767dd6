"""PersistentVolumeClaims, PersistentVolumes and StorageClasses."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import internal
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.amounts import amount, amount_of
from labctl.embedded.kinds.validation.formats import all_of, dns1123_label, dns1123_subdomain, immutable
from labctl.embedded.kinds.validation.meta import annotation_keys, label_selector, labels
from labctl.embedded.kinds.validation.node_selectors import node_selector

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_POSITIVE = "must be greater than zero"
_LEGACY_CLASS = "volume.beta.kubernetes.io/storage-class"
_IMMUTABLE_CLAIM = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)
# Fields of a PersistentVolume's spec that are no volume source.
_NO_SOURCE = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)


def claim(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A PersistentVolumeClaim."""
    yield from claim_spec(obj["spec"], "spec")
    if old is not None:
        yield from _claim_update(obj, old)


def template(claim_template: Obj, path: str) -> Iterator[Cause]:
    """The claim template of an ephemeral volume: labels and annotations are all its metadata may have."""
    metadata = claim_template["metadata"]
    yield from annotation_keys(metadata.get("annotations", {}), f"{path}.metadata.annotations")
    yield from labels(metadata.get("labels", {}), f"{path}.metadata.labels")
    for name in metadata:
        if name not in ("labels", "annotations"):
            yield forbidden(f"{path}.metadata.{name}", "cannot be set")
    yield from claim_spec(claim_template["spec"], f"{path}.spec")


def claim_spec(spec: Obj, path: str) -> Iterator[Cause]:
    """The spec of a claim."""
    if not spec.get("accessModes"):
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    yield from label_selector(spec.get("selector"), f"{path}.selector")
    yield from _access_modes(spec, path)
    size = spec["resources"].get("requests", {}).get("storage")
    where = f"{path}.resources[storage]"
    if size is None:
        yield required(where)
    elif amount(size) <= 0:
        yield invalid_value(where, size, _POSITIVE)
    else:
        yield from amount_of(where, "storage", size)
    if spec.get("storageClassName"):
        yield from all_of(f"{path}.storageClassName", spec["storageClassName"], dns1123_subdomain)
    yield from _volume_mode(spec, path)
    for name in ("dataSource", "dataSourceRef"):
        if spec.get(name) is not None:
            yield from _data_source(spec[name], f"{path}.{name}")
    if spec.get("volumeAttributesClassName"):
        yield from all_of(f"{path}.volumeAttributesClassName", spec["volumeAttributesClassName"], dns1123_subdomain)


def _access_modes(spec: Obj, path: str) -> Iterator[Cause]:
    modes = spec.get("accessModes", ())
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield not_supported(f"{path}.accessModes", mode, _ACCESS_MODES)
    known = set(modes) & set(_ACCESS_MODES)
    if "ReadWriteOncePod" in known and len(known) > 1:
        yield forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")


def _volume_mode(spec: Obj, path: str) -> Iterator[Cause]:
    if spec.get("volumeMode") not in (None, "Block", "Filesystem"):
        yield not_supported(f"{path}.volumeMode", spec["volumeMode"], ("Block", "Filesystem"))


def _data_source(source: Obj, path: str) -> Iterator[Cause]:
    for name in ("name", "kind"):
        if not source.get(name):
            yield required(f"{path}.{name}")
    group = source.get("apiGroup") or ""
    if not group and source.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        yield invalid_value(path, source.get("kind", ""), text)
    if group:
        yield from all_of(f"{path}.apiGroup", group, dns1123_subdomain)
    if source.get("namespace"):
        yield from all_of(f"{path}.namespace", source["namespace"], dns1123_label)


def _claim_update(obj: Obj, old: Obj) -> Iterator[Cause]:
    new_spec, old_spec = dict(obj["spec"]), dict(old["spec"])
    if not old_spec.get("volumeName") and new_spec.get("volumeName"):
        old_spec["volumeName"] = new_spec["volumeName"]
    if _class_from_nothing(old, new_spec):
        new_spec.pop("storageClassName", None)
        if "storageClassName" in old_spec:
            new_spec["storageClassName"] = old_spec["storageClassName"]
    if obj["status"].get("phase") == "Bound":
        _allow_expansion(new_spec, old_spec)
    if new_spec != old_spec:
        shown = internal.difference("PersistentVolumeClaimSpec", old_spec, new_spec)
        yield forbidden("spec", f"{_IMMUTABLE_CLAIM}\n{shown}")
    yield from _shrinking(obj, old)
    yield from immutable("volumeMode", obj["spec"].get("volumeMode"), old["spec"].get("volumeMode"))


def _class_from_nothing(old: Obj, new_spec: Obj) -> bool:
    legacy = old["metadata"].get("annotations", {})
    return (
        "storageClassName" not in old["spec"] and _LEGACY_CLASS not in legacy and bool(new_spec.get("storageClassName"))
    )


def _allow_expansion(new_spec: Obj, old_spec: Obj) -> None:
    requests = dict(new_spec["resources"].get("requests", {}))
    if requests:
        requests["storage"] = old_spec["resources"].get("requests", {}).get("storage", "0")
        new_spec["resources"] = {**new_spec["resources"], "requests": requests}
    new_spec.pop("volumeAttributesClassName", None)
    if "volumeAttributesClassName" in old_spec:
        new_spec["volumeAttributesClassName"] = old_spec["volumeAttributesClassName"]


def _shrinking(obj: Obj, old: Obj) -> Iterator[Cause]:
    sizes = [amount(item["spec"]["resources"].get("requests", {}).get("storage", "0")) for item in (obj, old)]
    held = amount(old.get("status", {}).get("capacity", {}).get("storage", "0"))
    if sizes[0] < sizes[1] and sizes[0] <= held:
        yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


def volume(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A PersistentVolume."""
    spec = obj["spec"]
    if not spec.get("accessModes"):
        yield required("spec.accessModes")
    yield from _access_modes(spec, "spec")
    yield from _capacity(spec.get("capacity", {}))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in _RECLAIM_POLICIES:
        yield not_supported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM_POLICIES)
    affinity = (spec.get("nodeAffinity") or {}).get("required")
    if affinity is not None:
        yield from node_selector(affinity, "spec.nodeAffinity.required")
    yield from _volume_source(spec)
    if spec.get("storageClassName"):
        yield from all_of("spec.storageClassName", spec["storageClassName"], dns1123_subdomain)
    yield from _volume_mode(spec, "spec")
    if old is not None:
        yield from _volume_update(spec, old["spec"])


def _capacity(capacity: Obj) -> Iterator[Cause]:
    if not capacity:
        yield required("spec.capacity")
    if set(capacity) != {"storage"}:
        yield not_supported("spec.capacity", capacity or None, ("storage",))
    for name, value in capacity.items():
        if amount(value) < 0:
            yield invalid_value(f"spec.capacity[{name}]", int(amount(value)), "must be a valid resource quantity")
        if amount(value) <= 0:
            yield invalid_value(f"spec.capacity[{name}]", value, _POSITIVE)


def _sources(spec: Obj) -> Obj:
    return {name: value for name, value in spec.items() if name not in _NO_SOURCE and value is not None}


def _volume_source(spec: Obj) -> Iterator[Cause]:
    given = list(_sources(spec))
    if not given:
        yield required("spec", "must specify a volume type")
    for name in given[1:]:
        yield forbidden(f"spec.{name}", "may not specify more than 1 volume type")
    yield from _checked_sources(spec)


def _checked_sources(spec: Obj) -> Iterator[Cause]:
    host_path, local, nfs = spec.get("hostPath"), spec.get("local"), spec.get("nfs")
    if host_path is not None:
        if not host_path["path"]:
            yield required("spec.hostPath.path")
        elif ".." in host_path["path"].split("/"):
            yield invalid_value("spec.hostPath.path", host_path["path"], "must not contain '..'")
        elif posixpath.normpath(host_path["path"]) == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            text = "may not be 'recycle' for a hostPath mount of '/'"
            yield forbidden("spec.persistentVolumeReclaimPolicy", text)
    if local is not None:
        if not local["path"]:
            yield required("spec.local.path")
        if spec.get("nodeAffinity") is None:
            yield required("spec.nodeAffinity", "Local volume requires node affinity")
    for name in ("server", "path"):
        if nfs is not None and not nfs[name]:
            yield required(f"spec.nfs.{name}")


def _volume_update(spec: Obj, old: Obj) -> Iterator[Cause]:
    if _sources(spec) != _sources(old):
        shown = internal.difference("PersistentVolumeSource", _sources(old), _sources(spec))
        text = f"spec.persistentvolumesource is immutable after creation\n{shown}"
        yield forbidden("spec.persistentvolumesource", text)
    yield from immutable("volumeMode", spec.get("volumeMode"), old.get("volumeMode"))
    if old.get("nodeAffinity") is not None:
        yield from immutable("nodeAffinity", spec.get("nodeAffinity"), old["nodeAffinity"])


def storage_class(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A StorageClass."""
    if not obj["provisioner"]:
        yield required("provisioner")
    parameters = obj.get("parameters", {})
    if any(not key for key in parameters):
        yield invalid_value("parameters", "", "field can not be empty.")
    policy = obj.get("reclaimPolicy")
    if policy not in ("Delete", "Retain"):
        yield not_supported("reclaimPolicy", policy, ("Delete", "Retain"))
    mode = obj.get("volumeBindingMode")
    if mode not in ("Immediate", "WaitForFirstConsumer"):
        yield not_supported("volumeBindingMode", mode, ("Immediate", "WaitForFirstConsumer"))
    if old is not None:
        yield from _class_update(obj, old)


def _class_update(obj: Obj, old: Obj) -> Iterator[Cause]:
    texts = {
        "parameters": "updates to parameters are forbidden.",
        "provisioner": "updates to provisioner are forbidden.",
        "reclaimPolicy": "updates to reclaimPolicy are forbidden.",
    }
    for name, text in texts.items():
        if _same(obj.get(name)) != _same(old.get(name)):
            yield forbidden(name, text)
    yield from immutable("volumeBindingMode", obj.get("volumeBindingMode"), old.get("volumeBindingMode"))


def _same(value: Any) -> Any:
    return value or None
