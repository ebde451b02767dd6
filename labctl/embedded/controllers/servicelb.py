"""Services of type LoadBalancer, as k3s serves them: a DaemonSet that takes the ports on every node.

The second Service on a port stays pending because its pods find the host port taken. Source of the rules: k3s,
`pkg/cloudprovider` (ServiceLB), and `k8s.io/cloud-provider/controllers/service`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.endpoints.common import SERVICES
from labctl.embedded.controllers.endpoints.slices import SERVICE_NAME, SLICES
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Create, Delete, Note, Plan, Record, Update, Wanted

NAMESPACE = "kube-system"
IMAGE = "rancher/klipper-lb:v0.4.13"
_FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
_DAEMONSETS, _ACCOUNTS, _NODES = "daemonsets.apps", "serviceaccounts", "nodes"
_PREFIX = "svccontroller.k3s.cattle.io"
_NAME, _NAMESPACE = f"{_PREFIX}/svcname", f"{_PREFIX}/svcnamespace"
_ENABLE, _POOL, _SELECTS = f"{_PREFIX}/enablelb", f"{_PREFIX}/lbpool", f"{_PREFIX}/nodeselector"
_LONGEST = 48


class CloudServiceController(BaseController):
    """Puts the finalizer on LoadBalancer Services, and has what serves them removed before they go."""

    name = "service-controller"
    resources = frozenset({SERVICES})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Service, when it is or was a LoadBalancer."""
        wanted = _wants_balancer(change.object) or _FINALIZER in meta.finalizers(change.object)
        return (meta.key(change.object),) if wanted else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Add the finalizer, or take it off after the load balancer is gone."""
        service = view.get(SERVICES, *key)
        if service is None:
            return ()
        held = _FINALIZER in meta.finalizers(service)
        if _wants_balancer(service) and not meta.deleting(service):
            if held:
                return ()
            event = Record(service, Note("EnsuringLoadBalancer", "Ensuring load balancer"))
            return (event, Update(SERVICES, meta.with_metadata(service, finalizers=_with_finalizer(service))))
        return _tear_down(view, service) if held else ()


def _wants_balancer(service: Obj) -> bool:
    spec = meta.spec(service)
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def _with_finalizer(service: Obj) -> list[str]:
    return [*meta.finalizers(service), _FINALIZER]


def _tear_down(view: View, service: Obj) -> list[Wanted]:
    plan: list[Wanted] = [Record(service, Note("DeletingLoadBalancer", "Deleting load balancer"))]
    daemon = view.get(_DAEMONSETS, NAMESPACE, daemon_name(service))
    if daemon is not None:
        plan.append(Delete(_DAEMONSETS, daemon))
    if meta.status(service).get("loadBalancer"):
        emptied = meta.with_status(service, {**meta.status(service), "loadBalancer": {}})
        plan.append(Update(SERVICES, emptied, "status"))
    event = Record(service, Note("DeletedLoadBalancer", "Deleted load balancer"))
    plan.append(Update(SERVICES, meta.without_finalizer(service, _FINALIZER), then=event))
    return plan


class ServiceLB(BaseController):
    """Keeps the DaemonSet of each LoadBalancer Service, and the addresses in its status."""

    name = "service-lb-controller"
    resources = frozenset({SERVICES, pods.PODS, SLICES, _NODES, _DAEMONSETS})

    def __init__(self, server: str) -> None:
        """Make a controller.

        Args:
            server: Name of the node it runs on, for its events.
        """
        self.host = server

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Services concerned."""
        if change.resource == SERVICES:
            return (meta.key(change.object),) if _wants_balancer(change.object) else ()
        labels = meta.labels(change.object)
        if change.resource == SLICES:
            return ((meta.namespace(change.object), labels.get(SERVICE_NAME, "")),)
        if change.resource == _NODES:
            return _all_balanced(view) if _labels_changed(change) else ()
        return ((labels[_NAMESPACE], labels[_NAME]),) if _NAME in labels and _NAMESPACE in labels else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create or update the DaemonSet, and publish the addresses of the nodes whose pods are ready."""
        service = view.get(SERVICES, *key)
        if service is None or not _wants_balancer(service) or meta.deleting(service):
            return ()
        return [*_account(view), *_daemon_set(view, service), *_status(view, service)]


def _labels_changed(change: Change) -> bool:
    return change.previous is None or meta.labels(change.previous) != meta.labels(change.object)


def _all_balanced(view: View) -> list[Key]:
    return [meta.key(service) for service in view.list(SERVICES) if _wants_balancer(service)]


def _account(view: View) -> list[Wanted]:
    if view.get(_ACCOUNTS, NAMESPACE, "svclb") is not None or view.get("namespaces", "", NAMESPACE) is None:
        return []
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "svclb", "namespace": NAMESPACE}}
    return [Create(_ACCOUNTS, account, exists_is_fine=True)]


def daemon_name(service: Obj) -> str:
    """`svclb-<service>-<first 8 of its uid>`; a long name is cut, not at a hyphen."""
    name = meta.name(service)
    if len(name) > _LONGEST:
        name = name[:_LONGEST].rstrip("-")
    return f"svclb-{name}-{meta.uid(service)[:8]}"


def _daemon_set(view: View, service: Obj) -> list[Wanted]:
    wanted = _new_daemon_set(view, service)
    known = view.get(_DAEMONSETS, NAMESPACE, meta.name(wanted))
    note = Note("AppliedDaemonSet", f"Applied LoadBalancer DaemonSet {NAMESPACE}/{meta.name(wanted)}")
    if known is None:
        return [Create(_DAEMONSETS, wanted, then=Record(service, note))]
    template, current = wanted["spec"]["template"]["spec"], meta.spec(known)["template"]["spec"]
    same = all(_covers(current.get(field), value) for field, value in template.items())
    if same and bool(template.get("nodeSelector")) == bool(current.get("nodeSelector")):
        return []
    spec = {**current, **template}
    if "nodeSelector" not in template:
        spec.pop("nodeSelector", None)
    changed = meta.with_spec(known, template={**meta.spec(known)["template"], "spec": spec})
    return [Update(_DAEMONSETS, changed, then=Record(service, note))]


def _covers(stored: object, wanted: object) -> bool:
    """Whether a stored value is the wanted one plus what the API defaulted."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return all(_covers(stored.get(field), value) for field, value in wanted.items())
    if isinstance(wanted, list) and isinstance(stored, list):
        return len(wanted) == len(stored) and all(_covers(s, w) for s, w in zip(stored, wanted, strict=True))
    return stored == wanted


