"""CustomResourceDefinitions, apart from their schemas.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation. The server's own type has what all versions share at
the top of the spec, so faults of a schema that is the same in all versions are those of `spec.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid_value, not_supported, required
from labctl.embedded.kinds.validation import definition_schemas
from labctl.embedded.kinds.validation.formats import dns1035_label, dns1123_subdomain, immutable

_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SHARED = {
    "schema": ("validation", "Schema"),
    "subresources": ("subresources", "Subresources"),
    "additionalPrinterColumns": ("additionalPrinterColumns", "AdditionalPrinterColumns"),
    "selectableFields": ("selectableFields", "SelectableFields"),
}
_PROTECTED = ("k8s.io", "kubernetes.io")
_APPROVAL = "api-approved.kubernetes.io"


def definition_name(obj: Obj, name: str) -> list[str]:
    """The name of a definition follows from what it defines."""
    problems = dns1123_subdomain(name)
    spec = obj["spec"]
    if name != f"{spec['names'].get('plural', '')}.{spec.get('group', '')}":
        problems.append('must be spec.names.plural+"."+spec.group')
    return problems


def definition(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A CustomResourceDefinition."""
    spec = obj["spec"]
    yield from _group(spec.get("group", ""))
    scope = spec.get("scope", "")
    if not scope:
        yield required("spec.scope")
    elif scope not in _SCOPES:
        yield not_supported("spec.scope", scope, _SCOPES)
    versions: list[Obj] = spec.get("versions") or []
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
    yield from _versions(versions)
    yield from _names(spec["names"], "spec.names")
    yield from _conversion(spec.get("conversion"), "spec.conversion")
    if old is not None:
        yield from _update(obj, old)
    yield from _stored_versions((obj.get("status") or {}).get("storedVersions") or [], versions)
    yield from _approval(obj, old)


def _group(group: str) -> Iterator[Cause]:
    problems = dns1123_subdomain(group)
    if not group:
        yield required("spec.group")
    elif problems:
        yield invalid_value("spec.group", group, ",".join(problems))
    elif "." not in group:
        yield invalid_value("spec.group", group, "should be a domain with at least one dot")


