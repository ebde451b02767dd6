"""What the API server fills in for a client: `apply_defaults` of every built-in kind.

Source: pkg/apis/*/v1/defaults.go of Kubernetes 1.34 with its default feature gates.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import codec, wire
from labctl.embedded.kinds.defaulting import pods, workloads
from labctl.embedded.kinds.resources import Resource


def apply_defaults(resource: Resource, obj: Obj) -> None:
    """Decode the object as the API server does and fill in its defaults, in place; idempotent.

    Objects of custom resources are left alone: their schema has their defaults.
    """
    struct = wire.struct_of(resource)
    if struct is None:
        return
    decoded = codec.round_trip(struct, obj)
    decoded["kind"], decoded["apiVersion"] = resource.kind, resource.api_version
    fill_in = _DEFAULTS.get(resource.kind)
    if fill_in is not None:
        fill_in(decoded)
    obj.clear()
    obj.update(decoded)


def reorder(resource: Resource, obj: Obj) -> None:
    """Put an object, after changes to it, into the field order and form the API server writes; in place."""
    struct = wire.struct_of(resource)
    if struct is not None:
        ordered = codec.round_trip(struct, obj)
        obj.clear()
        obj.update(ordered)


def _service(obj: Obj) -> None:
    spec: Obj = obj["spec"]
    kind = spec.setdefault("type", "ClusterIP")
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": config.get("timeoutSeconds", 10800)}}
    for port in spec.get("ports", ()):
        if port["targetPort"] in (0, ""):
            port["targetPort"] = port["port"]
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for entry in obj["status"]["loadBalancer"].get("ingress", ()):
            if entry.get("ip"):
                entry.setdefault("ipMode", "VIP")


def _secret(obj: Obj) -> None:
    # `stringData` is write only: its values overwrite those of `data`.
    written = obj.pop("stringData", None)
    if written:
        data = obj.setdefault("data", {})
        data.update({key: base64.b64encode(value.encode()).decode() for key, value in written.items()})
    obj.setdefault("type", "Opaque")


def _namespace(obj: Obj) -> None:
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    obj["status"].setdefault("phase", "Active")


def _node(obj: Obj) -> None:
    status = obj["status"]
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _endpoints(obj: Obj) -> None:
    for subset in obj.get("subsets", ()):
        for port in subset.get("ports", ()):
            port.setdefault("protocol", "TCP")


def _endpoint_slice(obj: Obj) -> None:
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _persistent_volume(obj: Obj) -> None:
    obj["status"].setdefault("phase", "Pending")
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    obj["spec"].setdefault("volumeMode", "Filesystem")
    host_path = obj["spec"].get("hostPath")
    if host_path is not None:
        host_path.setdefault("type", "")


def _persistent_volume_claim(obj: Obj) -> None:
    obj["status"].setdefault("phase", "Pending")
    obj["spec"].setdefault("volumeMode", "Filesystem")


def _limit_range(obj: Obj) -> None:
    for item in obj["spec"]["limits"] or ():
        if item["type"] != "Container":
            continue
        default = {**item.get("max", {}), **item.get("default", {})}
        request = {**item.get("min", {}), **default, **item.get("defaultRequest", {})}
        if default:
            item["default"] = default
        if request:
            item["defaultRequest"] = request


def _network_policy(obj: Obj) -> None:
    spec = obj["spec"]
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        for port in rule.get("ports", ()):
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _ingress_class(obj: Obj) -> None:
    parameters = obj["spec"].get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def _role_binding(obj: Obj) -> None:
    if not obj["roleRef"].get("apiGroup"):
        obj["roleRef"]["apiGroup"] = "rbac.authorization.k8s.io"
    for subject in obj.get("subjects", ()):
        if subject["kind"] in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _storage_class(obj: Obj) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def _csi_driver(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("attachRequired", True)
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        spec.setdefault(name, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec.setdefault("volumeLifecycleModes", ["Persistent"])


def _priority_class(obj: Obj) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _token_request(obj: Obj) -> None:
    if obj["spec"].get("expirationSeconds") is None:
        obj["spec"]["expirationSeconds"] = 3600


def _webhooks(obj: Obj) -> None:
    mutating = obj["kind"].startswith("Mutating")
    for webhook in obj.get("webhooks", ()):
        defaults: Obj = {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10}
        if mutating:
            defaults["reinvocationPolicy"] = "Never"
        for name, value in defaults.items():
            webhook.setdefault(name, value)
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        for rule in webhook.get("rules", ()):
            rule.setdefault("scope", "*")
        _service_reference(webhook["clientConfig"])


def _service_reference(holder: Obj) -> None:
    if holder.get("service") is not None:
        holder["service"].setdefault("port", 443)


def _admission_policy(obj: Obj) -> None:
    obj["spec"].setdefault("failurePolicy", "Fail")
    _match_resources(obj["spec"].get("matchConstraints"))


def _admission_policy_binding(obj: Obj) -> None:
    _match_resources(obj["spec"].get("matchResources"))


def _match_resources(match: Any) -> None:
    if match is None:
        return
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for rule in (*match.get("resourceRules", ()), *match.get("excludeResourceRules", ())):
        rule.setdefault("scope", "*")


def _custom_resource_definition(obj: Obj) -> None:
    spec = obj["spec"]
    names = spec["names"]
    kind = names["kind"]
    if not names.get("singular"):
        names["singular"] = kind.lower()
    if kind and not names.get("listKind"):
        names["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    _service_reference((conversion.get("webhook") or {}).get("clientConfig") or {})
    if not obj["status"].get("storedVersions"):
        obj["status"]["storedVersions"] = [v["name"] for v in spec["versions"] or () if v["storage"]] or None


def _api_service(obj: Obj) -> None:
    _service_reference(obj["spec"])


def _flow_schema(obj: Obj) -> None:
    if not obj["spec"].get("matchingPrecedence"):
        obj["spec"]["matchingPrecedence"] = 1000


def _replication_controller(obj: Obj) -> None:
    template = obj["spec"].get("template")
    if template is None:
        return
    pods.template(template)
    labels = template["metadata"].get("labels")
    if labels:
        obj["spec"].setdefault("selector", dict(labels))
        obj["metadata"].setdefault("labels", dict(labels))


_DEFAULTS: dict[str, Callable[[Obj], None]] = {
    "APIService": _api_service,
    "CSIDriver": _csi_driver,
    "ClusterRoleBinding": _role_binding,
    "CronJob": workloads.cron_job,
    "CustomResourceDefinition": _custom_resource_definition,
    "DaemonSet": workloads.daemon_set,
    "Deployment": workloads.deployment,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "FlowSchema": _flow_schema,
    "HorizontalPodAutoscaler": workloads.horizontal_pod_autoscaler,
    "IngressClass": _ingress_class,
    "Job": workloads.job,
    "LimitRange": _limit_range,
    "MutatingWebhookConfiguration": _webhooks,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "Node": _node,
    "PersistentVolume": _persistent_volume,
    "PersistentVolumeClaim": _persistent_volume_claim,
    "Pod": pods.pod,
    "PodTemplate": lambda obj: pods.template(obj["template"]),
    "PriorityClass": _priority_class,
    "ReplicaSet": workloads.replica_set,
    "ReplicationController": _replication_controller,
    "RoleBinding": _role_binding,
    "Secret": _secret,
    "Service": _service,
    "StatefulSet": workloads.stateful_set,
    "StorageClass": _storage_class,
    "TokenRequest": _token_request,
    "ValidatingAdmissionPolicy": _admission_policy,
    "ValidatingAdmissionPolicyBinding": _admission_policy_binding,
    "ValidatingWebhookConfiguration": _webhooks,
}
