"""What makes an object invalid, in the API server's words.

Source: pkg/apis/*/validation of Kubernetes 1.34 with its default feature gates. Every kind has a rule that yields its
faults; metadata comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import wire
from labctl.embedded.kinds.field import Cause, invalid
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.validation import (
    authorization,
    autoscaling,
    claims,
    cluster,
    configuration,
    cronjobs,
    definitions,
    endpoints,
    events,
    ingresses,
    jobs,
    networks,
    pods,
    quotas,
    services,
    webhooks,
    workloads,
)
from labctl.embedded.kinds.validation.formats import (
    Check,
    config_key,
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    path_segment,
)
from labctl.embedded.kinds.validation.meta import object_meta, object_meta_update

__all__ = ["Cause", "invalid", "validate"]

Rule = Callable[[Obj, Obj | None], Iterable[Cause]]


def validate(resource: Resource, obj: Obj, old: Obj | None) -> list[Cause]:
    """All faults of a new object, or of a change of `old`; both defaulted and prepared by the strategy.

    Args:
        resource: The resource, built in or custom; of custom ones only the metadata is looked at.
        obj: The new object, with name, namespace and uid.
        old: What is stored, None when the object is created.
    """
    metadata = obj["metadata"]
    if old is None:
        causes = object_meta(metadata, namespaced=resource.namespaced, name_check=_name_check(resource, obj))
    else:
        causes = object_meta_update(metadata, old["metadata"])
    rule = _RULES.get(f"{resource.api_version}/{resource.kind}") if wire.struct_of(resource) is not None else None
    if rule is not None and (old is None or _changed(obj, old)):
        causes += rule(obj, old)
    return causes


def _changed(obj: Obj, old: Obj) -> bool:
    """Whether more than the status changes; the rest has been found valid before."""
    if obj["metadata"].get("annotations") != old["metadata"].get("annotations"):
        return True
    ignored = {"metadata", "status"}
    return any(obj.get(name) != old.get(name) for name in (obj.keys() | old.keys()) - ignored)


def _name_check(resource: Resource, obj: Obj) -> Check:
    if wire.struct_of(resource) is not None:
        if resource.kind == "CustomResourceDefinition":
            return lambda name: definitions.definition_name(obj, name)
        if resource.kind == "APIService":
            return lambda name: path_segment(name) or cluster.api_service_name(obj, name)
        return _NAMES.get(resource.kind, dns1123_subdomain)
    return dns1123_subdomain


_NAMES: dict[str, Check] = {
    "CertificateSigningRequest": path_segment,
    "ClusterRole": path_segment,
    "ClusterRoleBinding": path_segment,
    "Event": path_segment,
    "IPAddress": networks.address_name,
    "LeaseCandidate": config_key,
    "Namespace": dns1123_label,
    "PodDisruptionBudget": path_segment,
    "Role": path_segment,
    "RoleBinding": path_segment,
    "Service": dns1035_label,
    "StatefulSet": dns1123_label,
}
_RULES: dict[str, Rule] = {
    "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration": webhooks.configuration,
    "admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration": webhooks.configuration,
    "apiextensions.k8s.io/v1/CustomResourceDefinition": definitions.definition,
    "apiregistration.k8s.io/v1/APIService": cluster.api_service,
    "apps/v1/ControllerRevision": workloads.controller_revision,
    "apps/v1/DaemonSet": workloads.daemon_set,
    "apps/v1/Deployment": workloads.deployment,
    "apps/v1/ReplicaSet": workloads.replica_set,
    "apps/v1/StatefulSet": workloads.stateful_set,
    "autoscaling/v2/HorizontalPodAutoscaler": autoscaling.autoscaler,
    "batch/v1/CronJob": cronjobs.cron_job,
    "batch/v1/Job": jobs.job,
    "coordination.k8s.io/v1/Lease": cluster.lease,
    "discovery.k8s.io/v1/EndpointSlice": endpoints.endpoint_slice,
    "events.k8s.io/v1/Event": events.new_event,
    "networking.k8s.io/v1/IPAddress": networks.ip_address,
    "networking.k8s.io/v1/Ingress": ingresses.ingress,
    "networking.k8s.io/v1/IngressClass": ingresses.ingress_class,
    "networking.k8s.io/v1/NetworkPolicy": networks.network_policy,
    "networking.k8s.io/v1/ServiceCIDR": networks.service_cidr,
    "node.k8s.io/v1/RuntimeClass": cluster.runtime_class,
    "policy/v1/PodDisruptionBudget": cluster.disruption_budget,
    "rbac.authorization.k8s.io/v1/ClusterRole": authorization.cluster_role,
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": authorization.cluster_role_binding,
    "rbac.authorization.k8s.io/v1/Role": authorization.role,
    "rbac.authorization.k8s.io/v1/RoleBinding": authorization.role_binding,
    "scheduling.k8s.io/v1/PriorityClass": cluster.priority_class,
    "storage.k8s.io/v1/StorageClass": claims.storage_class,
    "v1/ConfigMap": configuration.config_map,
    "v1/Endpoints": endpoints.endpoints,
    "v1/Event": events.core_event,
    "v1/LimitRange": quotas.limit_range,
    "v1/Namespace": cluster.namespace,
    "v1/Node": cluster.node,
    "v1/PersistentVolume": claims.volume,
    "v1/PersistentVolumeClaim": claims.claim,
    "v1/Pod": pods.pod,
    "v1/PodTemplate": workloads.pod_template,
    "v1/ReplicationController": workloads.replication_controller,
    "v1/ResourceQuota": quotas.resource_quota,
    "v1/Secret": configuration.secret,
    "v1/Service": services.service,
}
