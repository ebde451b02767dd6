"""The resources the API serves: what discovery lists, and how a kind, a plural or a short name is found.

Source: discovery of a k3s v1.34.4 (`/api/v1`, `/apis/*`), without the resources that only its own components use.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CREATE = ("create",)
_STATUS_VERBS = ("get", "patch", "update")
_PROXY_VERBS = ("create", "delete", "get", "patch", "update")


def storage_version_hash(group: str, version: str, kind: str) -> str:
    """The `storageVersionHash` of discovery: the first 8 bytes of SHA-256 over `group/version/kind`."""
    digest = hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one API group and version.

    Attributes:
        group: API group; empty for core.
        version: API version, for example `v1`.
        plural: Resource name as in the URL path.
        singular: Singular name; empty where discovery has none.
        kind: Kind of its objects.
        namespaced: Whether objects live in namespaces.
        short_names: What kubectl accepts instead of the plural.
        categories: Groups of resources, for example `all`.
        verbs: Verbs that the resource itself answers, sorted.
        subresources: Names of the subresources, sorted.
        storage_version_hash: As discovery reports it; empty for what is not stored.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    subresources: tuple[str, ...] = ()
    storage_version_hash: str = ""

    @property
    def key(self) -> str:
        """`plural`, or `plural.group`: the name the clientset and error messages use."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The objects' `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def gvk(self) -> tuple[str, str, str]:
        """Group, version and kind."""
        return self.group, self.version, self.kind

    @property
    def stored(self) -> bool:
        """Whether objects of it can be got again (reviews and bindings cannot)."""
        return "get" in self.verbs


@dataclass(frozen=True, slots=True)
class Subresource:
    """How discovery describes a subresource: its body's kind (with group and version when they differ) and verbs."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


def _scale(name: str = "scale") -> Subresource:
    return Subresource(name, "Scale", _STATUS_VERBS, "autoscaling", "v1")


_SPECIAL_SUBRESOURCES: dict[tuple[str, str], Subresource] = {
    ("namespaces", "finalize"): Subresource("finalize", "Namespace", ("update",)),
    ("nodes", "proxy"): Subresource("proxy", "NodeProxyOptions", _PROXY_VERBS),
    ("pods", "attach"): Subresource("attach", "PodAttachOptions", ("create", "get")),
    ("pods", "binding"): Subresource("binding", "Binding", _CREATE),
    ("pods", "eviction"): Subresource("eviction", "Eviction", _CREATE, "policy", "v1"),
    ("pods", "exec"): Subresource("exec", "PodExecOptions", ("create", "get")),
    ("pods", "log"): Subresource("log", "Pod", ("get",)),
    ("pods", "portforward"): Subresource("portforward", "PodPortForwardOptions", ("create", "get")),
    ("pods", "proxy"): Subresource("proxy", "PodProxyOptions", _PROXY_VERBS),
    ("serviceaccounts", "token"): Subresource("token", "TokenRequest", _CREATE, "authentication.k8s.io", "v1"),
    ("services", "proxy"): Subresource("proxy", "ServiceProxyOptions", _PROXY_VERBS),
}


def subresource(resource: Resource, name: str) -> Subresource | None:
    """Discovery's description of one subresource; None when the resource has no such subresource."""
    if name not in resource.subresources:
        return None
    if name == "scale":
        return _scale()
    return _SPECIAL_SUBRESOURCES.get((resource.key, name)) or Subresource(name, resource.kind, _STATUS_VERBS)


def _group(group: str, *rows: str, version: str = "v1") -> Iterator[Resource]:
    """Resources of a group, a row each: `plural Kind [options]`.

    Options: `cluster` (not namespaced), `short=a,b`, `in=category`, `sub=a,b` (subresources), `create` (create only),
    `verbs=a,b`.
    """
    for row in rows:
        plural, kind, *words = row.split()
        options = dict(word.partition("=")[::2] for word in words)
        verbs: tuple[str, ...] = _CREATE if "create" in options else _ALL_VERBS
        if options.get("verbs"):
            verbs = tuple(options["verbs"].split(","))
        yield Resource(
            group=group,
            version=version,
            plural=plural,
            singular=kind.lower(),
            kind=kind,
            namespaced="cluster" not in options,
            short_names=_names(options.get("short")),
            categories=_names(options.get("in")),
            verbs=verbs,
            subresources=_names(options.get("sub")),
            storage_version_hash=storage_version_hash(*_HASHED_AS.get((group, kind), (group, version, kind)))
            if "get" in verbs and kind != "ComponentStatus"
            else "",
        )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


# Stored in another group or version than it is served in.
_HASHED_AS = {
    ("events.k8s.io", "Event"): ("", "v1", "Event"),
    ("autoscaling", "HorizontalPodAutoscaler"): ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("storage.k8s.io", "VolumeAttributesClass"): ("storage.k8s.io", "v1beta1", "VolumeAttributesClass"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "apiextensions.k8s.io",
        "v1beta1",
        "CustomResourceDefinition",
    ),
}