def _versions(versions: list[Obj]) -> Iterator[Cause]:
    shared = {name for name in _SHARED if versions and all(_same(one, versions[0], name) for one in versions)}
    status = [name for name in ("subresources",) if name in shared]
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        problems = dns1035_label(version["name"])
        if problems:
            yield invalid_value(f"{path}.name", version["name"], ",".join(problems))
        for name in _SHARED:
            if name not in shared:
                yield from _part(version, name, f"{path}.{name}")
    names = [version["name"] for version in versions]
    shown = [_internal(version, shared) for version in versions] or None
    if len(set(names)) < len(names):
        yield invalid_value("spec.versions", shown, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid_value("spec.versions", shown, "must have exactly one version marked as storage version")
    for name in (*status, *(shared - set(status))):
        yield from _part(versions[0], name, f"spec.{_SHARED[name][0]}")


def _same(one: Obj, other: Obj, name: str) -> bool:
    return bool((one.get(name) or None) == (other.get(name) or None))


def _internal(version: Obj, shared: set[str]) -> Obj:
    shown: Obj = {
        "Name": version["name"],
        "Served": version["served"],
        "Storage": version["storage"],
        "Deprecated": bool(version.get("deprecated")),
        "DeprecationWarning": version.get("deprecationWarning"),
    }
    for name, (_, own) in _SHARED.items():
        shown[own] = None if name in shared else version.get(name)
    return shown


def _part(version: Obj, name: str, path: str) -> Iterator[Cause]:
    value = version.get(name)
    if value is not None:
        yield from _PARTS[name](value, path, "status" in (version.get("subresources") or {}))


def _schema(schema: Obj, path: str, has_status: bool) -> Iterator[Cause]:
    if schema.get("openAPIV3Schema") is not None:
        yield from definition_schemas.schema(
            schema["openAPIV3Schema"], f"{path}.openAPIV3Schema", has_status=has_status
        )


def _subresources(subresources: Obj, path: str, _: bool) -> Iterator[Cause]:
    scale = subresources.get("scale")
    if scale is None:
        return
    for name, roots in (("specReplicasPath", (".spec.",)), ("statusReplicasPath", (".status.",))):
        if scale.get(name):
            yield from _scale_path(scale[name], f"{path}.scale.{name}", roots)
        else:
            yield required(f"{path}.scale.{name}")
    if scale.get("labelSelectorPath"):
        yield from _scale_path(scale["labelSelectorPath"], f"{path}.scale.labelSelectorPath", (".spec.", ".status."))


def _scale_path(value: str, path: str, roots: tuple[str, ...]) -> Iterator[Cause]:
    if not value.startswith("."):
        yield invalid_value(path, value, "must be a simple json path starting with .")
    elif not value.startswith(roots):
        where = f"either {roots[0][:-1]} or {roots[1][:-1]}" if len(roots) > 1 else roots[0][:-1]
        yield invalid_value(path, value, f"should be a json path under {where}")


def _columns(columns: list[Obj], path: str, _: bool) -> Iterator[Cause]:
    for index, column in enumerate(columns):
        at = f"{path}[{index}]"
        if not column["name"]:
            yield required(f"{at}.name")
        text = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not column["type"]:
            yield required(f"{at}.type", text)
        elif column["type"] not in _COLUMN_TYPES:
            yield invalid_value(f"{at}.type", column["type"], text)
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            yield invalid_value(f"{at}.format", column["format"], f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not column["jsonPath"]:
            yield required(f"{at}.JSONPath")
        elif not column["jsonPath"].startswith("."):
            yield invalid_value(f"{at}.JSONPath", column["jsonPath"], "must be a simple json path starting with .")


def _selectable_fields(fields: list[Obj], path: str, _: bool) -> Iterator[Cause]:
    for index, field in enumerate(fields):
        if not field["jsonPath"]:
            yield required(f"{path}[{index}].jsonPath")
        elif field["jsonPath"].startswith(".metadata"):
            yield invalid_value(f"{path}[{index}].jsonPath", field["jsonPath"], "must not point to fields in metadata")


def _names(names: Obj, path: str) -> Iterator[Cause]:
    for name in ("plural", "singular", "kind", "listKind"):
        if not names.get(name):
            yield required(f"{path}.{name}")
    yield from _labels_of(names, path)
    for name in ("kind", "listKind"):
        problems = dns1035_label(names[name].lower()) if names.get(name) else []
        if problems:
            text = f"may have mixed case, but should otherwise match: {','.join(problems)}"
            yield invalid_value(f"{path}.{name}", names[name], text)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        yield invalid_value(f"{path}.listKind", names["kind"], "kind and listKind may not be the same")


def _labels_of(names: Obj, path: str) -> Iterator[Cause]:
    given = [(f"{path}.{name}", names[name]) for name in ("plural", "singular") if names.get(name)]
    for name in ("shortNames", "categories"):
        given += [(f"{path}.{name}[{index}]", item) for index, item in enumerate(names.get(name, ()))]
    for at, value in given:
        problems = dns1035_label(value)
        if problems:
            yield invalid_value(at, value, ",".join(problems))


def _conversion(conversion: Any, path: str) -> Iterator[Cause]:
    if conversion is None:
        return
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook")
    if not strategy:
        yield required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        yield not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook" and (webhook or {}).get("clientConfig") is None:
        yield required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
    if strategy == "Webhook" and not (webhook or {}).get("conversionReviewVersions"):
        yield required(f"{path}.conversionReviewVersions")


def _update(obj: Obj, old: Obj) -> Iterator[Cause]:
    spec, before = obj["spec"], old["spec"]
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
        yield from immutable("spec.scope", spec.get("scope"), before.get("scope"))
        yield from immutable("spec.names.kind", spec["names"].get("kind"), before["names"].get("kind"))
    yield from immutable("spec.group", spec.get("group"), before.get("group"))
    yield from immutable("spec.names.plural", spec["names"].get("plural"), before["names"].get("plural"))


def _stored_versions(stored: list[str], versions: list[Obj]) -> Iterator[Cause]:
    path = "status.storedVersions"
    if not stored:
        yield invalid_value(path, stored, "must have at least one stored version")
        return
    known = {version["name"] for version in versions}
    for version in versions:
        if version.get("storage") and version["name"] not in stored:
            yield invalid_value(path, stored, f"must have the storage version {version['name']}")
    for index, name in enumerate(stored):
        if name not in known:
            text = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions"
                f" until a storage migration ensures no data remains persisted in {name} and removes {name} from"
                " status.storedVersions"
            )
            yield invalid_value(f"{path}[{index}]", name, text)


def _approval(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    group = obj["spec"].get("group", "")
    if not any(group == name or group.endswith(f".{name}") for name in _PROTECTED):
        return
    before = None if old is None else old["metadata"].get("annotations", {}).get(_APPROVAL, "")
    given = obj["metadata"].get("annotations", {}).get(_APPROVAL, "")
    if given or before == given:
        return
    text = (
        f'protected groups must have approval annotation "{_APPROVAL}",'
        " see https://github.com/kubernetes/enhancements/pull/1111"
    )
    yield required(f"metadata.annotations[{_APPROVAL}]", text)


_PARTS: dict[str, Callable[[Any, str, bool], Iterator[Cause]]] = {
    "schema": _schema,
    "subresources": _subresources,
    "additionalPrinterColumns": _columns,
    "selectableFields": _selectable_fields,
}
