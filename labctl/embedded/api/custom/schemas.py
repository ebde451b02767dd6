"""Structural schemas: unknown fields, defaults, validation.

Source: k8s.io/apiextensions-apiserver v0.34.4 `pkg/apiserver/schema` and k8s.io/kube-openapi `pkg/validation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from labctl.embedded.api.jsonvalue import copy, equal
from labctl.embedded.kinds import field
from labctl.embedded.kinds.field import Cause

Schema = Mapping[str, Any]

_ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Any, schema: Schema | None, path: str = "", *, keep: bool = False) -> list[str]:
    """Remove what a schema does not know, in place; returns its paths.

    Args:
        value: The object or a part of it.
        schema: Its schema; None knows nothing.
        path: Where the part is.
        keep: Only say what would be removed.
    """
    found: list[str] = []
    preserve = schema is not None and bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if isinstance(value, dict):
        for key in list(value):
            inner, known = _schema_of(schema, key)
            embedded = schema is not None and schema.get("x-kubernetes-embedded-resource")
            if key in _ROOT_FIELDS and (not path or embedded):
                continue
            place = f"{path}.{key}" if path else key
            if known:
                found += prune(value[key], inner, place, keep=keep)
            elif not preserve:
                found.append(place)
                if not keep:
                    del value[key]
    elif isinstance(value, list):
        items = schema.get("items") if schema is not None else None
        if items is not None or not preserve:
            for index, item in enumerate(value):
                found += prune(item, items, f"{path}[{index}]", keep=keep)
    return found


def _schema_of(schema: Schema | None, key: str) -> tuple[Schema | None, bool]:
    if schema is None:
        return None, False
    properties = schema.get("properties") or {}
    if key in properties:
        return properties[key], True
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return values, True
    return None, values is True


def set_defaults(value: Any, schema: Schema | None) -> None:
    """Fill in the defaults of a schema, in place; a null where none may be counts as missing."""
    if schema is None:
        return
    if isinstance(value, dict):
        for key, inner in (schema.get("properties") or {}).items():
            if "default" in inner and (key not in value or (value[key] is None and not inner.get("nullable"))):
                value[key] = copy(inner["default"])
        for key, item in list(value.items()):
            inner, known = _schema_of(schema, key)
            if known and item is None and inner is not None and not inner.get("nullable"):
                # A null that is not allowed counts as not given.
                del value[key]
            elif known:
                set_defaults(item, inner)
    elif isinstance(value, list):
        for item in value:
            set_defaults(item, schema.get("items"))


def validate(value: Any, schema: Schema, path: str = "") -> list[Cause]:
    """What is wrong with a value."""
    return list(_validate(value, schema, path))


def _validate(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    wrong = _type_problem(value, schema, path)
    if wrong:
        yield wrong
        return
    if isinstance(value, str):
        yield from _string(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _array(value, schema, path)
    yield from _enumeration(value, schema, path)
    if isinstance(value, dict):
        yield from _object(value, schema, path)
    yield from _compositions(value, schema, path)


def _said(path: str, words: str) -> str:
    return f"{path or '<nil>'} in body {words}"


def _invalid(path: str, value: Any, words: str) -> Cause:
    return field.invalid_value(path, value, _said(path, words))


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def type_name(value: Any) -> str:
    """The JSON schema type of a value."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null")


def _type_problem(value: Any, schema: Schema, path: str) -> Cause | None:
    if schema.get("x-kubernetes-int-or-string"):
        wanted = ["integer", "string"]
    else:
        wanted = [schema["type"]] if schema.get("type") else []
    given = type_name(value)
    fits = given in wanted or (given == "integer" and "number" in wanted)
    if isinstance(value, float) and value.is_integer() and "integer" in wanted:
        fits = True
    if not wanted or fits:
        return None
    words = _said(path, f'must be of type {",".join(wanted)}: "{given}"')
    return Cause("FieldValueTypeInvalid", path or "<nil>", f"Invalid value: {field.quote(given)}: {words}")


