"""Ingresses and IngressClasses.

Source: pkg/apis/networking/validation.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.addresses import parse_ip
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required, too_long
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    domain_prefixed_path,
    immutable,
    path_segment,
    port_name,
    port_number,
    wildcard_subdomain,
)

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_SUFFIXES = ("/..", "/.")
_SCOPES = ("Cluster", "Namespace")
_LONGEST_CONTROLLER = 250


def ingress(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An Ingress."""
    spec = obj["spec"]
    rules, backend = spec.get("rules", []), spec.get("defaultBackend")
    if not rules and backend is None:
        yield invalid_value("spec", None, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        yield from _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls", ())):
        yield from _tls(tls, f"spec.tls[{index}]")
    name = spec.get("ingressClassName")
    if name is not None:
        yield from all_of("spec.ingressClassName", name, dns1123_subdomain)
    written = obj["metadata"].get("annotations", {}).get(_CLASS_ANNOTATION)
    if old is None and None not in (written, name) and written != name:
        text = "must match `ingressClassName` when both are specified"
        yield invalid_value(f"annotations.{_CLASS_ANNOTATION}", written, text)


def _rule(rule: Obj, path: str) -> Iterator[Cause]:
    host = rule.get("host", "")
    if host:
        if parse_ip(host) is not None:
            yield invalid_value(f"{path}.host", host, "must be a DNS name, not an IP address")
        yield from _host(host, f"{path}.host")
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        yield required(f"{path}.http.paths")
    for index, item in enumerate(http.get("paths") or ()):
        yield from _path(item, f"{path}.http.paths[{index}]")


def _host(host: str, path: str) -> list[Cause]:
    return all_of(path, host, wildcard_subdomain if "*" in host else dns1123_subdomain)


def _path(item: Obj, path: str) -> Iterator[Cause]:
    kind, value = item.get("pathType"), item.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        yield from _strict_path(value, f"{path}.path")
    elif kind != "ImplementationSpecific":
        yield not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    elif value and not value.startswith("/"):
        yield invalid_value(f"{path}.path", value, "must be an absolute path")
    yield from _backend(item["backend"], f"{path}.backend")


def _strict_path(value: str, path: str) -> Iterator[Cause]:
    if not value.startswith("/"):
        yield invalid_value(path, value, "must be an absolute path")
    for part in _BAD_SEQUENCES:
        if part in value:
            yield invalid_value(path, value, f"must not contain '{part}'")
    for suffix in _BAD_SUFFIXES:
        if value.endswith(suffix):
            yield invalid_value(path, value, f"cannot end with '{suffix}'")


def _backend(backend: Obj, path: str) -> Iterator[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid_value(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from _reference(resource, f"{path}.resource")
    elif service is not None:
        yield from _service(service, path)
    else:
        yield invalid_value(path, "", "resource or service backend is required")


def _service(service: Obj, path: str) -> Iterator[Cause]:
    if service["name"]:
        yield from all_of(f"{path}.service.name", service["name"], dns1035_label)
    else:
        yield required(f"{path}.service.name")
    name, number = service["port"].get("name"), service["port"].get("number")
    if name and number:
        yield invalid_value(path, "", "cannot set both port name & port number")
    elif name:
        yield from all_of(f"{path}.service.port.name", name, port_name)
    elif number:
        yield from all_of(f"{path}.service.port.number", number, port_number)
    else:
        yield required(path, "port name or number is required")


def _tls(tls: Obj, path: str) -> Iterator[Cause]:
    for index, host in enumerate(tls.get("hosts", ())):
        yield from _host(host, f"{path}.hosts[{index}]")
    if tls.get("secretName"):
        yield from all_of(f"{path}.secretName", tls["secretName"], dns1123_subdomain)


def ingress_class(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An IngressClass."""
    spec = obj["spec"]
    controller = spec.get("controller", "")
    if old is not None:
        yield from immutable("spec.controller", controller, old["spec"].get("controller"))
    if len(controller) > _LONGEST_CONTROLLER:
        yield too_long("spec.controller", _LONGEST_CONTROLLER)
    yield from domain_prefixed_path("spec.controller", controller)
    if spec.get("parameters") is not None:
        yield from _parameters(spec["parameters"], "spec.parameters")


def _parameters(parameters: Obj, path: str) -> Iterator[Cause]:
    yield from _reference(parameters, path)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        yield required(f"{path}.scope")
    elif scope not in _SCOPES:
        yield not_supported(f"{path}.scope", scope, _SCOPES)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")
    elif scope == "Namespace" and namespace is None:
        yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace":
        yield from all_of(f"{path}.namespace", namespace, dns1123_label)


def _reference(reference: Obj, path: str) -> Iterator[Cause]:
    if reference.get("apiGroup") is not None:
        yield from all_of(f"{path}.apiGroup", reference["apiGroup"], dns1123_subdomain)
    for name in ("kind", "name"):
        if reference.get(name):
            yield from all_of(f"{path}.{name}", reference[name], path_segment)
        else:
            yield required(f"{path}.{name}")
