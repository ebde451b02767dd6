"""Amounts of resources: their names, quantities, and requests against limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import quantity
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, not_found, not_supported, required
from labctl.embedded.kinds.validation.formats import NOT_NEGATIVE, all_of, dns1123_label, qualified_name

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_OBJECT_COUNTS = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_QUOTA = frozenset(
    {*_COMPUTE, *_OBJECT_COUNTS, "requests.storage"}
    | {f"{side}.{name}" for side in ("requests", "limits") for name in _COMPUTE}
)
_STANDARD = _QUOTA | {"storage"}
_INTEGERS = frozenset({*_OBJECT_COUNTS})
_HUGE = "hugepages-"

NameCheck = Callable[[str, str], Iterator[Cause]]


def amount(value: Any) -> Fraction:
    """A quantity's value."""
    return quantity.parse(str(value))


def not_negative_amount(path: str, value: Any) -> Iterator[Cause]:
    """A quantity of at least zero."""
    if amount(value) < 0:
        yield invalid_value(path, value, NOT_NEGATIVE)


def amount_of(path: str, name: str, value: Any) -> Iterator[Cause]:
    """A quantity that suits its resource: not negative, and whole for what is counted."""
    yield from not_negative_amount(path, value)
    if (name in _INTEGERS or _is_extended(name)) and amount(value).denominator != 1:
        yield invalid_value(path, value, "must be an integer")


def resource_name(path: str, name: str) -> Iterator[Cause]:
    """A standard resource, or one with a domain in front."""
    problems = qualified_name(name)
    for text in problems:
        yield invalid_value(path, name, text)
    if not problems and "/" not in name and name not in _STANDARD and not name.startswith((_HUGE, "requests." + _HUGE)):
        yield invalid_value(path, name, "must be a standard resource type or fully qualified")


def container_resource_name(path: str, name: str) -> Iterator[Cause]:
    """A resource that a container can ask for."""
    yield from resource_name(path, name)
    if "/" not in name:
        if name not in _COMPUTE and not name.startswith(_HUGE):
            yield invalid_value(path, name, "must be a standard resource for containers")
    elif "kubernetes.io/" not in name and not _is_extended(name):
        yield invalid_value(path, name, "doesn't follow extended resource name standard")


def pod_resource_name(path: str, name: str) -> Iterator[Cause]:
    """A resource that a pod can ask for as a whole."""
    causes = list(resource_name(path, name))
    yield from causes
    if not causes and name not in ("cpu", "memory") and not name.startswith(_HUGE):
        yield not_supported(path, name, ("cpu", "hugepages-*", "memory"))


def quota_resource_name(path: str, name: str) -> Iterator[Cause]:
    """A resource that a quota can limit."""
    yield from resource_name(path, name)
    if "/" not in name and name not in _QUOTA and not name.startswith((_HUGE, "requests." + _HUGE)):
        yield invalid_value(path, name, "must be a standard resource for quota")


def _is_extended(name: str) -> bool:
    if "/" not in name or "kubernetes.io/" in name or name.startswith("requests."):
        return False
    return not qualified_name(f"requests.{name}")


def _overcommits(name: str) -> bool:
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith(_HUGE)


def requirements(
    resources: Obj, path: str, check_name: NameCheck = container_resource_name, claims: frozenset[str] = frozenset()
) -> Iterator[Cause]:
    """Requests and limits of a container (or pod)."""
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for name, value in limits.items():
        yield from _one(f"{path}.limits[{name}]", name, value, check_name)
    for name, value in requests.items():
        yield from _one(f"{path}.requests[{name}]", name, value, check_name)
        yield from _within_limit(path, name, value, limits)
    names = {*limits, *requests}
    if any(name.startswith(_HUGE) for name in names) and not names & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")
    yield from _claims(resources.get("claims", []), f"{path}.claims", claims)


def _one(path: str, name: str, value: Any, check_name: NameCheck) -> Iterator[Cause]:
    yield from check_name(path, name)
    yield from amount_of(path, name, value)
    if name.startswith(_HUGE):
        try:
            size = amount(name.removeprefix(_HUGE))
        except quantity.QuantityError:
            size = Fraction(0)
        if not size or (amount(value) / size).denominator != 1:
            yield invalid_value(path, value, f"{value} is not positive integer multiple of {name}")


def _within_limit(path: str, name: str, value: Any, limits: Obj) -> Iterator[Cause]:
    if name not in limits:
        if not _overcommits(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    limit = limits[name]
    if amount(value) != amount(limit) and not _overcommits(name):
        yield invalid_value(f"{path}.requests", value, f"must be equal to {name} limit of {limit}")
    elif amount(value) > amount(limit):
        yield invalid_value(f"{path}.requests", value, f"must be less than or equal to {name} limit of {limit}")


def _claims(claims: list[Obj], path: str, known: frozenset[str]) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        at, name, request = f"{path}[{index}]", claim["name"], claim.get("request", "")
        if not name:
            yield required(at)
            continue
        key = f"{name}/{request}" if request else name
        if request:
            yield from all_of(f"{at}.request", request, dns1123_label)
        if name in seen or key in seen or (not request and any(k.startswith(f"{name}/") for k in seen)):
            yield duplicate(at, key)
        seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            cause = not_found(at, name)
            text = f"{cause.message}: must be one of the names in pod.spec.resourceClaims{listed}"
            yield Cause(cause.type_, cause.field, text)
