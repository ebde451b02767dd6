"""What the API server sets by itself when an object is created or changed: its registry strategies.

Source: pkg/registry/*/*/strategy.go (PrepareForCreate, PrepareForUpdate and those of the status subresource), with
the mutating admission and the allocation that run before validation.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.kinds import admission, features, pods, wire
from labctl.embedded.kinds.defaulting import reorder
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.service_types import drop_type_dependent_fields
from labctl.embedded.kinds.services import ServiceAllocator
from labctl.embedded.kinds.settings import ClusterSettings

_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"

# Kinds that count their generations; the others have none unless a client wrote one.
_GENERATION_KINDS = frozenset(
    {
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "EndpointSlice",
        "FlowSchema",
        "Ingress",
        "IngressClass",
        "Job",
        "MutatingWebhookConfiguration",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PodTemplate",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
_STATUS_AT_CREATION = {
    "Namespace": {"phase": "Active"},
    "PersistentVolume": {"phase": "Pending"},
    "PersistentVolumeClaim": {"phase": "Pending"},
}
_LABELS_KEPT_BY_STATUS = frozenset({"Deployment"})
_METADATA_KEPT_BY_STATUS = frozenset(
    {"CustomResourceDefinition", "FlowSchema", "PriorityLevelConfiguration", "ServiceCIDR", "ValidatingAdmissionPolicy"}
    | {"VolumeAttachment"}
)
_RESET_METADATA = ("deletionTimestamp", "deletionGracePeriodSeconds")


class Strategy:
    """The strategies of all kinds, for one cluster's settings.

    Args:
        settings: The cluster's address ranges and node ports.
        random_source: Where generated names, addresses and ports come from; a seeded one in tests.
    """

    def __init__(self, settings: ClusterSettings, random_source: random.Random | None = None) -> None:
        self._random = random_source or random.SystemRandom()
        self._services = ServiceAllocator(settings, self._random)

    def prepare_for_create(self, resource: Resource, obj: Obj, state: Clientset) -> None:
        """Admit, allocate and initialise a new object that has been defaulted, in place.

        metadata.name, namespace and uid must be set; `state` is only read.

        Raises:
            ApiError: As the API server refuses: 403 by admission, 404 without namespace, 422 or 500 by allocation.
        """
        for name in _RESET_METADATA:
            obj["metadata"].pop(name, None)
        admission.admit_create(resource, obj, state, self._random)
        if resource.kind == "Service":
            self._services.create(resource, obj, state)
        if wire.struct_of(resource) is None:
            _custom_create(resource, obj)
            return
        features.drop_disabled(resource.kind, obj)
        if "status" in resource.subresources and resource.kind != "Node":
            obj["status"] = dict(_STATUS_AT_CREATION.get(resource.kind, {}))
        if resource.kind in _GENERATION_KINDS:
            obj["metadata"]["generation"] = 1
        initialise = _ON_CREATE.get(resource.kind)
        if initialise is not None:
            initialise(obj)
        reorder(resource, obj)

    def prepare_for_update(self, resource: Resource, new: Obj, old: Obj, state: Clientset) -> None:
        """Keep what an update of the main resource may not change, and count the generation, in place.

        `new` has been defaulted; `old` is the stored object and is not changed.

        Raises:
            ApiError: 422 or 500 when a Service's address or port cannot be had.
        """
        _keep_generation(new, old)
        if wire.struct_of(resource) is None:
            _custom_update(resource, new, old)
            return
        features.drop_disabled(resource.kind, new)
        if resource.kind == "Service":
            self._services.update(resource, new, old, state)
        if "status" in resource.subresources:
            _replace(new, old, "status")
        adjust = _ON_UPDATE.get(resource.kind)
        if adjust is not None:
            adjust(new, old)
        reorder(resource, new)
        if resource.kind in _GENERATION_KINDS and _changed(resource.kind, new, old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if resource.kind == "DaemonSet":
            _template_generation(new, old)

    def prepare_for_status_update(self, resource: Resource, new: Obj, old: Obj) -> None:
        """Take only the status of `new`; everything else is the stored object's, in place."""
        _keep_generation(new, old)
        status = new.get("status")
        kept = {key: value for key, value in old.items() if key not in ("metadata", "status")}
        for key in list(new):
            if key not in ("metadata", "kind", "apiVersion"):
                del new[key]
        new.update(kept)
        if status is not None:
            new["status"] = status
        _status_metadata(resource, new, old)
        if resource.kind == "Pod":
            _pod_status(new, old)
        if wire.struct_of(resource) is not None:
            reorder(resource, new)

    def prepare_for_ephemeral_containers(self, new: Obj, old: Obj) -> None:
        """Take only the ephemeral containers of `new`; everything else is the stored pod's, in place."""
        containers = (new.get("spec") or {}).get("ephemeralContainers")
        metadata = new["metadata"]
        for name in ("labels", "annotations", "finalizers", "ownerReferences"):
            _replace(metadata, old["metadata"], name)
        _keep_generation(new, old)
        for name in ("spec", "status"):
            _replace(new, old, name)
        if containers != old["spec"].get("ephemeralContainers"):
            new["spec"] = {**old["spec"], "ephemeralContainers": containers or []}
            metadata["generation"] = old["metadata"].get("generation", 0) + 1

    def prepare_for_delete(self, resource: Resource, name: str) -> None:
        """Refuse to delete what must not be.

        Raises:
            ApiError: 403.
        """
        admission.admit_delete(resource, name)


