"""`x-kubernetes-validations`: rules in CEL on parts of an object.

Source: k8s.io/apiextensions-apiserver v0.34.4 `pkg/apiserver/schema/cel/validation.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.embedded.api.custom.cel import compile_rule
from labctl.embedded.api.custom.celvalues import CelError
from labctl.embedded.api.custom.schemas import type_name
from labctl.embedded.kinds import field
from labctl.embedded.kinds.field import Cause

Schema = Mapping[str, Any]

_ABSENT = object()
_CAUSES = {
    "FieldValueInvalid": "FieldValueInvalid",
    "FieldValueForbidden": "FieldValueForbidden",
    "FieldValueRequired": "FieldValueRequired",
    "FieldValueDuplicate": "FieldValueDuplicate",
}


def has_rules(schema: Schema) -> bool:
    """Whether a schema or any part of it has rules."""
    return any(True for _ in _schemas(schema) if _.get("x-kubernetes-validations"))


def _schemas(schema: Schema) -> Iterator[Schema]:
    yield schema
    inner = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for item in inner:
        if isinstance(item, dict):
            yield from _schemas(item)


def unsupported(schema: Schema) -> list[str]:
    """The rules that cannot be evaluated here, each with the reason."""
    found: list[str] = []
    for part in _schemas(schema):
        for rule in part.get("x-kubernetes-validations") or ():
            try:
                compile_rule(rule.get("rule", ""))
            except CelError as error:
                found.append(f"{rule.get('rule', '')}: {error}")
    return found


def check(value: Any, old: Any, schema: Schema, path: str = "") -> Iterator[Cause]:
    """What the rules say against a value (and against its change, when `old` is given)."""
    for rule in schema.get("x-kubernetes-validations") or ():
        yield from _check_rule(rule, value, old, path)
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        before = old if isinstance(old, dict) else {}
        for key in sorted(value):
            inner = properties.get(key, others)
            if isinstance(inner, dict):
                place = f"{path}.{key}" if path else key
                yield from check(value[key], before.get(key, _ABSENT), inner, place)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        previous = _previous(old, schema)
        for index, item in enumerate(value):
            yield from check(item, previous(item), schema["items"], f"{path}[{index}]")


def _previous(old: Any, schema: Schema) -> Any:
    """Finds an item's earlier state: only in lists with keys can it be told."""
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    known: dict[tuple[str, ...], Any] = {}
    for item in old if isinstance(old, list) and keys else ():
        if isinstance(item, dict):
            known[tuple(str(item.get(key)) for key in keys)] = item

    def find(item: Any) -> Any:
        if not isinstance(item, dict):
            return _ABSENT
        return known.get(tuple(str(item.get(key)) for key in keys), _ABSENT)

    return find


def _check_rule(rule: Schema, value: Any, old: Any, path: str) -> Iterator[Cause]:
    text = rule.get("rule", "")
    scope = {"self": value}
    if "oldSelf" in text:
        if old is _ABSENT or old is None:
            return
        scope["oldSelf"] = old
    try:
        fulfilled = compile_rule(text)(scope)
    except CelError as error:
        if _compiles(text):
            yield field.invalid_value(path or "<nil>", type_name(value), f"rule: {text} failed: {error}")
        return
    if fulfilled is not True:
        place = path + (rule.get("fieldPath") or "") if path else (rule.get("fieldPath") or "").lstrip(".")
        reason = _CAUSES.get(rule.get("reason") or "FieldValueInvalid", "FieldValueInvalid")
        message = _message(rule, scope)
        if reason == "FieldValueInvalid":
            yield field.invalid_value(place or "<nil>", type_name(value), message)
        else:
            words = {"FieldValueForbidden": "Forbidden", "FieldValueRequired": "Required value"}
            yield Cause(reason, place or "<nil>", f"{words.get(reason, 'Duplicate value')}: {message}")


def _compiles(text: str) -> bool:
    try:
        compile_rule(text)
    except CelError:
        return False
    return True


def _message(rule: Schema, scope: Mapping[str, Any]) -> str:
    expression = rule.get("messageExpression")
    if expression:
        try:
            found = compile_rule(expression)(scope)
        except CelError:
            found = None
        if isinstance(found, str) and found.strip() and "\n" not in found:
            return found
    return rule.get("message") or f"failed rule: {rule.get('rule', '').strip()}"