_CORE = _group(
    "",
    "bindings Binding create",
    "componentstatuses ComponentStatus cluster short=cs verbs=get,list",
    "configmaps ConfigMap short=cm",
    "endpoints Endpoints short=ep",
    "events Event short=ev",
    "limitranges LimitRange short=limits",
    "namespaces Namespace cluster short=ns sub=finalize,status verbs=create,delete,get,list,patch,update,watch",
    "nodes Node cluster short=no sub=proxy,status",
    "persistentvolumeclaims PersistentVolumeClaim short=pvc sub=status",
    "persistentvolumes PersistentVolume cluster short=pv sub=status",
    "pods Pod short=po in=all sub=attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status",
    "podtemplates PodTemplate",
    "replicationcontrollers ReplicationController short=rc in=all sub=scale,status",
    "resourcequotas ResourceQuota short=quota sub=status",
    "secrets Secret",
    "serviceaccounts ServiceAccount short=sa sub=token",
    "services Service short=svc in=all sub=proxy,status",
)

_APPS = _group(
    "apps",
    "controllerrevisions ControllerRevision",
    "daemonsets DaemonSet short=ds in=all sub=status",
    "deployments Deployment short=deploy in=all sub=scale,status",
    "replicasets ReplicaSet short=rs in=all sub=scale,status",
    "statefulsets StatefulSet short=sts in=all sub=scale,status",
)

_AUTOSCALING_ROW = "horizontalpodautoscalers HorizontalPodAutoscaler short=hpa in=all sub=status"

# In the order in which the API server lists its groups.
BUILTIN: tuple[Resource, ...] = (
    *_CORE,
    *_group("apiregistration.k8s.io", "apiservices APIService cluster in=api-extensions sub=status"),
    *_APPS,
    *_group("events.k8s.io", "events Event short=ev"),
    *_group(
        "authentication.k8s.io",
        "selfsubjectreviews SelfSubjectReview cluster create",
        "tokenreviews TokenReview cluster create",
    ),
    *_group(
        "authorization.k8s.io",
        "localsubjectaccessreviews LocalSubjectAccessReview create",
        "selfsubjectaccessreviews SelfSubjectAccessReview cluster create",
        "selfsubjectrulesreviews SelfSubjectRulesReview cluster create",
        "subjectaccessreviews SubjectAccessReview cluster create",
    ),
    *_group("autoscaling", _AUTOSCALING_ROW, version="v2"),
    *_group("autoscaling", _AUTOSCALING_ROW),
    *_group("batch", "cronjobs CronJob short=cj in=all sub=status", "jobs Job in=all sub=status"),
    *_group(
        "certificates.k8s.io",
        "certificatesigningrequests CertificateSigningRequest cluster short=csr sub=approval,status",
    ),
    *_group(
        "networking.k8s.io",
        "ingressclasses IngressClass cluster",
        "ingresses Ingress short=ing sub=status",
        "ipaddresses IPAddress cluster short=ip",
        "networkpolicies NetworkPolicy short=netpol",
        "servicecidrs ServiceCIDR cluster sub=status",
    ),
    *_group("policy", "poddisruptionbudgets PodDisruptionBudget short=pdb sub=status"),
    *_group(
        "rbac.authorization.k8s.io",
        "clusterrolebindings ClusterRoleBinding cluster",
        "clusterroles ClusterRole cluster",
        "rolebindings RoleBinding",
        "roles Role",
    ),
    *_group(
        "storage.k8s.io",
        "csidrivers CSIDriver cluster",
        "csinodes CSINode cluster",
        "csistoragecapacities CSIStorageCapacity",
        "storageclasses StorageClass cluster short=sc",
        "volumeattachments VolumeAttachment cluster sub=status",
        "volumeattributesclasses VolumeAttributesClass cluster short=vac",
    ),
    *_group(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations MutatingWebhookConfiguration cluster in=api-extensions",
        "validatingadmissionpolicies ValidatingAdmissionPolicy cluster in=api-extensions sub=status",
        "validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding cluster in=api-extensions",
        "validatingwebhookconfigurations ValidatingWebhookConfiguration cluster in=api-extensions",
    ),
    *_group(
        "apiextensions.k8s.io",
        "customresourcedefinitions CustomResourceDefinition cluster short=crd,crds in=api-extensions sub=status",
    ),
    *_group("scheduling.k8s.io", "priorityclasses PriorityClass cluster short=pc"),
    *_group("coordination.k8s.io", "leases Lease"),
    *_group("node.k8s.io", "runtimeclasses RuntimeClass cluster"),
    *_group("discovery.k8s.io", "endpointslices EndpointSlice"),
    *_group(
        "flowcontrol.apiserver.k8s.io",
        "flowschemas FlowSchema cluster sub=status",
        "prioritylevelconfigurations PriorityLevelConfiguration cluster sub=status",
    ),
)
"""Every built-in resource. Two groups serve events from one storage (`storage_key`); autoscaling is stored as v2."""


@cache
def _by_key() -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for resource in BUILTIN:
        found.setdefault(resource.key, resource)
    return found


@cache
def _by_gvk() -> dict[tuple[str, str, str], Resource]:
    return {resource.gvk: resource for resource in BUILTIN}


def find(key: str) -> Resource | None:
    """The built-in resource named `plural` or `plural.group`, in its preferred version."""
    return _by_key().get(key)


def find_kind(api_version: str, kind: str) -> Resource | None:
    """The built-in resource of an object's apiVersion and kind."""
    group, _, version = api_version.rpartition("/")
    return _by_gvk().get((group, version, kind))


def storage_key(resource: Resource) -> str:
    """Key under which objects are stored: `events.k8s.io` events are the core ones."""
    return "events" if resource.kind == "Event" and resource.plural == "events" else resource.key