def _status_metadata(resource: Resource, new: Obj, old: Obj) -> None:
    metadata = new["metadata"]
    if resource.kind in _METADATA_KEPT_BY_STATUS or wire.struct_of(resource) is None:
        names: tuple[str, ...] = ("labels", "annotations", "finalizers", "ownerReferences")
    else:
        names = ("labels",) if resource.kind in _LABELS_KEPT_BY_STATUS else ()
    if resource.kind == "Pod":
        names = ("ownerReferences",)
    for name in names:
        _replace(metadata, old["metadata"], name)


def _pod_status(new: Obj, old: Obj) -> None:
    status, before = new.setdefault("status", {}), old.get("status", {})
    if not status.get("qosClass") and before.get("qosClass"):
        status["qosClass"] = before["qosClass"]
    if not status.get("observedGeneration") and before.get("observedGeneration"):
        status["observedGeneration"] = before["observedGeneration"]
    known = {item["type"]: item.get("observedGeneration") for item in before.get("conditions", ())}
    for condition in status.get("conditions") or ():
        if not condition.get("observedGeneration") and known.get(condition["type"]):
            condition["observedGeneration"] = known[condition["type"]]


def _keep_generation(new: Obj, old: Obj) -> None:
    _replace(new["metadata"], old["metadata"], "generation")


def _replace(target: Obj, source: Obj, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


def _changed(kind: str, new: Obj, old: Obj) -> bool:
    """Whether the generation goes up: a change of what is desired."""
    metadata, before = new["metadata"], old["metadata"]
    if kind == "PriorityClass":
        return False
    if kind == "EndpointSlice":
        return metadata.get("labels") != before.get("labels") or _without_metadata(new) != _without_metadata(old)
    if kind == "Deployment" and metadata.get("annotations") != before.get("annotations"):
        return True  # They are copied to the ReplicaSets.
    name = {"PodTemplate": "template"}.get(kind, "webhooks" if kind.endswith("WebhookConfiguration") else "spec")
    return new.get(name) != old.get(name)


def _without_metadata(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key != "metadata"}


def _custom_create(resource: Resource, obj: Obj) -> None:
    if "status" in resource.subresources:
        obj.pop("status", None)
    obj["metadata"]["generation"] = 1


def _custom_update(resource: Resource, new: Obj, old: Obj) -> None:
    ignored = {"metadata", "apiVersion", "kind"}
    if "status" in resource.subresources:
        _replace(new, old, "status")
        ignored.add("status")
    if {k: v for k, v in new.items() if k not in ignored} != {k: v for k, v in old.items() if k not in ignored}:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _pod(obj: Obj) -> None:
    obj["status"] = pods.initial_status(obj)
    pods.merge_label_keys(obj)


def _namespace(obj: Obj) -> None:
    finalizers = obj["spec"].setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    # Defaulting could not know a generated name.
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")


def _namespace_update(new: Obj, old: Obj) -> None:
    _replace(new["spec"], old["spec"], "finalizers")
    new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = new["metadata"]["name"]


def _job(obj: Obj) -> None:
    """A selector and labels that only this Job's pods have, unless the client brings its own."""
    spec, metadata = obj["spec"], obj["metadata"]
    if spec.get("manualSelector"):
        return
    labels = spec["template"]["metadata"].setdefault("labels", {})
    for prefix in ("", "batch.kubernetes.io/"):
        labels.setdefault(f"{prefix}job-name", metadata.get("name", ""))
        labels.setdefault(f"{prefix}controller-uid", metadata.get("uid", ""))
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault("batch.kubernetes.io/controller-uid", metadata.get("uid", ""))
    # The response is defaulted once more, and a Job without labels takes its template's.
    metadata.setdefault("labels", dict(labels))


def _daemon_set(obj: Obj) -> None:
    annotations = obj["metadata"].setdefault("annotations", {})
    given = annotations.get(_TEMPLATE_GENERATION, "")
    if not given.isdigit() or int(given) < 1:
        annotations[_TEMPLATE_GENERATION] = "1"


def _template_generation(new: Obj, old: Obj) -> None:
    stored = old["metadata"].get("annotations", {}).get(_TEMPLATE_GENERATION, "1")
    current = int(stored) if stored.isdigit() else 1
    if new["spec"]["template"] != old["spec"]["template"]:
        current += 1
    annotations = new["metadata"].setdefault("annotations", {})
    annotations[_TEMPLATE_GENERATION] = str(current)


def _custom_resource_definition(obj: Obj) -> None:
    apply_status = [item["name"] for item in obj["spec"].get("versions") or () if item.get("storage")]
    obj["status"] = {"storedVersions": apply_status}


def _certificate_request_update(new: Obj, old: Obj) -> None:
    _replace(new, old, "spec")


def _secret(obj: Obj) -> None:
    obj.pop("stringData", None)


_ON_CREATE: dict[str, Callable[[Obj], None]] = {
    "CustomResourceDefinition": _custom_resource_definition,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Namespace": _namespace,
    "Pod": _pod,
    "Secret": _secret,
}
_ON_UPDATE: dict[str, Callable[[Obj, Obj], None]] = {
    "CertificateSigningRequest": _certificate_request_update,
    "Namespace": _namespace_update,
    "Service": drop_type_dependent_fields,
}
