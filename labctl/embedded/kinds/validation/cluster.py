"""Namespaces, Nodes, Leases, disruption budgets, classes of priority and runtime, APIServices.

Source: pkg/apis/{core,coordination,policy,scheduling,node}/validation and kube-aggregator.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.addresses import cidr_causes
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.internal import internal
from labctl.embedded.kinds.validation import amounts, scheduling
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    immutable,
    int_or_percent,
    not_over_100_percent,
    port_number,
)
from labctl.embedded.kinds.validation.meta import finalizer, label_selector, labels

_HIGHEST_PRIORITY = 1_000_000_000
_SYSTEM_PREFIX = "system-"
_SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def namespace(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Namespace."""
    for index, name in enumerate(obj["spec"].get("finalizers", ())):
        path = "spec.finalizers" if old is None else f"spec.finalizers[{index}]"
        yield from finalizer(name, path)


def node(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Node."""
    spec, status = obj["spec"], obj["status"]
    for name in ("capacity", "allocatable"):
        for resource, value in status.get(name, {}).items():
            yield from amounts.amount_of(f"status.{name}.{resource}", resource, value)
    addresses = status.get("addresses", [])
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            shown = {"Type": address.get("type", ""), "Address": address.get("address", "")}
            yield duplicate(f"status.addresses[{index}]", shown)
    if old is None:
        for index, text in enumerate(spec.get("podCIDRs", ())):
            yield from cidr_causes(f"spec.podCIDRs[{index}]", text)
    else:
        yield from _node_update(spec, old["spec"])
    yield from scheduling.taints(spec.get("taints", []), "metadata.taints")


def _node_update(spec: Obj, before: Obj) -> Iterator[Cause]:
    text = 'node updates may not change {} except from "" to valid'
    if before.get("podCIDRs") and before["podCIDRs"] != spec.get("podCIDRs"):
        yield forbidden("spec.podCIDRs", text.format("podCIDR"))
    if before.get("providerID") and before["providerID"] != spec.get("providerID"):
        yield forbidden("spec.providerID", text.format("providerID"))
    if before.get("externalID") != spec.get("externalID"):
        yield forbidden("spec.externalID", "may not be updated")


def lease(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Lease."""
    spec = obj["spec"]
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")
    if transitions is not None and transitions < 0:
        yield invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def disruption_budget(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A PodDisruptionBudget."""
    spec = obj["spec"]
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = internal("PodDisruptionBudgetSpec", spec)
        yield invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        if spec.get(name) is not None:
            yield from int_or_percent(f"spec.{name}", spec[name])
            yield from not_over_100_percent(f"spec.{name}", spec[name])
    yield from label_selector(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION_POLICIES:
        yield not_supported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES)


def priority_class(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A PriorityClass."""
    policy, value = obj.get("preemptionPolicy"), obj["value"]
    if old is not None:
        if value != old["value"]:
            yield forbidden("value", "may not be changed in an update.")
        yield from immutable("preemptionPolicy", policy, old.get("preemptionPolicy"))
        return
    name = obj["metadata"].get("name", "")
    if name.startswith(_SYSTEM_PREFIX):
        problem = _system_class_problem(name, value, is_default=bool(obj.get("globalDefault")))
        if problem:
            text = "priority class names with 'system-' prefix are reserved for system use only. error:"
            yield forbidden("metadata.name", f"{text} {problem}")
    elif value > _HIGHEST_PRIORITY:
        text = f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
        yield forbidden("value", text)
    if policy not in (None, "PreemptLowerPriority", "Never"):
        yield not_supported("preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))


def _system_class_problem(name: str, value: int, *, is_default: bool) -> str:
    if name not in _SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != _SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {_SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def runtime_class(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A RuntimeClass."""
    if old is not None:
        yield from immutable("handler", obj["handler"], old["handler"])
        return
    yield from all_of("handler", obj["handler"], dns1123_label)
    overhead = obj.get("overhead")
    if overhead is not None:
        yield from amounts.requirements({"limits": overhead.get("podFixed", {})}, "overhead")
    rules = obj.get("scheduling")
    if rules is not None:
        yield from labels(rules.get("nodeSelector", {}), "scheduling.nodeSelector")
        yield from scheduling.tolerations(rules.get("tolerations", []), "scheduling.tolerations.tolerations")


def api_service(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An APIService."""
    spec = obj["spec"]
    group, version, service = spec.get("group", ""), spec.get("version", ""), spec.get("service")
    if not group and version != "v1":
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    if group:
        yield from all_of("spec.group", group, dns1123_subdomain)
    yield from all_of("spec.version", version, dns1035_label)
    for name, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        if not 0 < spec.get(name, 0) <= most:
            yield invalid_value(f"spec.{name}", spec.get(name, 0), f"must be positive and less than {most}")
    if service is not None:
        yield from _remote_api(spec, service)
    elif spec.get("insecureSkipTLSVerify"):
        text = "local APIServices may not have insecureSkipTLSVerify"
        yield invalid_value("spec.insecureSkipTLSVerify", True, text)


def _remote_api(spec: Obj, service: Obj) -> Iterator[Cause]:
    for name in ("namespace", "name"):
        if not service.get(name):
            yield required(f"spec.service.{name}")
    for text in port_number(service.get("port") or 0):
        yield invalid_value("spec.service.port", service.get("port") or 0, f"port is not valid: {text}")
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        yield invalid_value("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


def api_service_name(obj: Obj, name: str) -> list[str]:
    """The name of an APIService follows from what it serves."""
    wanted = f"{obj['spec'].get('version', '')}.{obj['spec'].get('group', '')}"
    return [] if name == wanted else [f'must be `spec.version+"."+spec.group`: "{wanted}"']
