"""What Endpoints and EndpointSlices have in common: which pods, which ports.

Source of the rules: `k8s.io/endpointslice/util` and `pkg/controller/util/endpoint`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods, selectors
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View

SERVICES = "services"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS = "service.kubernetes.io/headless"


def keys_of_services(change: Change, view: View, resource: str, service_label: str = "") -> Iterable[Key]:
    """The Service that changed, those that select or selected a changed pod, or the one an owned object belongs to.

    Args:
        change: What changed.
        view: What is observed.
        resource: The controller's own objects.
        service_label: The label of those that names the Service; empty when it is their name.
    """
    if change.resource == SERVICES:
        return (meta.key(change.object),)
    if change.resource == resource:
        found = meta.labels(change.object).get(service_label) if service_label else meta.name(change.object)
        return ((meta.namespace(change.object), found),) if found else ()
    if change.resource == pods.PODS and _matters(change):
        return _selecting(change, view)
    return ()


def _matters(change: Change) -> bool:
    """Whether anything about the pod changed that shows in endpoints."""
    before, after = change.previous, change.object
    return before is None or change.type == "DELETED" or _shown(before) != _shown(after)


def _shown(pod: Obj) -> tuple[object, ...]:
    status, metadata = meta.status(pod), pod["metadata"]
    ready = meta.condition_of(pod, "Ready")
    return (
        status.get("podIP"),
        status.get("phase"),
        ready and (ready.get("status"), ready.get("lastTransitionTime")),
        metadata.get("deletionTimestamp"),
        metadata.get("labels"),
        meta.spec(pod).get("nodeName"),
    )


def _selecting(change: Change, view: View) -> list[Key]:
    now, before = meta.labels(change.object), meta.labels(change.previous) if change.previous else {}
    return [
        meta.key(service)
        for service in view.list(SERVICES, meta.namespace(change.object))
        if selectors.matches_map(chosen := meta.spec(service).get("selector"), now)
        or selectors.matches_map(chosen, before)
    ]


def has_managed_endpoints(service: Obj | None) -> bool:
    """Whether controllers make the Service's endpoints: it has a selector and is no ExternalName."""
    return (
        service is not None
        and bool(meta.spec(service).get("selector"))
        and meta.spec(service).get("type") != "ExternalName"
    )


def is_headless(service: Obj) -> bool:
    """Whether the Service has no cluster IP."""
    return meta.spec(service).get("clusterIP") in ("None", "", None)


def publishes_not_ready(service: Obj) -> bool:
    """Whether pods count that are not ready."""
    return bool(meta.spec(service).get("publishNotReadyAddresses"))


def selected_pods(view: View, service: Obj, *, terminating: bool) -> list[Obj]:
    """The Service's pods that have an address and may answer.

    Args:
        view: What is observed.
        service: The Service.
        terminating: Whether pods count that are being deleted.
    """
    chosen = meta.spec(service).get("selector")
    return [
        pod
        for pod in view.list(pods.PODS, meta.namespace(service))
        if selectors.matches_map(chosen, meta.labels(pod))
        and meta.status(pod).get("podIP")
        and not pods.is_finished(pod)
        and (terminating or not meta.deleting(pod))
    ]


def pod_ports(service: Obj, pod: Obj) -> list[Obj]:
    """The Service's ports on this pod: name, port, protocol; a named target port the pod does not have is left out."""
    found = []
    for port in meta.spec(service).get("ports") or ():
        number = _target(port, pod)
        if number is None:
            continue
        entry = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        found.append(entry)
    return found


def _target(port: Obj, pod: Obj) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    for container in _containers(pod):
        for declared in container.get("ports") or ():
            if declared.get("name") == target and declared.get("protocol", "TCP") == port.get("protocol", "TCP"):
                number: int = declared["containerPort"]
                return number
    return None


def _containers(pod: Obj) -> Iterable[Obj]:
    spec = meta.spec(pod)
    yield from spec.get("containers") or ()
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def hostname(service: Obj, pod: Obj) -> str:
    """The pod's own name under a headless Service; empty when it has none there."""
    spec = meta.spec(pod)
    named = spec.get("hostname") and spec.get("subdomain") == meta.name(service)
    return spec["hostname"] if named else ""


def target_reference(pod: Obj) -> Obj:
    """Reference to the pod behind an address."""
    return {"kind": "Pod", "namespace": meta.namespace(pod), "name": meta.name(pod), "uid": meta.uid(pod)}


def trigger_time(pod: Obj) -> str:
    """When the pod's readiness last changed, RFC 3339; empty before it was known."""
    ready = meta.condition_of(pod, "Ready")
    found: str = (ready or {}).get("lastTransitionTime") or ""
    return found