def _string(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if longest is not None and len(value) > longest:
        yield field.too_long(path, longest)
    elif shortest is not None and len(value) < shortest:
        yield _invalid(path, value, f"should be at least {shortest} chars long")
    elif pattern and not _compiled(pattern).search(value):
        yield _invalid(path, value, f"should match '{pattern}'")
    elif schema.get("format") and not _fits_format(value, schema["format"]):
        name = schema["format"]
        yield _invalid(path, value, f'must be of type {name}: "{value}"')


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    # RE2 and Python agree on what these patterns use; `\z` is the exception.
    try:
        return re.compile(pattern.replace(r"\z", r"\Z"), re.ASCII)
    except re.error:
        return re.compile("")


_FORMATS = {
    "date": r"\d{4}-\d{2}-\d{2}",
    "date-time": r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?",
    "ipv4": r"((25[0-5]|2[0-4]\d|1?\d?\d)(\.|$)){4}",
    "uuid": r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}",
    "byte": r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
    "email": r"[^@\s]+@[^@\s]+",
    "hostname": r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*",
}


def _fits_format(value: str, name: str) -> bool:
    pattern = _FORMATS.get(name)
    return pattern is None or re.fullmatch(pattern, value, re.ASCII) is not None


def _number(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    highest, lowest, factor = schema.get("maximum"), schema.get("minimum"), schema.get("multipleOf")
    if factor and value % factor != 0:
        yield _invalid(path, value, f"should be a multiple of {_shown(factor)}")
    if highest is not None:
        if schema.get("exclusiveMaximum") and value >= highest:
            yield _invalid(path, value, f"should be less than {_shown(highest)}")
        elif value > highest:
            yield _invalid(path, value, f"should be less than or equal to {_shown(highest)}")
    if lowest is not None:
        if schema.get("exclusiveMinimum") and value <= lowest:
            yield _invalid(path, value, f"should be greater than {_shown(lowest)}")
        elif value < lowest:
            yield _invalid(path, value, f"should be greater than or equal to {_shown(lowest)}")


def _shown(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) and not number.is_integer() else str(int(number))


def _array(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _validate(item, items, f"{path}[{index}]")
    most, least = schema.get("maxItems"), schema.get("minItems")
    if least is not None and len(value) < least:
        yield _invalid(path, len(value), f"should have at least {least} items")
    if most is not None and len(value) > most:
        yield field.too_many(path, len(value), most)
    yield from _list_type(value, schema, path)


def _list_type(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("set", "map"):
        return
    seen: list[Any] = []
    for index, item in enumerate(value):
        key = item if kind == "set" else {name: item.get(name) for name in keys if isinstance(item, dict)}
        if any(equal(key, other) for other in seen):
            yield field.duplicate(f"{path}[{index}]", key)
        else:
            seen.append(key)


def _enumeration(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed and not any(equal(value, item) for item in allowed):
        yield field.not_supported(path, value, [str(item) for item in allowed])


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if least is not None and len(value) < least:
        yield _invalid(path, len(value), f"should have at least {least} properties")
    if most is not None and len(value) > most:
        yield field.too_many(path, len(value), most)
    prefix = f"{path}." if path else ""
    properties = schema.get("properties") or {}
    values = schema.get("additionalProperties")
    for key in sorted(value):
        inner = properties.get(key, values)
        if isinstance(inner, dict) and not (not path and key == "metadata"):
            yield from _validate(value[key], inner, prefix + key)
    for key in schema.get("required") or ():
        if key not in value:
            yield field.required(prefix + key)


def _compositions(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    name = f'"{path}"'
    any_of, one_of, all_of, forbidden = (schema.get(key) for key in ("anyOf", "oneOf", "allOf", "not"))
    if any_of and all(validate(value, item, path) for item in any_of):
        yield field.invalid_value(path, "", f"{name} must validate at least one schema (anyOf)")
        yield from min((validate(value, item, path) for item in any_of), key=len)
    if one_of:
        outcomes = [validate(value, item, path) for item in one_of]
        valid = sum(1 for outcome in outcomes if not outcome)
        if valid != 1:
            more = f"Found {valid} valid alternatives" if valid else "Found none valid"
            yield field.invalid_value(path, "", f"{name} must validate one and only one schema (oneOf). {more}")
            if not valid:
                yield from min(outcomes, key=len)
    if all_of:
        problems = [cause for item in all_of for cause in validate(value, item, path)]
        if problems:
            none = ". None validated" if all(validate(value, item, path) for item in all_of) else ""
            yield field.invalid_value(path, "", f"{name} must validate all the schemas (allOf){none}")
            yield from problems
    if forbidden is not None and not validate(value, forbidden, path):
        yield field.invalid_value(path, "", f"{name} must not validate the schema (not)")
