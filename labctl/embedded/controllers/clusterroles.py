"""ClusterRoles with an `aggregationRule`: their rules are those of the ClusterRoles it selects.

Source of the rules: `pkg/controller/clusterroleaggregation`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Plan, Update

ROLES = "clusterroles.rbac.authorization.k8s.io"


class ClusterRoleAggregationController(BaseController):
    """Keeps the rules of aggregated ClusterRoles."""

    name = "clusterrole-aggregation-controller"
    resources = frozenset({ROLES})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """Every aggregated role: any role's change may matter to any of them."""
        return tuple(meta.key(role) for role in view.list(ROLES) if role.get("aggregationRule"))

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Collect the rules, each once, role by role in the order of their names."""
        role = view.get(ROLES, *key)
        if role is None or not role.get("aggregationRule") or meta.deleting(role):
            return ()
        rules: list[Obj] = []
        for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
            for source in sorted(view.list(ROLES), key=meta.name):
                if source is not role and selectors.matches(selector, meta.labels(source)):
                    rules += [rule for rule in source.get("rules") or () if rule not in rules]
        return () if (role.get("rules") or []) == rules else (Update(ROLES, {**role, "rules": rules}),)
