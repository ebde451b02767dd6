"""Endpoints of a Service, from its EndpointSlices."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import Endpoint

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")


def find_port(service: Obj, port: str) -> dict[str, Any] | None:
    """The Service's port that an Ingress means: by port number, by target port, or by name, whichever comes first."""
    for candidate in service["spec"].get("ports") or ():
        target = candidate.get("targetPort", candidate["port"])
        if port in {str(candidate["port"]), str(target), candidate.get("name", "")}:
            return dict(candidate)
    return None


def external_name_port(service: Obj, port: str) -> dict[str, Any]:
    """The port of a Service of type ExternalName, which need not list any."""
    number = int(port) if port.isdigit() else 0
    for candidate in service["spec"].get("ports") or ():
        if candidate.get("name") == port or candidate["port"] == number:
            target = candidate.get("targetPort")
            usable = target if isinstance(target, int) and target else candidate["port"]
            return {"port": candidate["port"], "targetPort": usable, "protocol": "TCP"}
    return {"port": number, "targetPort": number, "protocol": "TCP"}


def service_endpoints(
    key: str, service: Obj, port: str, slices: Sequence[Obj], log: list[LogLine]
) -> tuple[Endpoint, ...]:
    """Ready endpoints behind a Service's port.

    Args:
        key: `namespace/name` of the Service.
        service: The Service.
        port: Port number, target port or name, as the Ingress has it.
        slices: Its EndpointSlices.
        log: Gets what the controller logs.
    """
    log.append(LogLine("I", "controller.go:1190", f"Obtaining ports information for Service {quote(key)}", 3))
    if service["spec"].get("type") == "ExternalName":
        endpoints = _external_name(key, service, external_name_port(service, port), log)
    else:
        found = find_port(service, port)
        if found is None:
            return ()
        endpoints = port_endpoints(key, found, slices, log)
    if not endpoints:
        line = "controller.go:1179" if service["spec"].get("type") == "ExternalName" else "controller.go:1216"
        log.append(LogLine("W", line, f"Service {quote(key)} does not have any active Endpoint."))
    return endpoints


def _external_name(key: str, service: Obj, port: dict[str, Any], log: list[LogLine]) -> tuple[Endpoint, ...]:
    name: str = service["spec"].get("externalName", "")
    try:
        loopback, is_address = ipaddress.ip_address(name).is_loopback, True
    except ValueError:
        loopback, is_address = False, False
    if name == "localhost" or loopback:
        message = f"Invalid attempt to use localhost name {name} in {quote(key)}"
        log.append(LogLine("E", "endpointslices.go:55", message))
        return ()
    if not is_address and not _DNS_NAME.fullmatch(name.removesuffix(".")):
        log.append(LogLine("E", "endpointslices.go:65", f"Invalid DNS name {name}"))
        return ()
    return (Endpoint(name, str(port["targetPort"])),)


def port_endpoints(key: str, port: dict[str, Any], slices: Sequence[Obj], log: list[LogLine]) -> tuple[Endpoint, ...]:
    """Ready endpoints of one port of a Service that is not an ExternalName."""
    wanted = f"Service {quote(key)} and port {_go_port(port)}"
    log.append(LogLine("I", "endpointslices.go:79", f"Getting Endpoints from endpointSlices for {wanted}", 3))
    if not slices:
        message = (
            f"Error obtaining Endpoints for Service {quote(key)}: no object matching key {quote(key)} in local store"
        )
        log.append(LogLine("W", "endpointslices.go:82", message))
        return ()
    found: dict[tuple[str, str], Endpoint] = {}
    for slice_ in slices:
        ports = _slice_ports(slice_, port)
        for endpoint in _ready(slice_):
            for number in ports:
                for address in endpoint["addresses"]:
                    found.setdefault((address, number), _endpoint(address, number, endpoint))
    endpoints = tuple(found.values())
    shown = " ".join(_go_endpoint(endpoint, slices) for endpoint in endpoints)
    log.append(LogLine("I", "endpointslices.go:166", f"Endpoints found for Service {quote(key)}: [{shown}]", 3))
    return endpoints


def _slice_ports(slice_: Obj, port: dict[str, Any]) -> list[str]:
    """Port numbers that a slice has for a Service's port; its numeric targetPort where no name agrees."""
    target = port.get("targetPort", port["port"])
    numeric = target if isinstance(target, int) else 0
    listed = slice_.get("ports") or ()
    if not listed and numeric:
        return [str(numeric)]
    numbers: list[str] = []
    for candidate in listed:
        if candidate.get("protocol", "TCP") != "TCP":
            continue
        named = not port.get("name") or port.get("name") == candidate.get("name", "")
        number = (candidate.get("port") or 0) if named else 0
        if number or numeric:
            numbers.append(str(number or numeric))
    return numbers


def _ready(slice_: Obj) -> Iterable[dict[str, Any]]:
    for endpoint in slice_.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield endpoint


def _endpoint(address: str, port: str, endpoint: dict[str, Any]) -> Endpoint:
    target = endpoint.get("targetRef") or {}
    return Endpoint(address, port, target.get("name", ""), target.get("uid", ""))


def _go_port(port: dict[str, Any]) -> str:
    target = port.get("targetPort", port["port"])
    shown = f"{{0 {target} }}" if isinstance(target, int) else f"{{1 0 {target}}}"
    return (
        f"&ServicePort{{Name:{port.get('name', '')},Protocol:{port.get('protocol', 'TCP')},Port:{port['port']},"
        f"TargetPort:{shown},NodePort:{port.get('nodePort', 0)},AppProtocol:nil,}}"
    )


def _go_endpoint(endpoint: Endpoint, slices: Sequence[Obj]) -> str:
    if not endpoint.pod:
        return f"{{{endpoint.address} {endpoint.port} nil}}"
    namespace = slices[0]["metadata"].get("namespace", "")
    target = (
        f"&ObjectReference{{Kind:Pod,Namespace:{namespace},Name:{endpoint.pod},UID:{endpoint.pod_uid},"
        "APIVersion:,ResourceVersion:,FieldPath:,}"
    )
    return f"{{{endpoint.address} {endpoint.port} {target}}}"
