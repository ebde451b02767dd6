"""Where pods may run: affinities, tolerations, topology spread, gates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.formats import all_of, dns1123_label, label_value, qualified_name
from labctl.embedded.kinds.validation.meta import label_selector
from labctl.embedded.kinds.validation.node_selectors import node_selector, node_selector_term

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_POSITIVE = "must be greater than zero"


def affinity(given: Any, path: str) -> Iterator[Cause]:
    """`affinity` of a pod."""
    node = (given or {}).get("nodeAffinity") or {}
    at = f"{path}.nodeAffinity"
    if node.get(_REQUIRED) is not None:
        yield from node_selector(node[_REQUIRED], f"{at}.{_REQUIRED}")
    for index, term in enumerate(node.get(_PREFERRED, ())):
        where = f"{at}.{_PREFERRED}[{index}]"
        yield from _weight(term, where)
        yield from node_selector_term(term["preference"], f"{where}.preference", check_values=False)
    for name in ("podAffinity", "podAntiAffinity"):
        yield from _pod_affinity((given or {}).get(name) or {}, f"{path}.{name}")


def _pod_affinity(given: Obj, path: str) -> Iterator[Cause]:
    for index, term in enumerate(given.get(_REQUIRED, ())):
        yield from _pod_term(term, f"{path}.{_REQUIRED}[{index}]")
    for index, weighted in enumerate(given.get(_PREFERRED, ())):
        at = f"{path}.{_PREFERRED}[{index}]"
        yield from _weight(weighted, at)
        yield from _pod_term(weighted["podAffinityTerm"], f"{at}.podAffinityTerm")


def _weight(term: Obj, path: str) -> Iterator[Cause]:
    if not 0 < term["weight"] <= 100:
        yield invalid_value(f"{path}.weight", term["weight"], "must be in the range 1-100")


def _pod_term(term: Obj, path: str) -> Iterator[Cause]:
    for name in ("labelSelector", "namespaceSelector"):
        yield from label_selector(term.get(name), f"{path}.{name}")
    for namespace in term.get("namespaces", ()):
        yield from all_of(f"{path}.namespace", namespace, dns1123_label)
    yield from _label_keys(term, path)
    if not term["topologyKey"]:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from all_of(f"{path}.topologyKey", term["topologyKey"], qualified_name)


def _label_keys(holder: Obj, path: str) -> Iterator[Cause]:
    selector = holder.get("labelSelector")
    for name in ("matchLabelKeys", "mismatchLabelKeys"):
        keys = holder.get(name, ())
        if keys and selector is None:
            yield forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set")
            continue
        for index, key in enumerate(keys):
            yield from all_of(f"{path}.{name}[{index}]", key, qualified_name)
    yield from _selected_twice(holder.get("matchLabelKeys", []), selector or {}, path)
    for index, key in enumerate(holder.get("matchLabelKeys", ())):
        if key in holder.get("mismatchLabelKeys", ()):
            text = "exists in both matchLabelKeys and mismatchLabelKeys"
            yield invalid_value(f"{path}.matchLabelKeys[{index}]", key, text)


def _selected_twice(keys: list[str], selector: Obj, path: str) -> Iterator[Cause]:
    """A key may stand in the selector once: what `matchLabelKeys` added to it."""
    seen = set(selector.get("matchLabels", ()))
    for requirement in selector.get("matchExpressions", ()):
        key = requirement["key"]
        if key in keys and key in seen:
            text = "exists in both matchLabelKeys and labelSelector"
            yield invalid_value(f"{path}[{len(keys) - 1 - keys[::-1].index(key)}]", key, text)
        seen.add(key)


def tolerations(listed: list[Obj], path: str) -> Iterator[Cause]:
    """`tolerations` of a pod."""
    for index, item in enumerate(listed):
        at, key, effect = f"{path}[{index}]", item.get("key", ""), item.get("effect", "")
        operator = item.get("operator", "")
        if key:
            yield from all_of(f"{at}.key", key, qualified_name)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield invalid_value(f"{at}.operator", operator, text)
        if item.get("tolerationSeconds") is not None and effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid_value(f"{at}.effect", effect, text)
        yield from _toleration_value(item, operator, f"{at}.operator")
        if effect and effect not in _EFFECTS:
            yield not_supported(f"{at}.effect", effect, _EFFECTS)


def _toleration_value(item: Obj, operator: str, path: str) -> Iterator[Cause]:
    value = item.get("value", "")
    if operator in ("Equal", ""):
        problems = label_value(value)
        if problems:
            yield invalid_value(path, value, ";".join(problems))
    elif operator == "Exists":
        if value:
            yield invalid_value(path, value, "value must be empty when `operator` is 'Exists'")
    else:
        yield not_supported(path, operator, ("Equal", "Exists"))


def taints(listed: list[Obj], path: str) -> Iterator[Cause]:
    """`taints` of a node."""
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(listed):
        at, key, effect = f"{path}[{index}]", item["key"], item["effect"]
        yield from all_of(f"{at}.key", key, qualified_name)
        problems = label_value(item.get("value", ""))
        if problems:
            yield invalid_value(f"{at}.value", item["value"], ";".join(problems))
        if not effect:
            yield required(f"{at}.effect")
        elif effect not in _EFFECTS:
            yield not_supported(f"{at}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            cause = duplicate(at, {"Key": key, "Value": item.get("value", ""), "Effect": effect, "TimeAdded": None})
            text = f"{cause.message}: taints must be unique by key and effect pair"
            yield Cause(cause.type_, cause.field, text)
        seen.add((key, effect))


def spread(constraints: list[Obj], path: str) -> Iterator[Cause]:
    """`topologySpreadConstraints` of a pod."""
    for index, item in enumerate(constraints):
        at, key, action = f"{path}[{index}]", item["topologyKey"], item["whenUnsatisfiable"]
        if item["maxSkew"] <= 0:
            yield invalid_value(f"{at}.maxSkew", item["maxSkew"], _POSITIVE)
        if not key:
            yield required(f"{at}.topologyKey", "can not be empty")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            yield not_supported(f"{at}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
        if any((o["topologyKey"], o["whenUnsatisfiable"]) == (key, action) for o in constraints[index + 1 :]):
            yield duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        yield from _spread_options(item, at)


def _spread_options(item: Obj, path: str) -> Iterator[Cause]:
    least, action = item.get("minDomains"), item["whenUnsatisfiable"]
    if least is not None:
        if least <= 0:
            yield invalid_value(f"{path}.minDomains", least, _POSITIVE)
        if action != "DoNotSchedule":
            text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
            yield invalid_value(f"{path}.minDomains", least, text)
    for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if item.get(name) not in (None, "Honor", "Ignore"):
            yield not_supported(f"{path}.{name}", item[name], ("Honor", "Ignore"))
    yield from _label_keys(item, path)
    yield from label_selector(item.get("labelSelector"), f"{path}.labelSelector")


def gates(listed: list[Obj], path: str) -> Iterator[Cause]:
    """`schedulingGates` of a pod."""
    seen: set[str] = set()
    for index, gate in enumerate(listed):
        yield from all_of(f"{path}[{index}]", gate["name"], qualified_name)
        if gate["name"] in seen:
            yield duplicate(f"{path}[{index}]", gate["name"])
        seen.add(gate["name"])
