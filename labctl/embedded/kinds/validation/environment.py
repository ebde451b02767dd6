"""Environment variables of containers, and the fields of a pod that can be read through them or through volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.formats import (
    all_of,
    config_key,
    dns1123_label,
    dns1123_subdomain,
    environment_name,
    qualified_name,
)

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_KNOWN_FIELDS = frozenset(
    {
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.phase",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_CPU_DIVISORS = ("1m", "1")
_SUBSCRIPT = re.compile(r"(.*)\['(.*)'\]", re.DOTALL)


def variables(listed: list[Obj], path: str) -> Iterator[Cause]:
    """`env` of a container."""
    for index, variable in enumerate(listed):
        at = f"{path}[{index}]"
        if variable["name"]:
            yield from all_of(f"{at}.name", variable["name"], environment_name)
        else:
            yield required(f"{at}.name")
        if variable.get("valueFrom") is not None:
            yield from _value_from(variable, f"{at}.valueFrom")


def _value_from(variable: Obj, path: str) -> Iterator[Cause]:
    source = variable["valueFrom"]
    given = [name for name in _SOURCES if source.get(name) is not None]
    for name in given:
        reference, at = source[name], f"{path}.{name}"
        if name == "fieldRef":
            yield from field_reference(reference, at, _ENV_FIELDS)
        elif name == "resourceFieldRef":
            yield from resource_reference(reference, at, container_needed=False)
        else:
            yield from _key_reference(reference, at)
    if not given:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        yield invalid_value(path, "", f"must specify one of: {listed}")
    elif variable.get("value"):
        yield invalid_value(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid_value(path, "", "may not have more than one field specified at a time")


def _key_reference(reference: Obj, path: str) -> Iterator[Cause]:
    yield from all_of(f"{path}.name", reference.get("name", ""), dns1123_subdomain)
    if reference["key"]:
        yield from all_of(f"{path}.key", reference["key"], config_key)
    else:
        yield required(f"{path}.key")


def sources(listed: list[Obj], path: str) -> Iterator[Cause]:
    """`envFrom` of a container."""
    for index, source in enumerate(listed):
        at = f"{path}[{index}]"
        if source.get("prefix"):
            yield from all_of(f"{at}.prefix", source["prefix"], environment_name)
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in given:
            referred = source[name].get("name", "")
            if referred:
                yield from all_of(f"{at}.{name}.name", referred, dns1123_subdomain)
            else:
                yield required(f"{at}.{name}.name")
        if not given:
            yield invalid_value(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield invalid_value(path, "", "may not have more than one field specified at a time")


def field_reference(reference: Obj, path: str, allowed: tuple[str, ...]) -> Iterator[Cause]:
    """A `fieldRef`: a field of the pod, of those that can be read in this place."""
    version, field = reference.get("apiVersion", ""), reference["fieldPath"]
    if not version or not field:
        yield required(f"{path}.{'fieldPath' if version else 'apiVersion'}")
        return
    subscripted = _SUBSCRIPT.fullmatch(field)
    problem = _conversion_problem(version, field, subscripted[1] if subscripted else None)
    if problem:
        yield invalid_value(f"{path}.fieldPath", field, f"error converting fieldPath: {problem}")
    elif subscripted:
        key = subscripted[2].lower() if subscripted[1] == "metadata.annotations" else subscripted[2]
        yield from all_of(path, key, qualified_name)
    elif field not in allowed:
        yield not_supported(f"{path}.fieldPath", field, allowed)


def _conversion_problem(version: str, field: str, subscripted: str | None) -> str:
    if version != "v1":
        return f"unsupported pod version: {version}"
    if subscripted is not None:
        known = subscripted in ("metadata.annotations", "metadata.labels")
        return "" if known else f"field label does not support subscript: {field}"
    return "" if field in _KNOWN_FIELDS else f"field label not supported: {field}"


def resource_reference(reference: Obj, path: str, *, container_needed: bool) -> Iterator[Cause]:
    """A `resourceFieldRef`: an amount a container asks for, in a unit."""
    name = reference["resource"]
    if container_needed and not reference.get("containerName"):
        yield required(f"{path}.containerName")
    elif not name:
        yield required(f"{path}.resource")
    elif name not in _RESOURCES and not name.startswith(("requests.hugepages-", "limits.hugepages-")):
        yield not_supported(f"{path}.resource", name, _RESOURCES)
    divisor = reference.get("divisor", "0")
    kind = name.partition(".")[2]
    known = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "local ephemeral storage"}
    what = known.get(kind) or ("hugepages" if kind.startswith("hugepages-") else "")
    allowed = _CPU_DIVISORS if kind == "cpu" else _BYTE_DIVISORS
    if what and divisor not in ("0", *allowed):
        listed = "1m and 1" if kind == "cpu" else ", ".join(allowed)
        text = f"only divisor's values {listed} are supported with the {what} resource"
        yield invalid_value(f"{path}.divisor", name, text)


def file_key_references(spec: Obj, path: str) -> Iterator[Cause]:
    """Names of the volumes that `fileKeyRef` variables are read from."""
    for index, container in enumerate(spec.get("containers") or ()):
        for number, variable in enumerate(container.get("env", ())):
            reference = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if reference is not None:
                at = f"{path}.containers[{index}].env[{number}].valueFrom.fileKeyRef.volumeName"
                yield from all_of(at, reference["volumeName"], dns1123_label)
