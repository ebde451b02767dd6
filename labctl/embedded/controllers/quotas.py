"""ResourceQuotas: what a namespace uses of what it may use. Source of the rules: `pkg/controller/resourcequota`."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Plan, update_status
from labctl.embedded.kinds import usage
from labctl.embedded.kinds.quantity import canonical

QUOTAS = "resourcequotas"


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


def _used(view: View, quota: Obj, name: str) -> str:
    namespace = meta.namespace(quota)
    return usage.written(name, usage.used(quota, name, lambda resource: view.list(resource, namespace)))
