"""What a Service loses when its type changes.

Source: dropTypeDependentFields in pkg/registry/core/service/strategy.go.
"""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.services import externally_accessible, needs_health_check, needs_node_port, node_ports


def drop_type_dependent_fields(new: Obj, old: Obj) -> None:
    """Clear what the new type does not have, unless the client changed it too (then validation speaks), in place."""
    spec, before = new["spec"], old["spec"]
    if before.get("type") != "ExternalName" and spec.get("type") == "ExternalName":
        _drop_same(spec, before, "clusterIP", "clusterIPs")
        _drop_same(spec, before, "ipFamilies")
        _drop_same(spec, before, "ipFamilyPolicy")
    if needs_node_port(before) and not needs_node_port(spec) and set(node_ports([new])) <= set(node_ports([old])):
        for port in spec.get("ports", ()):
            port.pop("nodePort", None)
    if needs_health_check(before) and not needs_health_check(spec):
        _drop_same(spec, before, "healthCheckNodePort")
    if before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        _drop_same(spec, before, "allocateLoadBalancerNodePorts")
        _drop_same(spec, before, "loadBalancerClass")
    if externally_accessible(before) and not externally_accessible(spec):
        _drop_same(spec, before, "externalTrafficPolicy")
    if spec.get("type") != "LoadBalancer":
        new.setdefault("status", {})["loadBalancer"] = {}


def _drop_same(spec: Obj, before: Obj, *names: str) -> None:
    """Drop fields that go together, if all are as they were."""
    if all(spec.get(name) == before.get(name) for name in names):
        for name in names:
            spec.pop(name, None)
