"""EndpointSlices for Endpoints that somebody wrote by hand, for a Service without a selector.

Source of the rules: `pkg/controller/endpointslicemirroring`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.endpoints.common import HEADLESS, SERVICES, TRIGGER
from labctl.embedded.controllers.endpoints.legacy import ENDPOINTS
from labctl.embedded.controllers.endpoints.slices import MANAGED_BY, SERVICE_NAME, SLICES
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Create, Delete, Plan, Update, Wanted

MANAGER = "endpointslicemirroring-controller.k8s.io"
_SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MOST = 1000


class EndpointSliceMirroringController(BaseController):
    """Mirrors hand-made Endpoints."""

    name = "endpoint-slice-mirroring-controller"
    resources = frozenset({SERVICES, ENDPOINTS, SLICES})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Endpoints of that name, or of the Service a mirrored slice is for."""
        if change.resource != SLICES:
            return (meta.key(change.object),)
        labels = meta.labels(change.object)
        ours = labels.get(MANAGED_BY) == MANAGER
        return ((meta.namespace(change.object), labels.get(SERVICE_NAME, "")),) if ours else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """One slice for each subset and address family; none when there is nothing to mirror."""
        service, endpoints = view.get(SERVICES, *key), view.get(ENDPOINTS, *key)
        known = [
            entry
            for entry in view.list(SLICES, key[0])
            if meta.labels(entry).get(MANAGED_BY) == MANAGER and meta.labels(entry).get(SERVICE_NAME) == key[1]
        ]
        if service is None or endpoints is None or not _is_mirrored(service, endpoints):
            return [Delete(SLICES, entry) for entry in known if not meta.deleting(entry)]
        bodies = [body for subset in endpoints.get("subsets") or () for body in _bodies(subset)]
        plan: list[Wanted] = []
        for body in bodies:
            entry = known.pop(0) if known else None
            plan += _write(endpoints, body, entry)
        return [*plan, *(Delete(SLICES, entry) for entry in known)]


def _is_mirrored(service: Obj, endpoints: Obj) -> bool:
    return (
        not meta.spec(service).get("selector")
        and meta.labels(endpoints).get(_SKIP) != "true"
        and _LEADER not in meta.annotations_of(endpoints)
        and not meta.deleting(endpoints)
    )


def _bodies(subset: Obj) -> Iterable[Obj]:
    ports = [
        {"name": "", "protocol": "TCP", **{field: value for field, value in port.items() if value is not None}}
        for port in subset.get("ports") or ()
    ]
    families: dict[str, list[Obj]] = {}
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(field) or ():
            families.setdefault(f"IPv{ip_address(address['ip']).version}", []).append(_endpoint(address, ready=ready))
    for family, endpoints in families.items():
        yield {"addressType": family, "endpoints": endpoints[:_MOST], "ports": ports or None}


def _endpoint(address: Obj, *, ready: bool) -> Obj:
    found: Obj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            found[field] = address[field]
    return found


def _write(endpoints: Obj, body: Obj, entry: Obj | None) -> list[Wanted]:
    labels = {label: value for label, value in meta.labels(endpoints).items() if label != HEADLESS}
    labels |= {SERVICE_NAME: meta.name(endpoints), MANAGED_BY: MANAGER}
    copied = {k: v for k, v in meta.annotations_of(endpoints).items() if k not in (TRIGGER, _LAST_APPLIED)}
    if entry is None:
        made = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{meta.name(endpoints)}-",
                "namespace": meta.namespace(endpoints),
                "labels": labels,
                **({"annotations": copied} if copied else {}),
                "ownerReferences": [meta.controller_reference(endpoints)],
            },
            **body,
        }
        return [Create(SLICES, made)]
    if entry["addressType"] != body["addressType"]:
        return [Delete(SLICES, entry), *_write(endpoints, body, None)]
    changed = meta.with_metadata({**entry, **body}, labels=labels, annotations=copied or None)
    return [] if changed == entry else [Update(SLICES, changed)]
