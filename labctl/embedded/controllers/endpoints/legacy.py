"""Endpoints, the older form of EndpointSlices. Source of the rules: `pkg/controller/endpoint`."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.endpoints.common import (
    HEADLESS,
    SERVICES,
    TRIGGER,
    has_managed_endpoints,
    hostname,
    is_headless,
    keys_of_services,
    pod_ports,
    publishes_not_ready,
    selected_pods,
    target_reference,
    trigger_time,
)
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Create, Delete, Plan, Update

ENDPOINTS = "endpoints"
_MANAGED_BY, _MANAGER = "endpoints.kubernetes.io/managed-by", "endpoint-controller"
_OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
_MOST = 1000


class EndpointsController(BaseController):
    """Keeps the Endpoints of Services with a selector."""

    name = "endpoint-controller"
    resources = frozenset({SERVICES, pods.PODS, ENDPOINTS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Services concerned."""
        return keys_of_services(change, view, ENDPOINTS)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create, update or (with its Service) delete the Endpoints of that name."""
        service, known = view.get(SERVICES, *key), view.get(ENDPOINTS, *key)
        if service is None:
            # Only what this controller made: other Endpoints without a Service are somebody's own.
            ours = known is not None and meta.labels(known).get(_MANAGED_BY) == _MANAGER
            return (Delete(ENDPOINTS, known),) if known is not None and ours else ()
        if not has_managed_endpoints(service) or meta.deleting(service):
            return ()
        chosen = selected_pods(view, service, terminating=publishes_not_ready(service))
        subsets, labels = _subsets(service, chosen), _labels(service)
        if known is None:
            return (Create(ENDPOINTS, _new(service, subsets, labels, _trigger(chosen, {})), exists_is_fine=True),)
        if (known.get("subsets") or []) == subsets and meta.labels(known) == labels:
            return ()
        return (Update(ENDPOINTS, _updated(known, subsets, labels, _trigger(chosen, _addresses(known)))),)


def _labels(service: Obj) -> dict[str, str]:
    found = {label: value for label, value in meta.labels(service).items() if label != HEADLESS}
    if is_headless(service):
        found[HEADLESS] = ""
    return {**found, _MANAGED_BY: _MANAGER}


def _new(service: Obj, subsets: list[Obj], labels: dict[str, str], changed_at: str) -> Obj:
    # A new Service is a change by itself.
    when = changed_at or service["metadata"].get("creationTimestamp")
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": meta.name(service),
            "namespace": meta.namespace(service),
            "labels": labels,
            **({"annotations": {TRIGGER: when}} if when else {}),
        },
        **({"subsets": subsets} if subsets else {}),
    }


def _updated(known: Obj, subsets: list[Obj], labels: dict[str, str], changed_at: str) -> Obj:
    kept = {
        field: value for field, value in meta.annotations_of(known).items() if field not in (TRIGGER, _OVER_CAPACITY)
    }
    if changed_at:
        kept[TRIGGER] = changed_at
    changed = meta.with_metadata(known, labels=labels, annotations=kept or None)
    changed.pop("subsets", None)
    return {**changed, "subsets": subsets} if subsets else changed


def _address(service: Obj, pod: Obj) -> Obj:
    found: Obj = {"ip": meta.status(pod)["podIP"]}
    if name := hostname(service, pod):
        found["hostname"] = name
    if node := meta.spec(pod).get("nodeName"):
        found["nodeName"] = node
    return {**found, "targetRef": target_reference(pod)}


def _subsets(service: Obj, chosen: list[Obj]) -> list[Obj]:
    """Pods grouped by the ports they have, addresses in the order of their text."""
    groups: dict[tuple[tuple[str, object], ...], Obj] = {}
    for pod in chosen[:_MOST]:
        ports = pod_ports(service, pod)
        if not ports and (meta.spec(service).get("ports") or not is_headless(service)):
            continue
        ports.sort(key=lambda port: (port["name"], port["port"]))
        identity = tuple(item for port in ports for item in sorted(port.items()))
        group = groups.setdefault(identity, {"addresses": [], "notReadyAddresses": [], "ports": _plain(ports)})
        ready = publishes_not_ready(service) or pods.is_ready(pod)
        group["addresses" if ready else "notReadyAddresses"].append(_address(service, pod))
    for group in groups.values():
        for field in ("addresses", "notReadyAddresses"):
            group[field].sort(key=lambda entry: (entry["ip"], entry["targetRef"]["uid"]))
    return [{field: value for field, value in group.items() if value} for group in groups.values()]


def _plain(ports: list[Obj]) -> list[Obj]:
    """Endpoints leave an empty port name out."""
    return [{field: value for field, value in port.items() if value != ""} for port in ports]


def _addresses(known: Obj) -> dict[str, bool]:
    return {
        entry.get("targetRef", {}).get("uid", entry["ip"]): field == "addresses"
        for subset in known.get("subsets") or ()
        for field in ("addresses", "notReadyAddresses")
        for entry in subset.get(field) or ()
    }


def _trigger(chosen: Iterable[Obj], before: dict[str, bool]) -> str:
    """The earliest change of readiness among the pods that are new or changed."""
    times = [trigger_time(pod) for pod in chosen if before.get(meta.uid(pod)) != pods.is_ready(pod)]
    return min(filter(None, times), default="")
