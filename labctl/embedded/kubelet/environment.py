"""A container's environment: literal values, references, the downward API, and the service variables."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from labctl.embedded.clientset import Clientset, Obj

_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_.\-][A-Za-z0-9_.\-]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """The container cannot be created as its spec says (reason CreateContainerConfigError)."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is an escaped dollar, an unknown name stays as it is."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return values.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def environment(container: Obj, pod: Obj, clientset: Clientset, services: Mapping[str, str]) -> dict[str, str]:
    """All variables of a container's spec.

    Args:
        container: The container's spec.
        pod: Its pod, whose status has the addresses already.
        clientset: Where ConfigMaps and Secrets are read.
        services: `service_variables` of the namespace.

    Raises:
        ConfigError: A reference that is not optional leads nowhere.
    """
    namespace = pod["metadata"]["namespace"]
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        result |= {prefix + key: text for key, text in _all_of(source, namespace, clientset).items()}
    value: str | None
    for item in container.get("env") or []:
        value = (
            _value_from(item["valueFrom"], container, pod, clientset)
            if "valueFrom" in item
            else expand(item.get("value", ""), {**services, **result})
        )
        if value is not None:
            result[item["name"]] = value
    return {**result, **{key: value for key, value in services.items() if key not in result}}


def _all_of(source: Obj, namespace: str, clientset: Clientset) -> dict[str, str]:
    if "configMapRef" in source:
        found = _lookup(clientset, "configmaps", namespace, source["configMapRef"])
        return dict((found or {}).get("data") or {})
    if "secretRef" in source:
        found = _lookup(clientset, "secrets", namespace, source["secretRef"])
        return {key: _decode(value) for key, value in ((found or {}).get("data") or {}).items()}
    return {}


def _lookup(clientset: Clientset, resource: str, namespace: str, reference: Obj) -> Obj | None:
    found = clientset.get(resource, namespace, reference.get("name", ""))
    if found is None and not reference.get("optional"):
        raise ConfigError(f'{resource.removesuffix("s")} "{reference.get("name", "")}" not found')
    return found


def _decode(value: str) -> str:
    return base64.b64decode(value).decode("utf-8", "replace")


def _value_from(source: Obj, container: Obj, pod: Obj, clientset: Clientset) -> str | None:
    namespace = pod["metadata"]["namespace"]
    if "fieldRef" in source:
        return field_value(source["fieldRef"]["fieldPath"], pod)
    if "resourceFieldRef" in source:
        return resource_value(source["resourceFieldRef"], container)
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        return _key(clientset, "configmaps", "ConfigMap", namespace, reference, str)
    if "secretKeyRef" in source:
        return _key(clientset, "secrets", "Secret", namespace, source["secretKeyRef"], _decode)
    return None


def _key(
    clientset: Clientset, resource: str, kind: str, namespace: str, reference: Obj, decode: Callable[[str], str]
) -> str | None:
    found = _lookup(clientset, resource, namespace, reference)
    data = (found or {}).get("data") or {}
    key = reference["key"]
    if key in data:
        return decode(data[key])
    if reference.get("optional"):
        return None
    raise ConfigError(f"couldn't find key {key} in {kind} {namespace}/{reference.get('name', '')}")


def field_value(path: str, pod: Obj) -> str:
    """A downward API field; empty for one that has no value."""
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((pod["metadata"].get(subscript.group(1)) or {}).get(subscript.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        values = pod["metadata"].get(path.removeprefix("metadata.")) or {}
        return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted(values.items()))
    status = pod.get("status") or {}
    plural = {"status.podIPs": "podIPs", "status.hostIPs": "hostIPs"}.get(path)
    if plural:
        return ",".join(item["ip"] for item in status.get(plural) or [])
    section, _, key = path.partition(".")
    return str((pod.get(section) or {}).get(key, ""))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_value(reference: Obj, container: Obj) -> str:
    """A container's limit or request in whole divisors, rounded up; no limit is the node's, said as 0 here."""
    section, _, name = reference["resource"].partition(".")
    amount = ((container.get("resources") or {}).get(section) or {}).get(name, "0")
    divisor = reference.get("divisor") or "1"
    if quantity(divisor) == 0:
        divisor = "1"
    return str((quantity(amount) / quantity(divisor)).to_integral_value(ROUND_CEILING))


_SUFFIXES = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}


def quantity(text: str) -> Decimal:
    """A `resource.Quantity` as a number."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)", str(text))
    if match is None or match.group(2) not in _SUFFIXES:
        return Decimal(0)
    return Decimal(match.group(1)) * _SUFFIXES[match.group(2)]


def service_variables(services: Sequence[Obj], kubernetes: Obj | None, *, links: bool) -> dict[str, str]:
    """Variables that tell of Services (`enableServiceLinks`); the API's own are always there.

    Source: pkg/kubelet/envvars.
    """
    wanted = {service["metadata"]["name"]: service for service in services} if links else {}
    if kubernetes is not None:
        wanted = {"kubernetes": kubernetes, **wanted}
    result: dict[str, str] = {}
    for name, service in wanted.items():
        spec = service["spec"]
        ip = spec.get("clusterIP")
        if ip and ip != "None" and spec.get("ports"):
            result |= _service(re.sub(r"[^A-Z0-9_]", "_", name.upper()), ip, spec["ports"])
    return result


def _service(prefix: str, ip: str, ports: Sequence[Obj]) -> dict[str, str]:
    first = ports[0]
    result = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            key = re.sub(r"[^A-Z0-9_]", "_", port["name"].upper())
            result[f"{prefix}_SERVICE_PORT_{key}"] = str(port["port"])
    for at, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        url = f"{protocol.lower()}://{ip}:{port['port']}"
        if at == 0:
            result[f"{prefix}_PORT"] = url
        base = f"{prefix}_PORT_{port['port']}_{protocol}"
        result |= {
            base: url,
            f"{base}_PROTO": protocol.lower(),
            f"{base}_PORT": str(port["port"]),
            f"{base}_ADDR": ip,
        }
    return result
