"""Containers of pods: regular, init and ephemeral ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, not_found, not_supported, required
from labctl.embedded.kinds.validation import amounts, environment, probes, security, volumes
from labctl.embedded.kinds.validation.formats import all_of, dns1123_label, port_name, port_number

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_FOR_INIT = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
_NOT_FOR_EPHEMERAL = (*_NOT_FOR_INIT, "ports", "resizePolicy", "restartPolicy")


@dataclass(frozen=True, slots=True)
class PodContext:
    """What containers are checked against.

    Attributes:
        volumes: The pod's volumes that are without fault, by name.
        claims: Names of its resource claims.
        grace: `terminationGracePeriodSeconds`.
        restart_policy: Of the pod.
        host_users: Whether the pod shares the host's user namespace.
    """

    volumes: dict[str, Obj]
    claims: frozenset[str]
    grace: int | None
    restart_policy: str
    host_users: bool


def context_of(spec: Obj, known: dict[str, Obj]) -> PodContext:
    """The context of a pod's spec."""
    return PodContext(
        known,
        frozenset(claim["name"] for claim in spec.get("resourceClaims", ())),
        spec.get("terminationGracePeriodSeconds"),
        spec.get("restartPolicy", ""),
        spec.get("hostUsers") is not False,
    )


def regular(spec: Obj, context: PodContext, path: str) -> Iterator[Cause]:
    """`containers`."""
    listed = spec.get("containers") or []
    if not listed:
        yield required(path)
        return
    seen: set[str] = set()
    for index, container in enumerate(listed):
        at = f"{path}[{index}]"
        yield from _common(container, context, at)
        if container["name"] in seen:
            yield duplicate(f"{at}.name", container["name"])
        seen.add(container["name"])
        yield from probes.lifecycle(container.get("lifecycle"), f"{at}.lifecycle", context.grace)
        yield from probes.probes(container, at, context.grace)
        if container.get("restartPolicy") is not None:
            yield forbidden(f"{at}.restartPolicy", "may not be set for non-init containers")
    yield from _host_ports(listed, path)


def init(spec: Obj, context: PodContext, path: str) -> Iterator[Cause]:
    """`initContainers`."""
    seen = {container["name"] for container in spec.get("containers") or ()}
    for index, container in enumerate(spec.get("initContainers", ())):
        at, policy = f"{path}[{index}]", container.get("restartPolicy")
        yield from _common(container, context, at)
        if policy not in (None, "Always"):
            yield not_supported(f"{at}.restartPolicy", policy, ("Always",))
        if container["name"] in seen:
            yield duplicate(f"{at}.name", container["name"])
        elif container["name"]:
            seen.add(container["name"])
        yield from _host_ports([container], path)
        if policy == "Always":
            yield from probes.lifecycle(container.get("lifecycle"), f"{at}.lifecycle", context.grace)
            yield from probes.probes(container, at, context.grace)
            continue
        for name in _NOT_FOR_INIT:
            if container.get(name) is not None:
                yield forbidden(f"{at}.{name}", "may not be set for init containers without restartPolicy=Always")


def ephemeral(spec: Obj, context: PodContext, path: str) -> Iterator[Cause]:
    """`ephemeralContainers`."""
    others = {c["name"] for c in (*(spec.get("containers") or ()), *spec.get("initContainers", ()))}
    seen = set(others)
    for index, container in enumerate(spec.get("ephemeralContainers", ())):
        at, target = f"{path}[{index}]", container.get("targetContainerName", "")
        yield from _common(container, context, at)
        yield from untrimmed_image(container, at)
        if container["name"] in seen:
            yield duplicate(f"{at}.name", container["name"])
        seen.add(container["name"])
        if target and target not in others:
            yield not_found(f"{at}.targetContainerName", target)
        for name in (*_NOT_FOR_EPHEMERAL, *(("resources",) if container["resources"] else ())):
            if container.get(name) is not None:
                yield forbidden(f"{at}.{name}", "cannot be set for an Ephemeral Container")


def _common(container: Obj, context: PodContext, path: str) -> Iterator[Cause]:
    if container["name"]:
        yield from all_of(f"{path}.name", container["name"], dns1123_label)
    else:
        yield required(f"{path}.name")
    if not container.get("image"):
        yield required(f"{path}.image")
    policy = container.get("terminationMessagePolicy", "")
    if policy not in _MESSAGE_POLICIES:
        yield not_supported(f"{path}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
    yield from _ports(container.get("ports", []), f"{path}.ports")
    yield from environment.variables(container.get("env", []), f"{path}.env")
    yield from environment.sources(container.get("envFrom", []), f"{path}.envFrom")
    yield from volumes.mounts(container, context.volumes, f"{path}.volumeMounts")
    yield from volumes.devices(container, context.volumes, f"{path}.volumeDevices")
    pull = container.get("imagePullPolicy", "")
    if pull not in _PULL_POLICIES:
        yield not_supported(f"{path}.imagePullPolicy", pull, _PULL_POLICIES)
    yield from amounts.requirements(container["resources"], f"{path}.resources", claims=context.claims)
    yield from _resize(container.get("resizePolicy", []), context.restart_policy, f"{path}.resizePolicy")
    yield from security.of_container(
        container.get("securityContext"), f"{path}.securityContext", host_users=context.host_users
    )


def untrimmed_image(container: Obj, path: str) -> Iterator[Cause]:
    """An image name with spaces around it, which templates may have and pods may not."""
    image = container.get("image", "")
    if image != image.strip():
        yield invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace")


def _ports(listed: list[Obj], path: str) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(listed):
        at, name = f"{path}[{index}]", port.get("name", "")
        problems = port_name(name) if name else []
        for text in problems:
            yield invalid_value(f"{at}.name", name, text)
        if not problems and name and name in names:
            yield duplicate(f"{at}.name", name)
        names.add(name)
        if port["containerPort"] == 0:
            yield required(f"{at}.containerPort")
        else:
            yield from all_of(f"{at}.containerPort", port["containerPort"], port_number)
        if port.get("hostPort"):
            yield from all_of(f"{at}.hostPort", port["hostPort"], port_number)
        if port.get("protocol") not in _PROTOCOLS:
            yield not_supported(f"{at}.protocol", port.get("protocol", ""), _PROTOCOLS)


def _host_ports(listed: list[Obj], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, container in enumerate(listed):
        for number, port in enumerate(container.get("ports", ())):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in seen:
                yield duplicate(f"{path}[{index}].ports[{number}].hostPort", key)
            seen.add(key)


def _resize(policies: list[Obj], restart_policy: str, path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, item in enumerate(policies):
        name, policy = item["resourceName"], item["restartPolicy"]
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)
        yield from _choice(path, name, ("cpu", "memory"))
        yield from _choice(path, policy, ("NotRequired", "RestartContainer"))
        if restart_policy == "Never" and policy != "NotRequired":
            yield invalid_value(path, policy, "must be 'NotRequired' when `restartPolicy` is 'Never'")


def _choice(path: str, value: Any, supported: tuple[str, ...]) -> Iterator[Cause]:
    if not value:
        yield required(path)
    elif value not in supported:
        yield not_supported(path, value, supported)
