"""ResourceQuotas and LimitRanges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, required
from labctl.embedded.kinds.validation.amounts import (
    amount,
    amount_of,
    container_resource_name,
    quota_resource_name,
    resource_name,
)
from labctl.embedded.kinds.validation.formats import all_of, qualified_name

_POD_SCOPES = ("NotBestEffort", "Terminating", "NotTerminating", "PriorityClass", "CrossNamespacePodAffinity")
_SCOPES = ("BestEffort", "VolumeAttributesClass", *_POD_SCOPES)


def resource_quota(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ResourceQuota."""
    spec = obj["spec"]
    for name, value in spec.get("hard", {}).items():
        yield from quota_resource_name(f"spec.hard[{name}]", name)
        yield from amount_of(f"spec.hard[{name}]", name, value)
    scopes = spec.get("scopes", [])
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid_value("spec.scopes", scopes, "unsupported scope")
        for name in sorted(spec.get("hard", {})):
            if not _scope_limits(scope, name):
                yield invalid_value("spec.scopes", scopes, "unsupported scope applied to resource")
    if {"BestEffort", "NotBestEffort"} <= set(scopes) or {"Terminating", "NotTerminating"} <= set(scopes):
        yield invalid_value("spec.scopes", scopes, "conflicting scopes")
    if old is not None and set(old["spec"].get("scopes", ())) != set(scopes):
        yield invalid_value("spec.scopes", scopes, "field is immutable")


def _scope_limits(scope: str, name: str) -> bool:
    if scope == "BestEffort":
        return name == "pods"
    if scope in _POD_SCOPES:
        return (
            name == "pods" or name.rpartition(".")[2] in ("cpu", "memory", "ephemeral-storage") or "hugepages" in name
        )
    return True


_LIMIT_TYPES = ("Container", "Pod", "PersistentVolumeClaim")


def limit_range(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A LimitRange."""
    seen: set[str] = set()
    for index, item in enumerate(obj["spec"]["limits"] or ()):
        path, kind = f"spec.limits[{index}]", item["type"]
        if qualified_name(kind):
            yield from all_of(f"{path}.type", kind, qualified_name)
        elif "/" not in kind and kind not in _LIMIT_TYPES:
            yield invalid_value(f"{path}.type", kind, "must be a standard limit type or fully qualified")
        if kind in seen:
            yield duplicate(f"{path}.type", kind)
        seen.add(kind)
        yield from _limit_item(item, path)


def _limit_item(item: Obj, path: str) -> Iterator[Cause]:
    sides = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
    check = resource_name if "/" in item["type"] or item["type"] == "PersistentVolumeClaim" else container_resource_name
    names: set[str] = set()
    for side in sides:
        if side in ("default", "defaultRequest") and item["type"] == "Pod":
            if item.get(side):
                yield forbidden(f"{path}.{side}", "may not be specified when `type` is 'Pod'")
            continue
        for name in item.get(side, {}):
            yield from check(f"{path}.{side}[{name}]", name)
        names |= set(item.get(side, {}))
    if item["type"] == "PersistentVolumeClaim" and not (
        "storage" in item.get("min", {}) or "storage" in item.get("max", {})
    ):
        yield required(
            f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"
        )
    for name in sorted(names):
        yield from _limit_order(item, path, name)


def _limit_order(item: Obj, path: str, name: str) -> Iterator[Cause]:
    """The least is not more than the default request, that not more than the default, that not more than the most."""
    values = {side: item.get(side, {}).get(name) for side in ("min", "max", "default", "defaultRequest")}
    low, high, default, request = values["min"], values["max"], values["default"], values["defaultRequest"]
    where = {side: f"{path}.{side}[{name}]" for side in values}

    def above(first: Any, second: Any) -> bool:
        return first is not None and second is not None and amount(first) > amount(second)

    if above(low, high):
        yield invalid_value(where["min"], low, f"min value {low} is greater than max value {high}")
    if above(low, request):
        yield invalid_value(
            where["defaultRequest"], request, f"min value {low} is greater than default request value {request}"
        )
    if above(request, high):
        text = f"default request value {request} is greater than max value {high}"
        yield invalid_value(where["defaultRequest"], request, text)
    if above(request, default):
        text = f"default request value {request} is greater than default limit value {default}"
        yield invalid_value(where["defaultRequest"], request, text)
    if above(low, default):
        yield invalid_value(where["default"], low, f"min value {low} is greater than default value {default}")
    if above(default, high):
        yield invalid_value(where["default"], high, f"default value {default} is greater than max value {high}")
    yield from _ratio(item, path, name)


def _ratio(item: Obj, path: str, name: str) -> Iterator[Cause]:
    ratio = item.get("maxLimitRequestRatio", {}).get(name)
    if ratio is None:
        return
    where = f"{path}.maxLimitRequestRatio[{name}]"
    if amount(ratio) < 1:
        yield invalid_value(where, ratio, f"ratio {ratio} is less than 1")
    low, high = item.get("min", {}).get(name), item.get("max", {}).get(name)
    if low is not None and high is not None and amount(low) and amount(ratio) > amount(high) / amount(low):
        shown = float(amount(high) / amount(low))
        yield invalid_value(where, ratio, f"ratio {ratio} is greater than max/min = {shown:f}")
