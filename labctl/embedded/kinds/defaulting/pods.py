"""Defaults of pods and pod templates (`SetDefaults_Pod`, `SetDefaults_PodSpec` and those of their parts)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import images, quantity

DEFAULT_MODE = 0o644
_POD_LEVEL_RESOURCES = ("cpu", "memory")


def pod(obj: Obj) -> None:
    """Defaults of a Pod: those of a template, and some that only a real pod gets."""
    spec: Obj = obj["spec"]
    pod_spec(spec)
    for container in (*(spec.get("containers") or ()), *spec.get("initContainers", ())):
        resources = container["resources"]
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                port.setdefault("hostPort", port["containerPort"])
    if spec.get("resources") is not None:
        _pod_resources(spec)
    spec.setdefault("enableServiceLinks", True)


def template(obj: Obj) -> None:
    """Defaults of a pod template."""
    pod_spec(obj["spec"])


def pod_spec(spec: Obj) -> None:
    """Defaults of a pod's spec, wherever it stands."""
    for name, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        spec.setdefault(name, value)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    spec.setdefault("securityContext", {})
    for container in containers(spec):
        _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)
    # The two names of one field are kept equal.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def containers(spec: Obj) -> Iterator[Obj]:
    """All containers of a pod's spec: init, regular and ephemeral."""
    for name in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(name) or ()


def _container(container: Obj) -> None:
    container.setdefault("imagePullPolicy", images.default_pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name) is not None:
            _probe(container[name])
    lifecycle = container.get("lifecycle") or {}
    for name in ("postStart", "preStop"):
        _http_get((lifecycle.get(name) or {}).get("httpGet"))
    for variable in container.get("env", ()):
        _field_ref((variable.get("valueFrom") or {}).get("fieldRef"))


def _probe(probe: Obj) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe.setdefault(name, value)
    _http_get(probe.get("httpGet"))
    grpc = probe.get("grpc")
    if grpc is not None and grpc.get("service") is None:
        grpc["service"] = ""


def _http_get(action: Any) -> None:
    if action is not None:
        action.setdefault("path", "/")
        action.setdefault("scheme", "HTTP")


def _field_ref(ref: Any) -> None:
    if ref is not None:
        ref.setdefault("apiVersion", "v1")


def _volume(volume: Obj) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(source) is not None:
            volume[source].setdefault("defaultMode", DEFAULT_MODE)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    if volume.get("image") is not None:
        volume["image"].setdefault("pullPolicy", images.default_pull_policy(volume["image"].get("reference", "")))
    if volume.get("ephemeral") is not None:
        claim = volume["ephemeral"].get("volumeClaimTemplate")
        if claim is not None:
            claim["spec"].setdefault("volumeMode", "Filesystem")
    _downward_items(volume.get("downwardAPI"))
    for projection in (volume.get("projected") or {}).get("sources") or ():
        _downward_items(projection.get("downwardAPI"))
        token = projection.get("serviceAccountToken")
        if token is not None:
            token.setdefault("expirationSeconds", 3600)


def _downward_items(source: Any) -> None:
    for item in (source or {}).get("items", ()):
        _field_ref(item.get("fieldRef"))


def _pod_resources(spec: Obj) -> None:
    """Pod-level requests default to what the containers ask for together, else to the pod-level limits."""
    limits: Obj = spec["resources"].get("limits", {})
    if not limits:
        return
    requests: Obj = dict(spec["resources"].get("requests", {}))
    for name, amount in _aggregate_requests(spec).items():
        if name in _POD_LEVEL_RESOURCES:
            requests.setdefault(name, quantity.format_value(amount, "binary" if name == "memory" else "decimal"))
    for name, amount in limits.items():
        if name in _POD_LEVEL_RESOURCES or name.startswith("hugepages-"):
            requests.setdefault(name, amount)
    if requests:
        spec["resources"]["requests"] = requests


def _aggregate_requests(spec: Obj) -> dict[str, Fraction]:
    """Requests of a pod: the sum over its containers and sidecars, or the largest init container's if that is more."""
    total: dict[str, Fraction] = {}
    for container in spec.get("containers") or ():
        _add(total, container)
    sidecars: dict[str, Fraction] = {}
    largest: dict[str, Fraction] = {}
    for container in spec.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            _add(total, container)
            _add(sidecars, container)
            needed = sidecars
        else:
            needed = dict(sidecars)
            _add(needed, container)
        for name, amount in needed.items():
            largest[name] = max(largest.get(name, Fraction(0)), amount)
    return {name: max(total.get(name, Fraction(0)), largest.get(name, Fraction(0))) for name in {**total, **largest}}


def _add(total: dict[str, Fraction], container: Obj) -> None:
    for name, amount in container["resources"].get("requests", {}).items():
        total[name] = total.get(name, Fraction(0)) + quantity.parse(amount)
