"""LimitRanges and ResourceQuotas: what they fill into new objects, and what they refuse.

Source: plugin/pkg/admission/limitranger and resourcequota (v1.34), whose texts these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.kinds import usage
from labctl.embedded.kinds.field import refused
from labctl.embedded.kinds.quantity import canonical, parse
from labctl.embedded.kinds.resources import Resource

_ANNOTATION = "kubernetes.io/limit-ranger"


def fill_in(pod: Obj, state: Clientset) -> None:
    """Give a pod's containers the requests and limits that its namespace's LimitRanges have for them, in place."""
    for item in state.list("limitranges", pod["metadata"].get("namespace", "")):
        limits: dict[str, str] = {}
        requests: dict[str, str] = {}
        for limit in (item.get("spec") or {}).get("limits") or ():
            if limit.get("type") == "Container":
                limits |= limit.get("default") or {}
                requests |= limit.get("defaultRequest") or {}
        spec = pod["spec"]
        told = [
            *_filled(spec.get("containers") or (), "container", requests, limits),
            *_filled(spec.get("initContainers") or (), "init container", requests, limits),
        ]
        if told:
            annotations = pod["metadata"].setdefault("annotations", {})
            annotations[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(told)


def _filled(containers: Iterable[Obj], what: str, requests: dict[str, str], limits: dict[str, str]) -> Iterator[str]:
    """Fill in, and tell what was filled in."""
    for container in containers:
        resources: Obj = container.setdefault("resources", {})
        for kind, defaults in (("requests", requests), ("limits", limits)):
            given = resources.get(kind) or {}
            missing = {name: amount for name, amount in defaults.items() if name not in given}
            if missing:
                resources[kind] = given | missing
                yield f"{', '.join(sorted(missing))} {kind.removesuffix('s')} for {what} {container['name']}"


def check(resource: Resource, obj: Obj, state: Clientset) -> None:
    """Refuse what LimitRanges or ResourceQuotas do not allow.

    Raises:
        ApiError: 403.
    """
    namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"].get("name", "")
    if not namespace:
        return
    if resource.key in ("pods", "persistentvolumeclaims"):
        for item in state.list("limitranges", namespace):
            problems = list(_problems(item, resource.key, obj))
            if problems:
                raise refused(resource, name, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    for quota in state.list("resourcequotas", namespace):
        reason = _exceeded(quota, resource.key, obj, state)
        if reason:
            raise refused(resource, name, reason)


def _problems(item: Obj, resource: str, obj: Obj) -> Iterator[str]:
    spec = obj["spec"]
    for limit in (item.get("spec") or {}).get("limits") or ():
        kind = limit.get("type", "")
        if resource == "persistentvolumeclaims":
            if kind == "PersistentVolumeClaim":
                requests = (spec.get("resources") or {}).get("requests") or {}
                yield from _bounds(limit, requests, dict(requests))
        elif kind == "Container":
            for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
                resources = container.get("resources") or {}
                yield from _bounds(limit, resources.get("requests") or {}, resources.get("limits") or {})
        elif kind == "Pod":
            containers = spec.get("containers") or ()
            sums = [
                _sums([(c.get("resources") or {}).get(k) or {} for c in containers]) for k in ("requests", "limits")
            ]
            yield from _bounds(limit, *sums)


def _sums(parts: list[dict[str, str]]) -> dict[str, str]:
    """What all of them have, in sum; a name that one of them lacks is left out."""
    names = set.intersection(*(set(part) for part in parts)) if parts else set()
    return {name: usage.written(name, sum((parse(str(part[name])) for part in parts), Fraction(0))) for name in names}


def _bounds(limit: Obj, requests: dict[str, str], limits: dict[str, str]) -> Iterator[str]:
    kind = limit["type"]
    for name, bound in (limit.get("min") or {}).items():
        words = f"minimum {name} usage per {kind} is {canonical(str(bound))}"
        if name not in requests:
            yield f"{words}.  No request is specified"
        elif parse(str(requests[name])) < parse(str(bound)):
            yield f"{words}, but request is {canonical(str(requests[name]))}"
        elif name in limits and parse(str(limits[name])) < parse(str(bound)):
            yield f"{words}, but limit is {canonical(str(limits[name]))}"
    for name, bound in (limit.get("max") or {}).items():
        words = f"maximum {name} usage per {kind} is {canonical(str(bound))}"
        if name not in limits:
            yield f"{words}.  No limit is specified"
        elif parse(str(limits[name])) > parse(str(bound)):
            yield f"{words}, but limit is {canonical(str(limits[name]))}"
        elif name in requests and parse(str(requests[name])) > parse(str(bound)):
            yield f"{words}, but request is {canonical(str(requests[name]))}"
    for name, bound in (limit.get("maxLimitRequestRatio") or {}).items():
        yield from _ratio(kind, name, str(bound), requests, limits)


def _ratio(kind: str, name: str, bound: str, requests: dict[str, str], limits: dict[str, str]) -> Iterator[str]:
    words = f"{name} max limit to request ratio per {kind} is {canonical(bound)}"
    request, limit = parse(str(requests.get(name, 0))), parse(str(limits.get(name, 0)))
    if not request:
        yield f"{words}, but no request is specified or request is 0"
    elif not limit:
        yield f"{words}, but no limit is specified or limit is 0"
    elif limit / request > parse(bound):
        yield f"{words}, but provided ratio is {float(limit / request):.6f}"


def _exceeded(quota: Obj, resource: str, obj: Obj, state: Clientset) -> str:
    """Why a quota does not allow a new object; empty when it does."""
    if resource == "pods" and not usage.in_scope(quota, obj):
        return ""
    name, namespace = quota["metadata"]["name"], quota["metadata"]["namespace"]
    hard = {key: parse(str(amount)) for key, amount in ((quota.get("spec") or {}).get("hard") or {}).items()}
    if resource == "pods":
        missing = _unspecified(hard, obj)
        if missing:
            return f"failed quota: {name}: must specify {missing}"
    asked = {key: amount for key, amount in usage.names_of(resource, obj).items() if key in hard and amount}
    used = {key: usage.used(quota, key, lambda kind: state.list(kind, namespace)) for key in asked}
    over = sorted(key for key, amount in asked.items() if used[key] + amount > hard[key])
    if not over:
        return ""
    shown = [",".join(f"{key}={usage.written(key, table[key])}" for key in over) for table in (asked, used, hard)]
    return f"exceeded quota: {name}, requested: {shown[0]}, used: {shown[1]}, limited: {shown[2]}"


def _unspecified(hard: Iterable[str], pod: Obj) -> str:
    """What a quota on computing asks every container to say, and who does not."""
    spec = pod["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    told: list[str] = []
    for key in sorted(hard):
        kind, _, base = key.rpartition(".")
        if base not in usage.COMPUTE or kind not in ("", "requests", "limits"):
            continue
        silent = sorted({str(c["name"]) for c in containers if base not in usage.amounts(c, kind or "requests")})
        if silent:
            told.append(f"{key} for: {','.join(silent)}")
    return "; ".join(told)