def _new_daemon_set(view: View, service: Obj) -> Obj:
    name = daemon_name(service)
    marks = {_NAME: meta.name(service), _NAMESPACE: meta.namespace(service)}
    selective = any(_ENABLE in meta.labels(node) for node in view.list(_NODES))
    spec: Obj = {
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "svclb",
        "automountServiceAccountToken": False,
        "securityContext": {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]},
        "tolerations": [
            {"key": "node-role.kubernetes.io/master", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
        ],
        "containers": [_container(service, port) for port in meta.spec(service).get("ports") or ()],
    }
    if selective:
        pool = meta.labels(service).get(_POOL)
        spec["nodeSelector"] = {_ENABLE: "true", **({_POOL: pool} if pool else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {_SELECTS: str(selective).lower(), **marks},
        },
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name, **marks}}, "spec": spec},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        },
    }


def _is_local(service: Obj) -> bool:
    return meta.spec(service).get("externalTrafficPolicy") == "Local"


def _container(service: Obj, port: Obj) -> Obj:
    protocol, number = port.get("protocol", "TCP"), port["port"]
    name = f"lb-{protocol.lower()}-{number}"
    ranges = meta.spec(service).get("loadBalancerSourceRanges") or ["0.0.0.0/0"]
    if _is_local(service):
        target = str(port.get("nodePort", 0))
        addresses: Obj = {"valueFrom": {"fieldRef": {"fieldPath": "status.hostIPs"}}}
    else:
        target = str(number)
        addresses = {"value": ",".join(meta.spec(service).get("clusterIPs") or ())}
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": name, "containerPort": number, "hostPort": number, "protocol": protocol}],
        "env": [
            {"name": "SRC_PORT", "value": str(number)},
            {"name": "SRC_RANGES", "value": ",".join(ranges)},
            {"name": "DEST_PROTO", "value": protocol},
            {"name": "DEST_PORT", "value": target},
            {"name": "DEST_IPS", **addresses},
        ],
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
    }


def _addresses(view: View, service: Obj) -> list[str]:
    """Addresses of the nodes whose ServiceLB pod is ready; under Local only those with a ready endpoint."""
    serving = _nodes_with_endpoints(view, service) if _is_local(service) else None
    found: dict[str, set[str]] = {"ExternalIP": set(), "InternalIP": set()}
    daemon = view.get(_DAEMONSETS, NAMESPACE, daemon_name(service))
    for pod in view.owned(pods.PODS, meta.uid(daemon)) if daemon is not None else ():
        name = meta.spec(pod).get("nodeName") or ""
        node = view.get(_NODES, "", name)
        if node is None or not meta.status(pod).get("podIP") or not pods.is_ready(pod):
            continue
        if serving is not None and name not in serving:
            continue
        for entry in meta.status(node).get("addresses") or ():
            if entry["type"] in found:
                found[entry["type"]].add(entry["address"])
    return sorted(found["ExternalIP"] or found["InternalIP"])


def _nodes_with_endpoints(view: View, service: Obj) -> set[str]:
    return {
        endpoint["nodeName"]
        for entry in view.owned(SLICES, meta.uid(service))
        for endpoint in entry.get("endpoints") or ()
        if endpoint["conditions"].get("ready") and endpoint.get("nodeName")
    }


def _status(view: View, service: Obj) -> list[Wanted]:
    before = [entry.get("ip", "") for entry in (meta.status(service).get("loadBalancer") or {}).get("ingress") or ()]
    after = _addresses(view, service)
    if before == after:
        return []
    if after:
        text = f"Updated LoadBalancer with new IPs: [{' '.join(before)}] -> [{' '.join(after)}]"
        note = Note("UpdatedLoadBalancer", text)
    else:
        note = Note("UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer", WARNING)
    balancer = {"ingress": [{"ip": address, "ipMode": "VIP"} for address in after]} if after else {}
    changed = meta.with_status(service, {**meta.status(service), "loadBalancer": balancer})
    return [Update(SERVICES, changed, "status", then=Record(service, note))]
