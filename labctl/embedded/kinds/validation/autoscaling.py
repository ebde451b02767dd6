"""HorizontalPodAutoscalers.

Source: pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.amounts import amount, container_resource_name
from labctl.embedded.kinds.validation.formats import all_of, dns1123_label, path_segment

_SELECT = ("Disabled", "Max", "Min")
_POLICIES = ("Percent", "Pods")
_SOURCES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_TARGETS = ("Utilization", "Value", "AverageValue")
_LONGEST_WINDOW = 3600
_LONGEST_PERIOD = 1800


def autoscaler(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A HorizontalPodAutoscaler."""
    spec = obj["spec"]
    least, most = spec.get("minReplicas"), spec["maxReplicas"]
    lowest = 0 if old is not None and old["spec"].get("minReplicas") == 0 else 1
    if least is not None and least < lowest:
        yield invalid_value("spec.minReplicas", least, f"must be greater than or equal to {lowest}")
    if most < 1:
        yield invalid_value("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        yield invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _target(spec["scaleTargetRef"], old)
    yield from _metrics(spec, "spec.metrics")
    behavior = spec.get("behavior") or {}
    for name in ("scaleUp", "scaleDown"):
        if behavior.get(name) is not None:
            yield from _rules(behavior[name], f"spec.behavior.{name}")


def _target(reference: Obj, old: Obj | None) -> Iterator[Cause]:
    path = "spec.scaleTargetRef"
    yield from _reference(reference, path)
    before = old["spec"]["scaleTargetRef"] if old is not None else {}
    if before and all(before.get(name) == reference.get(name) for name in ("apiVersion", "kind")):
        return
    needs_group = reference.get("kind") != "ReplicationController"
    yield from _api_version(reference, path, needs_group=needs_group)


def _reference(reference: Obj, path: str) -> Iterator[Cause]:
    for name in ("kind", "name"):
        if reference.get(name):
            yield from all_of(f"{path}.{name}", reference[name], path_segment)
        else:
            yield required(f"{path}.{name}")


def _api_version(reference: Obj, path: str, *, needs_group: bool) -> Iterator[Cause]:
    version = reference.get("apiVersion", "")
    if version.count("/") > 1:
        text = f"unexpected GroupVersion string: {version}"
        yield invalid_value(f"{path}.apiVersion", version, text)
    elif needs_group and not version.rpartition("/")[0]:
        yield invalid_value(f"{path}.apiVersion", version, "apiVersion must specify API group")


def _metrics(spec: Obj, path: str) -> Iterator[Cause]:
    metrics = spec.get("metrics", [])
    for index, metric in enumerate(metrics):
        yield from _metric(metric, f"{path}[{index}]")
    if spec.get("minReplicas") == 0 and not any(metric["type"] in ("Object", "External") for metric in metrics):
        text = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden(path, text)


def _metric(metric: Obj, path: str) -> Iterator[Cause]:
    kind = metric["type"]
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in _SOURCES:
        yield not_supported(f"{path}.type", kind, _SOURCES)
    given = [name for name in _CHECKS if metric.get(name) is not None]
    if given:
        yield from _CHECKS[given[0]](metric[given[0]], f"{path}.{given[0]}")
    expected = kind[:1].lower() + kind[1:]
    if kind not in _SOURCES:
        yield not_supported(f"{path}.type", kind, _SOURCES)
    elif expected not in given:
        yield required(f"{path}.{expected}", "must populate information for the given metric source")
    if len(given) != 1:
        for name in given:
            if name != expected:
                yield forbidden(f"{path}.{name}", "must populate the given metric source only")


def _object_source(source: Obj, path: str) -> Iterator[Cause]:
    yield from _reference(source["describedObject"], f"{path}.describedObject")
    yield from _api_version(source["describedObject"], f"{path}.describedObject", needs_group=False)
    yield from _identified(source, path)
    target = source["target"]
    if target.get("value") is None and target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external_source(source: Obj, path: str) -> Iterator[Cause]:
    yield from _identified(source, path)
    given = [source["target"].get(name) is not None for name in ("value", "averageValue")]
    what = "a target value for metric {} a per-pod target"
    if not any(given):
        yield required(f"{path}.target.averageValue", f"must set either {what.format('or')}")
    if all(given):
        yield forbidden(f"{path}.target.value", f"may not set both {what.format('and')}")


def _pods_source(source: Obj, path: str) -> Iterator[Cause]:
    yield from _identified(source, path)
    if source["target"].get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _identified(source: Obj, path: str) -> Iterator[Cause]:
    name = source["metric"].get("name")
    if name:
        yield from all_of(f"{path}.metric.name", name, path_segment)
    else:
        yield required(f"{path}.metric.name", "must specify a metric name")
    yield from _metric_target(source["target"], f"{path}.target")


def _resource_source(source: Obj, path: str) -> Iterator[Cause]:
    if not source["name"]:
        yield required(f"{path}.name", "must specify a resource name")
    yield from _utilization(source["target"], f"{path}.target")


def _container_source(source: Obj, path: str) -> Iterator[Cause]:
    if source["name"]:
        yield from container_resource_name(f"{path}.name", source["name"])
    else:
        yield required(f"{path}.name", "must specify a resource name")
    if source["container"]:
        yield from all_of(f"{path}.container", source["container"], dns1123_label)
    else:
        yield required(f"{path}.container", "must specify a container")
    yield from _utilization(source["target"], f"{path}.target")


def _utilization(target: Obj, path: str) -> Iterator[Cause]:
    yield from _metric_target(target, path)
    given = [target.get(name) is not None for name in ("averageUtilization", "averageValue")]
    what = "a target raw value {} a target utilization"
    if not any(given):
        yield required(f"{path}.averageUtilization", f"must set either {what.format('or')}")
    if all(given):
        yield forbidden(f"{path}.averageValue", f"may not set both {what.format('and')}")


def _metric_target(target: Obj, path: str) -> Iterator[Cause]:
    kind = target["type"]
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in _TARGETS:
        yield invalid_value(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for name in ("value", "averageValue"):
        if target.get(name) is not None and amount(target[name]) <= 0:
            yield invalid_value(f"{path}.{name}", target[name], "must be positive")
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        yield invalid_value(f"{path}.averageUtilization", utilization, "must be greater than 0")


def _rules(rules: Obj, path: str) -> Iterator[Cause]:
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None and window < 0:
        yield invalid_value(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > _LONGEST_WINDOW:
        text = f"must be less than or equal to {_LONGEST_WINDOW}"
        yield invalid_value(f"{path}.stabilizationWindowSeconds", window, text)
    if select is not None and select not in _SELECT:
        yield not_supported(f"{path}.selectPolicy", select, _SELECT)
    policies = rules.get("policies", [])
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(policies):
        yield from _policy(policy, f"{path}.policies[{index}]")


def _policy(policy: Obj, path: str) -> Iterator[Cause]:
    if policy["type"] not in _POLICIES:
        yield not_supported(f"{path}.type", policy["type"], _POLICIES)
    for name in ("value", "periodSeconds"):
        if policy[name] <= 0:
            yield invalid_value(f"{path}.{name}", policy[name], "must be greater than zero")
    if policy["periodSeconds"] > _LONGEST_PERIOD:
        text = f"must be less than or equal to {_LONGEST_PERIOD}"
        yield invalid_value(f"{path}.periodSeconds", policy["periodSeconds"], text)


_CHECKS: dict[str, Callable[[Any, str], Iterator[Cause]]] = {
    "object": _object_source,
    "external": _external_source,
    "pods": _pods_source,
    "resource": _resource_source,
    "containerResource": _container_source,
}
