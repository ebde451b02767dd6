"""EndpointSlices. Source of the rules: `k8s.io/endpointslice` (reconciler)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
from labctl.embedded.controllers.wanted import Create, Delete, Plan, Update, Wanted

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
_MOST = 100  # `--max-endpoints-per-slice`

Ports = tuple[tuple[str, str, int, str], ...]


class EndpointSliceController(BaseController):
    """Keeps the EndpointSlices of Services with a selector."""

    name = "endpoint-slice-controller"
    resources = frozenset({SERVICES, pods.PODS, SLICES})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Services concerned."""
        return keys_of_services(change, view, SLICES, SERVICE_NAME)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create, update and delete slices; what did not change stays in its slice and in its order."""
        service = view.get(SERVICES, *key)
        if service is None or not has_managed_endpoints(service) or meta.deleting(service):
            return ()
        known = [entry for entry in view.owned(SLICES, meta.uid(service)) if _is_ours(entry)]
        groups = _wanted_groups(view, service)
        wanted: list[Wanted] = []
        spare = [entry for entry in known if _ports_key(entry.get("ports") or ()) not in groups]
        for ports, endpoints in groups.items():
            same = [entry for entry in known if _ports_key(entry.get("ports") or ()) == ports]
            wanted += _arrange(view, service, ports, endpoints, same, spare)
        return [*wanted, *(Delete(SLICES, entry) for entry in spare)]


def _is_ours(entry: Obj) -> bool:
    return meta.labels(entry).get(MANAGED_BY) == MANAGER and not meta.deleting(entry)


def _ports_key(ports: Iterable[Obj]) -> Ports:
    return tuple(
        sorted(
            (port.get("name") or "", port["protocol"], port["port"], port.get("appProtocol") or "") for port in ports
        )
    )


def _wanted_groups(view: View, service: Obj) -> dict[Ports, list[Obj]]:
    """Endpoints by the ports they have; one empty group when there is no endpoint at all."""
    groups: dict[Ports, list[Obj]] = {}
    for pod in selected_pods(view, service, terminating=True):
        groups.setdefault(_ports_key(pod_ports(service, pod)), []).append(_endpoint(service, pod))
    return groups or {(): []}


def _endpoint(service: Obj, pod: Obj) -> Obj:
    serving, terminating = pods.is_ready(pod), meta.deleting(pod)
    ready = publishes_not_ready(service) or (serving and not terminating)
    endpoint: Obj = {
        "addresses": [meta.status(pod)["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": target_reference(pod),
    }
    if name := hostname(service, pod):
        endpoint["hostname"] = name
    if node := meta.spec(pod).get("nodeName"):
        endpoint["nodeName"] = node
    return endpoint


def _identity(endpoint: Obj) -> str:
    found: str = (endpoint.get("targetRef") or {}).get("uid") or endpoint["addresses"][0]
    return found


def _arrange(
    view: View, service: Obj, ports: Ports, endpoints: list[Obj], same: list[Obj], spare: list[Obj]
) -> list[Wanted]:
    """Put the endpoints of one group of ports into its slices, into spare ones, and into new ones."""
    left = {_identity(endpoint): endpoint for endpoint in endpoints}
    filled: list[tuple[Obj | None, list[Obj]]] = []
    for entry in same:
        kept = [left.pop(found) for old in entry.get("endpoints") or () if (found := _identity(old)) in left]
        filled.append((entry, kept))
    added = list(left.values())
    for _, members in filled:
        room = _MOST - len(members)
        members.extend(added[:room])
        added = added[room:]
    while added or not filled:
        filled.append((spare.pop() if spare else None, added[:_MOST]))
        added = added[_MOST:]
    return [
        step
        for entry, members in _without_empty(filled, spare)
        for step in _write(view, service, ports, members, entry)
    ]


def _without_empty(filled: list[tuple[Obj | None, list[Obj]]], spare: list[Obj]) -> list[tuple[Obj | None, list[Obj]]]:
    """Only slices with endpoints; the emptied ones become spare. One empty slice stays when all are."""
    full = [pair for pair in filled if pair[1]] or filled[:1]
    spare += [entry for entry, members in filled if not members and entry is not None and (entry, members) not in full]
    return full


def _write(view: View, service: Obj, ports: Ports, endpoints: list[Obj], entry: Obj | None) -> list[Wanted]:
    body = _body(service, ports, endpoints)
    if entry is None:
        changed_at = _trigger(view, service, endpoints, ()) or service["metadata"].get("creationTimestamp")
        return [Create(SLICES, _new(service, body, changed_at))]
    labels = _labels(service)
    if all(entry.get(field) == value for field, value in body.items()) and labels == meta.labels(entry):
        return []
    changed_at = _trigger(view, service, endpoints, entry.get("endpoints") or ())
    annotations = {field: value for field, value in meta.annotations_of(entry).items() if field != TRIGGER}
    if changed_at:
        annotations[TRIGGER] = changed_at
    return [Update(SLICES, meta.with_metadata({**entry, **body}, labels=labels, annotations=annotations or None))]


def _body(service: Obj, ports: Ports, endpoints: list[Obj]) -> Obj:
    family = (meta.spec(service).get("ipFamilies") or ["IPv4"])[0]
    found = [
        {"name": name, "protocol": protocol, "port": number, **({"appProtocol": app} if app else {})}
        for name, protocol, number, app in ports
    ]
    # Go's encoder writes null for what is empty here.
    return {"addressType": family, "endpoints": endpoints or None, "ports": found or None}


def _labels(service: Obj) -> dict[str, str]:
    found = {
        label: value
        for label, value in meta.labels(service).items()
        if label not in (MANAGED_BY, SERVICE_NAME, HEADLESS)
    }
    found |= {MANAGED_BY: MANAGER, SERVICE_NAME: meta.name(service)}
    if is_headless(service):
        found[HEADLESS] = ""
    return found


def _new(service: Obj, body: Obj, changed_at: str | None) -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta.name(service)}-",
            "namespace": meta.namespace(service),
            "labels": _labels(service),
            **({"annotations": {TRIGGER: changed_at}} if changed_at else {}),
            "ownerReferences": [meta.controller_reference(service)],
        },
        **body,
    }


def _trigger(view: View, service: Obj, endpoints: Sequence[Obj], before: Sequence[Obj]) -> str:
    """The earliest change of readiness among the pods that are new or changed; empty when nothing but that changed."""
    known = {_identity(entry): entry["conditions"].get("serving") for entry in before}
    times = []
    for endpoint in endpoints:
        if known.get(_identity(endpoint), ...) == endpoint["conditions"]["serving"]:
            continue
        pod = view.get(pods.PODS, meta.namespace(service), endpoint["targetRef"]["name"])
        if pod is not None and (when := trigger_time(pod)):
            times.append(when)
    return min(times, default="")
