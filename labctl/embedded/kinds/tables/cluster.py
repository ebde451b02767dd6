"""Cells of nodes, namespaces, configuration, storage, access rules and events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human

_ROLE_LABEL = "node-role.kubernetes.io/"
_ACCESS_MODES = (
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
)


def _node(obj: Obj, now: datetime) -> list[Any]:
    status = obj.get("status", {})
    info = status.get("nodeInfo", {})
    return [
        obj["metadata"]["name"],
        _node_status(obj),
        ",".join(_roles(obj["metadata"].get("labels", {}))) or "<none>",
        _age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        *(info.get(name) or "<unknown>" for name in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    ]


def _node_status(obj: Obj) -> str:
    ready = next((c["status"] for c in obj.get("status", {}).get("conditions", ()) if c["type"] == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if obj.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(labels: Obj) -> list[str]:
    roles = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)}
    return sorted((roles | {labels.get("kubernetes.io/role", "")}) - {""})


def _address(status: Obj, kind: str) -> str:
    return next((a["address"] for a in status.get("addresses", ()) if a["type"] == kind), "<none>")


def _namespace(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("status", {}).get("phase", ""), _age(obj, now)]


def _config_map(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), _age(obj, now)]


def _secret(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or ()), _age(obj, now)]


def _service_account(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("secrets", ())), _age(obj, now)]


def _event(obj: Obj, now: datetime) -> list[Any]:
    target = obj.get("involvedObject") or obj.get("regarding") or {}
    event_time, series = obj.get("eventTime"), obj.get("series")
    first = _moment(obj, "firstTimestamp", "deprecatedFirstTimestamp") or event_time
    last = _moment(obj, "lastTimestamp", "deprecatedLastTimestamp") or first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if series:
        last, count = series.get("lastObservedTime"), series.get("count", 0)
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    instance = source.get("host") or obj.get("reportingInstance", "")
    kind = target.get("kind", "").lower()
    return [
        human.age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{target['name']}" if target.get("name") else kind,
        target.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        (obj.get("message") or obj.get("note") or "").strip(),
        human.age(first, now),
        count,
        _name(obj),
    ]


def _moment(obj: Obj, name: str, other: str) -> str | None:
    return obj.get(name) or obj.get(other)


def _role_binding(obj: Obj, now: datetime) -> list[Any]:
    reference, subjects = obj["roleRef"], obj.get("subjects") or ()
    accounts = [
        f"{s.get('namespace', '')}/{s['name']}" if s.get("namespace") else f"/{s['name']}"
        for s in subjects
        if s["kind"] == "ServiceAccount"
    ]
    return [
        _name(obj),
        f"{reference['kind']}/{reference['name']}",
        _age(obj, now),
        ", ".join(s["name"] for s in subjects if s["kind"] == "User"),
        ", ".join(s["name"] for s in subjects if s["kind"] == "Group"),
        ", ".join(accounts),
    ]


def _resource_quota(obj: Obj, now: datetime) -> list[Any]:
    status = obj.get("status", {})
    hard, used = status.get("hard", {}), status.get("used", {})
    shown = [(name, f"{name}: {used.get(name, '0')}/{hard[name]}") for name in sorted(hard)]
    requests = ", ".join(text for name, text in shown if not name.startswith("limits."))
    limits = ", ".join(text for name, text in shown if name.startswith("limits."))
    return [_name(obj), requests, limits, _age(obj, now)]


def _persistent_volume(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    claim = spec.get("claimRef")
    return [
        _name(obj),
        spec.get("capacity", {}).get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim is not None else "",
        _storage_class_name(obj),
        spec.get("volumeAttributesClassName", "<unset>"),
        status.get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


def _persistent_volume_claim(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    volume = spec.get("volumeName", "")
    return [
        _name(obj),
        _phase(obj),
        volume,
        status.get("capacity", {}).get("storage", "0") if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        _storage_class_name(obj),
        spec.get("volumeAttributesClassName", "<unset>"),
        _age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


def _phase(obj: Obj) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else obj.get("status", {}).get("phase", "")


def _modes(modes: Any) -> str:
    return ",".join(short for mode, short in _ACCESS_MODES if mode in (modes or ()))


def _storage_class_name(obj: Obj) -> str:
    legacy = obj["metadata"].get("annotations", {}).get("volume.beta.kubernetes.io/storage-class")
    return str(legacy if legacy is not None else obj["spec"].get("storageClassName", ""))


def _storage_class(obj: Obj, now: datetime) -> list[Any]:
    annotations = obj["metadata"].get("annotations", {})
    names = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    default = any(annotations.get(name) == "true" for name in names)
    return [
        f"{_name(obj)} (default)" if default else _name(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        _age(obj, now),
    ]


def _volume_attachment(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        _name(obj),
        spec.get("attacher", ""),
        spec.get("source", {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        obj.get("status", {}).get("attached", False),
        _age(obj, now),
    ]


def _csi_driver(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    tokens = spec.get("tokenRequests")
    return [
        _name(obj),
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        "<unset>" if tokens is None else ",".join(token.get("audience", "") for token in tokens),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes", ())) or "<none>",
        _age(obj, now),
    ]


def _csi_storage_capacity(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("storageClassName", ""), obj.get("capacity", "<unset>")]


def _priority_class(obj: Obj, now: datetime) -> list[Any]:
    policy = obj.get("preemptionPolicy", "")
    return [_name(obj), obj.get("value", 0), obj.get("globalDefault", False), _age(obj, now), policy]


def _certificate_request(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    kinds = {condition["type"] for condition in status.get("conditions", ())}
    words = ["Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"]
    words += ["Failed"] if "Failed" in kinds else []
    words += ["Issued"] if status.get("certificate") else []
    seconds = spec.get("expirationSeconds")
    return [
        _name(obj),
        _age(obj, now),
        spec.get("signerName") or "<none>",
        spec.get("username", ""),
        "<none>" if seconds is None else human.duration(timedelta(seconds=seconds)),
        ",".join(words),
    ]


def _api_service(obj: Obj, now: datetime) -> list[Any]:
    service = obj["spec"].get("service")
    available = next((c for c in obj.get("status", {}).get("conditions", ()) if c["type"] == "Available"), None)
    state = "Unknown" if available is None else available["status"]
    if available is not None and state != "True":
        state = f"{state} ({available.get('reason', '')})"
    where = "Local" if service is None else f"{service['namespace']}/{service['name']}"
    return [_name(obj), where, state, _age(obj, now)]


def _webhooks(obj: Obj, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("webhooks") or ()), _age(obj, now)]


def _admission_policy(obj: Obj, now: datetime) -> list[Any]:
    kind = obj["spec"].get("paramKind")
    text = "<unset>" if kind is None else f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}"
    return [_name(obj), len(obj["spec"].get("validations") or ()), text, _age(obj, now)]


def _admission_policy_binding(obj: Obj, now: datetime) -> list[Any]:
    reference = obj["spec"].get("paramRef") or {}
    text = f"{reference.get('namespace') or '*'}/{reference['name']}" if reference.get("name") else "<unset>"
    return [_name(obj), obj["spec"].get("policyName", ""), text, _age(obj, now)]


def _flow_schema(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    dangling = next((c["status"] for c in obj.get("status", {}).get("conditions", ()) if c["type"] == "Dangling"), "?")
    return [
        _name(obj),
        spec["priorityLevelConfiguration"]["name"],
        spec.get("matchingPrecedence", 0),
        (spec.get("distinguisherMethod") or {}).get("type", "<none>"),
        _age(obj, now),
        dangling,
    ]


def _priority_level(obj: Obj, now: datetime) -> list[Any]:
    limited = obj["spec"].get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    shares = limited.get("nominalConcurrencyShares", "<none>")
    queues = [queuing.get(name, "<none>") for name in ("queues", "handSize", "queueLengthLimit")]
    return [_name(obj), obj["spec"].get("type", ""), shares, *queues, _age(obj, now)]


def _component_status(obj: Obj, now: datetime) -> list[Any]:
    for condition in obj.get("conditions", ()):
        if condition["type"] == "Healthy":
            state = "Healthy" if condition["status"] == "True" else "Unhealthy"
            return [_name(obj), state, condition.get("message", ""), condition.get("error", "")]
    return [_name(obj), "Unknown", "", ""]


def _field(path: str) -> Callable[[Obj, datetime], list[Any]]:
    """Cells of a kind with one column between name and age."""

    def cells(obj: Obj, now: datetime) -> list[Any]:
        value: Any = obj
        for name in path.split("."):
            value = (value or {}).get(name)
        return [_name(obj), len(value) if isinstance(value, list) else value or "", _age(obj, now)]

    return cells


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Obj, now: datetime) -> str:
    return human.age(obj["metadata"].get("creationTimestamp"), now)


CELLS: dict[str, Callable[[Obj, datetime], list[Any]]] = {
    "APIService": _api_service,
    "CSIDriver": _csi_driver,
    "CSINode": _field("spec.drivers"),
    "CSIStorageCapacity": _csi_storage_capacity,
    "CertificateSigningRequest": _certificate_request,
    "ClusterRoleBinding": _role_binding,
    "ComponentStatus": _component_status,
    "ConfigMap": _config_map,
    "Event": _event,
    "FlowSchema": _flow_schema,
    "Lease": _field("spec.holderIdentity"),
    "MutatingWebhookConfiguration": _webhooks,
    "Namespace": _namespace,
    "Node": _node,
    "PersistentVolume": _persistent_volume,
    "PersistentVolumeClaim": _persistent_volume_claim,
    "PriorityClass": _priority_class,
    "PriorityLevelConfiguration": _priority_level,
    "ResourceQuota": _resource_quota,
    "RoleBinding": _role_binding,
    "RuntimeClass": _field("handler"),
    "Secret": _secret,
    "ServiceAccount": _service_account,
    "StorageClass": _storage_class,
    "ValidatingAdmissionPolicy": _admission_policy,
    "ValidatingAdmissionPolicyBinding": _admission_policy_binding,
    "ValidatingWebhookConfiguration": _webhooks,
    "VolumeAttachment": _volume_attachment,
    "VolumeAttributesClass": _field("driverName"),
}
