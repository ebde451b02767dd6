"""Fields of features that Kubernetes 1.34 has switched off by default: the API server drops them without a word.

Source: DropDisabledTemplateFields (pkg/api/pod/util.go) and the registry strategies' dropDisabledFields.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_PROJECTIONS = ("clusterTrustBundle", "podCertificate")
_TEMPLATE_KINDS = frozenset(
    {"DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet", "PodTemplate"}
)


def pod_spec_of(kind: str, obj: Obj) -> Obj | None:
    """The spec of the pods that an object is, or makes."""
    holder = obj
    if kind == "CronJob":
        holder = obj["spec"]["jobTemplate"]["spec"]["template"]
    elif kind == "PodTemplate":
        holder = obj["template"]
    elif kind in _TEMPLATE_KINDS:
        holder = obj["spec"].get("template") or {}
    elif kind != "Pod":
        return None
    spec: Obj | None = holder.get("spec")
    return spec


def drop_disabled(kind: str, obj: Obj) -> None:
    """Drop such fields from an object of a built-in kind, in place."""
    spec = pod_spec_of(kind, obj)
    if spec is not None:
        _pod(spec)
    if kind == "StatefulSet":
        (obj["spec"]["updateStrategy"].get("rollingUpdate") or {}).pop("maxUnavailable", None)
    elif kind == "HorizontalPodAutoscaler":
        for rules in (obj["spec"].get("behavior") or {}).values():
            (rules or {}).pop("tolerance", None)
    elif kind == "Lease":
        for name in ("strategy", "preferredHolder"):
            obj["spec"].pop(name, None)


def _pod(spec: Obj) -> None:
    spec.pop("hostnameOverride", None)  # HostnameOverride
    for volume in spec.get("volumes", ()):
        volume.pop("image", None)  # ImageVolume
        for source in (volume.get("projected") or {}).get("sources") or ():
            for name in _PROJECTIONS:  # ClusterTrustBundleProjection, PodCertificateRequest
                source.pop(name, None)
    for name, container in _containers(spec):
        container.pop("restartPolicyRules", None)  # ContainerRestartRules
        if name != "initContainers" or container.get("restartPolicy") != "Always":
            container.pop("restartPolicy", None)
        _container(container)


def _container(container: Obj) -> None:
    for variable in container.get("env", ()):
        (variable.get("valueFrom") or {}).pop("fileKeyRef", None)  # EnvFiles
    lifecycle = container.get("lifecycle")
    if lifecycle is not None and lifecycle.pop("stopSignal", None) is not None and not lifecycle:
        del container["lifecycle"]  # ContainerStopSignals


def _containers(spec: Obj) -> Iterator[tuple[str, Obj]]:
    for name in _CONTAINER_LISTS:
        for container in spec.get(name) or ():
            yield name, container
