"""The admission plugins a k3s has on: what they fill in on creation, and what they refuse.

NamespaceLifecycle, ServiceAccount, Priority, DefaultTolerationSeconds, DefaultStorageClass, DefaultIngressClass and
StorageObjectInUseProtection; LimitRanger and ResourceQuota are in `limits`. Source: plugin/pkg/admission.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.kinds import limits
from labctl.embedded.kinds.field import quote, refused
from labctl.embedded.kinds.resources import Resource

TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_VOLUME = "kube-api-access-"  # noqa: S105 - a name
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_IMMORTAL_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_DEFAULT_STORAGE_CLASS = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_INGRESS_CLASS = "ingressclass.kubernetes.io/is-default-class"
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def random_suffix(source: random.Random) -> str:
    """Five letters and digits that make no words, as Kubernetes appends to generated names."""
    return "".join(source.choice(_NAME_LETTERS) for _ in range(5))


def admit_create(resource: Resource, obj: Obj, state: Clientset, source: random.Random) -> None:
    """Run the plugins on a new object, in place.

    Raises:
        ApiError: 403 when a plugin refuses, 404 when the namespace does not exist.
    """
    _namespace_lifecycle(resource, obj, state)
    admit = _ON_CREATE.get(resource.key)
    if admit is not None:
        admit(resource, obj, state, source)


def admit_delete(resource: Resource, name: str) -> None:
    """Refuse to delete the namespaces that must live on.

    Raises:
        ApiError: 403.
    """
    if resource.key == "namespaces" and name in _IMMORTAL_NAMESPACES[:3]:
        raise refused(resource, name, "this namespace may not be deleted")


def _namespace_lifecycle(resource: Resource, obj: Obj, state: Clientset) -> None:
    if not resource.namespaced:
        return
    name: str = obj["metadata"].get("namespace", "")
    namespace = state.get("namespaces", "", name)
    if namespace is None:
        if name in _IMMORTAL_NAMESPACES:  # made when the server starts, maybe a moment later
            return
        raise ApiError(404, "NotFound", f"namespaces {quote(name)} not found", {"name": name, "kind": "namespaces"})
    if namespace["metadata"].get("deletionTimestamp"):
        reason = f"unable to create new content in namespace {name} because it is being terminated"
        error = refused(resource, _named(obj), reason)
        cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
        error.details["causes"] = [{**cause, "message": f"namespace {name} is being terminated"}]
        raise error


def _named(obj: Obj) -> str:
    """What a new object is called in a refusal: names are generated after these plugins have run."""
    metadata = obj["metadata"]
    return str(metadata.get("generateName") or metadata.get("name", ""))


def _pod(resource: Resource, pod: Obj, state: Clientset, source: random.Random) -> None:
    _service_account(resource, pod, state, source)
    _priority(resource, pod, state)
    limits.fill_in(pod, state)
    _tolerations(pod)


def _service_account(resource: Resource, pod: Obj, state: Clientset, source: random.Random) -> None:
    spec: Obj = pod["spec"]
    namespace, name = pod["metadata"].get("namespace", ""), spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = state.get("serviceaccounts", namespace, name)
    if account is None and name != "default":
        reason = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise refused(resource, _named(pod), reason)
    # The real plugin waits for the controller that makes `default`; it would be an empty one.
    account = account or {}
    automount = spec.get("automountServiceAccountToken")
    if automount is None:
        automount = account.get("automountServiceAccountToken")
    if automount is not False:
        _mount_token(spec, source)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": secret.get("name", "")} for secret in account["imagePullSecrets"]]


def _mount_token(spec: Obj, source: random.Random) -> None:
    names = [volume["name"] for volume in spec.get("volumes", ())]
    known = next((name for name in names if name.startswith(_TOKEN_VOLUME)), "")
    volume = known or _TOKEN_VOLUME + random_suffix(source)
    mounted = False
    for container in (*spec.get("initContainers", ()), *(spec.get("containers") or ())):
        mounts = container.setdefault("volumeMounts", [])
        if all(mount.get("mountPath") != TOKEN_MOUNT_PATH for mount in mounts):
            mounts.append({"name": volume, "readOnly": True, "mountPath": TOKEN_MOUNT_PATH})
            mounted = True
    if mounted and not known:
        spec.setdefault("volumes", []).append({"name": volume, "projected": _token_source()})


def _token_source() -> Obj:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 420,
    }


def _priority(resource: Resource, pod: Obj, state: Clientset) -> None:
    spec: Obj = pod["spec"]
    name: str = spec.get("priorityClassName", "")
    found = _priority_class(state, name)
    if found is None:
        reason = f"no PriorityClass with name {name} was found"
        raise refused(resource, _named(pod), reason)
    if found.get("metadata"):
        spec["priorityClassName"] = found["metadata"]["name"]
    computed = {"priority": found["value"], "preemptionPolicy": found.get("preemptionPolicy", "PreemptLowerPriority")}
    for field, what in (
        ("priority", "integer value of priority"),
        ("preemptionPolicy", "string value of PreemptionPolicy"),
    ):
        given, wanted = spec.get(field), computed[field]
        if given is not None and given != wanted:
            reason = (
                f"the {what} ({given}) must not be provided in pod spec; "
                f"priority admission controller computed {wanted} from the given PriorityClass name"
            )
            raise refused(resource, _named(pod), reason)
        spec[field] = wanted


def _priority_class(state: Clientset, name: str) -> Obj | None:
    if not name:
        classes = [item for item in state.list("priorityclasses.scheduling.k8s.io") if item.get("globalDefault")]
        return min(classes, key=lambda item: int(item["value"])) if classes else {"value": 0}
    found = state.get("priorityclasses.scheduling.k8s.io", "", name)
    if found is None and name in _SYSTEM_PRIORITIES:
        return {"value": _SYSTEM_PRIORITIES[name]}
    return found


def _tolerations(pod: Obj) -> None:
    """Five minutes on a node that is not ready or not reachable, unless the pod says otherwise."""
    tolerations: list[Obj] = pod["spec"].setdefault("tolerations", [])
    for key in _TOLERATED:
        if not any(
            item.get("key", "") in (key, "") and item.get("effect", "") in ("NoExecute", "") for item in tolerations
        ):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def _claim(resource: Resource, claim: Obj, state: Clientset, source: random.Random) -> None:
    _finalizer(claim, "kubernetes.io/pvc-protection")
    legacy = "volume.beta.kubernetes.io/storage-class"
    if "storageClassName" in claim["spec"] or legacy in claim["metadata"].get("annotations", {}):
        return
    name = _newest_default(state.list("storageclasses.storage.k8s.io"), _DEFAULT_STORAGE_CLASS)
    if name:
        claim["spec"]["storageClassName"] = name


def _volume(resource: Resource, volume: Obj, state: Clientset, source: random.Random) -> None:
    _finalizer(volume, "kubernetes.io/pv-protection")


def _ingress(resource: Resource, ingress: Obj, state: Clientset, source: random.Random) -> None:
    legacy = "kubernetes.io/ingress.class"
    if "ingressClassName" in ingress["spec"] or legacy in ingress["metadata"].get("annotations", {}):
        return
    name = _newest_default(state.list("ingressclasses.networking.k8s.io"), _DEFAULT_INGRESS_CLASS)
    if name:
        ingress["spec"]["ingressClassName"] = name


def _priority_class_created(resource: Resource, obj: Obj, state: Clientset, source: random.Random) -> None:
    if not obj.get("globalDefault"):
        return
    for other in state.list(resource.key):
        name = other["metadata"]["name"]
        if other.get("globalDefault") and name != obj["metadata"].get("name"):
            reason = f"PriorityClass {name} is already marked as default. Only one default can exist"
            raise refused(resource, obj["metadata"].get("name", ""), reason)


def _finalizer(obj: Obj, name: str) -> None:
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if name not in finalizers:
        finalizers.append(name)


def _newest_default(classes: list[Obj], annotation: str) -> str:
    """Of several default classes the youngest counts, of equally old ones the first by name."""
    defaults = [item for item in classes if item["metadata"].get("annotations", {}).get(annotation) == "true"]
    if not defaults:
        return ""
    newest = max(item["metadata"].get("creationTimestamp", "") for item in defaults)
    return min(str(i["metadata"]["name"]) for i in defaults if i["metadata"].get("creationTimestamp", "") == newest)


_Plugin = Callable[[Resource, Obj, Clientset, random.Random], Any]

_ON_CREATE: dict[str, _Plugin] = {
    "pods": _pod,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "ingresses.networking.k8s.io": _ingress,
    "priorityclasses.scheduling.k8s.io": _priority_class_created,
}
