"""ResourceQuotas: what a namespace uses of what it may use. Source of the rules: `pkg/controller/resourcequota`."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.scheduler.resources import pod_requests
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Plan, update_status
from labctl.embedded.kinds.quantity import canonical, format_value, parse

QUOTAS = "resourcequotas"
_COUNTED = {
    "configmaps": "configmaps",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
    "secrets": "secrets",
    "services": "services",
}


class ResourceQuotaController(BaseController):
    """Keeps the status of ResourceQuotas. Refusing what is too much is admission's task."""

    name = "resourcequota-controller"

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The quota, or those of the namespace when something in it came, went or changed size."""
        if change.resource == QUOTAS:
            return (meta.key(change.object),)
        namespace = meta.namespace(change.object)
        if not namespace or change.resource == "events" or not _matters(change):
            return ()
        return tuple(meta.key(quota) for quota in view.list(QUOTAS, namespace))

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Count."""
        quota = view.get(QUOTAS, *key)
        if quota is None or meta.deleting(quota):
            return ()
        hard: dict[str, str] = {
            name: canonical(str(amount)) for name, amount in (meta.spec(quota).get("hard") or {}).items()
        }
        used = {name: _used(view, quota, name) for name in hard}
        return update_status(QUOTAS, quota, {"hard": hard, "used": used} if hard else {})


def _matters(change: Change) -> bool:
    before, after = change.previous, change.object
    if before is None or change.type == "DELETED":
        return True
    if change.resource == pods.PODS:
        return pods.is_finished(before) != pods.is_finished(after) or meta.deleting(before) != meta.deleting(after)
    return meta.spec(before) != meta.spec(after)


def _in_scope(quota: Obj, pod: Obj) -> bool:
    """Whether a pod counts, by the quota's scopes."""
    best_effort = meta.status(pod).get("qosClass") == "BestEffort"
    terminating = meta.spec(pod).get("activeDeadlineSeconds") is not None
    verdicts = {
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "Terminating": terminating,
        "NotTerminating": not terminating,
    }
    return all(verdicts.get(scope, True) for scope in meta.spec(quota).get("scopes") or ())


def _used(view: View, quota: Obj, name: str) -> str:
    namespace = meta.namespace(quota)
    members = [pod for pod in view.list(pods.PODS, namespace) if not pods.is_finished(pod) and _in_scope(quota, pod)]
    if name in ("pods", "count/pods"):
        return str(len(members))
    if name.startswith("services."):
        return str(_services(view, namespace, name))
    if name in _COUNTED or name.startswith("count/"):
        return str(len(view.list(_COUNTED.get(name, name.removeprefix("count/")), namespace)))
    return _amount(members, name)


def _services(view: View, namespace: str, name: str) -> int:
    services = [meta.spec(service) for service in view.list("services", namespace)]
    if name == "services.loadbalancers":
        return sum(spec.get("type") == "LoadBalancer" for spec in services)
    return sum(bool(port.get("nodePort")) for spec in services for port in spec.get("ports") or ())


def _amount(members: list[Obj], name: str) -> str:
    """Requests or limits of the pods together; a bare `cpu` means requests."""
    kind, _, resource = name.rpartition(".")
    total = Fraction(0)
    for pod in members:
        if kind == "limits":
            total += sum(_limits(pod, resource), Fraction(0))
        else:
            total += pod_requests(pod).get(resource, Fraction(0))
    return format_value(total, "decimal" if resource == "cpu" else "binary")


def _limits(pod: Obj, resource: str) -> Iterable[Fraction]:
    for container in meta.spec(pod).get("containers") or ():
        limits = (container.get("resources") or {}).get("limits") or {}
        if resource in limits:
            yield parse(str(limits[resource]))
