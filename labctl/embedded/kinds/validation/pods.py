"""Pods and pod templates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import internal
from labctl.embedded.kinds.addresses import ip_causes
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required, too_long
from labctl.embedded.kinds.validation import amounts, containers, environment, scheduling, security, volumes
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1123_label,
    dns1123_subdomain,
    in_range,
    qualified_name,
)
from labctl.embedded.kinds.validation.meta import annotation_keys, labels

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_LARGEST = 2**31 - 1
_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Pod."""
    spec = obj["spec"]
    yield from _deletion_cost(obj["metadata"])
    yield from pod_spec(spec, "spec", pod_name=obj["metadata"].get("name", ""), is_pod=True)
    for name in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(name) or ()):
            yield from containers.untrimmed_image(container, f"spec.{name}[{index}]")
    if old is None:
        yield from _create_only(spec)
    else:
        yield from _update(spec, old["spec"])


def template(obj: Obj, path: str) -> Iterator[Cause]:
    """A pod template."""
    yield from labels(obj["metadata"].get("labels", {}), f"{path}.labels")
    yield from annotation_keys(obj["metadata"].get("annotations", {}), f"{path}.annotations")
    yield from pod_spec(obj["spec"], f"{path}.spec")
    if obj["spec"].get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def _deletion_cost(metadata: Obj) -> Iterator[Cause]:
    key = "controller.kubernetes.io/pod-deletion-cost"
    cost = metadata.get("annotations", {}).get(key)
    if cost is not None and not _is_int32(cost):
        yield invalid_value(f"metadata.annotations[{key}]", cost, "must be a 32bit integer")


def _is_int32(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and str(int(text)) == text and -(2**31) <= int(text) < 2**31


def _create_only(spec: Obj) -> Iterator[Cause]:
    if spec.get("ephemeralContainers"):
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def pod_spec(spec: Obj, path: str, *, pod_name: str = "", is_pod: bool = False) -> Iterator[Cause]:
    """A pod's spec, in a Pod (`is_pod`) or in a template."""
    known, faults = volumes.volumes(spec.get("volumes", ()), pod_name, f"{path}.volumes")
    yield from faults
    context = containers.context_of(spec, known)
    yield from containers.regular(spec, context, f"{path}.containers")
    yield from containers.init(spec, context, f"{path}.initContainers")
    yield from containers.ephemeral(spec, context, f"{path}.ephemeralContainers")
    if spec.get("resources") is not None:
        at = f"{path}.resources"
        yield from amounts.requirements(spec["resources"], at, amounts.pod_resource_name)
    yield from _host_network(spec, path, is_pod=is_pod)
    yield from _choice(spec, "restartPolicy", _RESTART_POLICIES, path)
    yield from _choice(spec, "dnsPolicy", _DNS_POLICIES, path)
    yield from labels(spec.get("nodeSelector", {}), f"{path}.nodeSelector")
    yield from security.of_pod(spec, f"{path}.securityContext")
    yield from scheduling.affinity(spec.get("affinity"), f"{path}.affinity")
    yield from _dns_config(spec, f"{path}.dnsConfig")
    for index, gate in enumerate(spec.get("readinessGates", ())):
        yield from all_of(f"{path}.readinessGates[{index}].conditionType", gate["conditionType"], qualified_name)
    yield from scheduling.gates(spec.get("schedulingGates", []), f"{path}.schedulingGates")
    yield from scheduling.spread(spec.get("topologySpreadConstraints", []), f"{path}.topologySpreadConstraints")
    yield from _host_users(spec, path)
    yield from _names(spec, path)
    yield from scheduling.tolerations(spec.get("tolerations", []), f"{path}.tolerations")
    yield from _host_aliases(spec.get("hostAliases", []), f"{path}.hostAliases")
    yield from _classes(spec, path)
    yield from environment.file_key_references(spec, path)


def _choice(spec: Obj, name: str, supported: tuple[str, ...], path: str) -> Iterator[Cause]:
    value = spec.get(name, "")
    if not value:
        yield required(f"{path}.{name}")
    elif value not in supported:
        yield not_supported(f"{path}.{name}", value, supported)


def _host_network(spec: Obj, path: str, *, is_pod: bool) -> Iterator[Cause]:
    if not spec.get("hostNetwork"):
        return
    for index, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports", ())):
            host, own = port.get("hostPort", 0), port["containerPort"]
            if (is_pod or host) and host != own:
                text = "must match `containerPort` when `hostNetwork` is true"
                yield invalid_value(f"{path}.containers[{index}].ports[{number}].hostPort", host, text)


def _dns_config(spec: Obj, path: str) -> Iterator[Cause]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.nameservers", text)
            return
    if config is None:
        return
    yield from _nameservers(config.get("nameservers", []), f"{path}.nameservers")
    yield from _searches(config.get("searches", []), f"{path}.searches")
    for index, option in enumerate(config.get("options", ())):
        if not option.get("name"):
            yield required(f"{path}.options[{index}]", "must not be empty")


def _nameservers(servers: list[str], path: str) -> Iterator[Cause]:
    if len(servers) > 3:
        yield invalid_value(path, servers, "must not have more than 3 nameservers")
    for index, server in enumerate(servers):
        yield from ip_causes(f"{path}[{index}]", server)


def _searches(searches: list[str], path: str) -> Iterator[Cause]:
    if len(searches) > 32:
        yield invalid_value(path, searches, "must not have more than 32 search paths")
    if len(" ".join(searches)) > 2048:
        text = "must not have more than 2048 characters (including spaces) in the search list"
        yield invalid_value(path, searches, text)
    for index, search in enumerate(searches):
        if search != ".":
            # Underscores are fine here.
            name = search.removesuffix(".").replace("_", "a")
            yield from all_of(f"{path}[{index}]", name, dns1123_subdomain)


def _host_users(spec: Obj, path: str) -> Iterator[Cause]:
    if spec.get("hostUsers") is False:
        for name, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
            if spec.get(name):
                yield forbidden(f"{path}.{shown}", "when `hostUsers` is false")


def _names(spec: Obj, path: str) -> Iterator[Cause]:
    override = spec.get("hostnameOverride")
    if override is not None:
        if len(override) > 64:
            yield too_long(f"{path}.hostnameOverride", 64)
        yield from all_of(f"{path}.hostnameOverride", override, dns1123_subdomain)
    for name in ("serviceAccountName", "nodeName"):
        if spec.get(name):
            yield from all_of(f"{path}.{name}", spec[name], dns1123_subdomain)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None:
        yield from all_of(f"{path}.activeDeadlineSeconds", deadline, lambda value: in_range(value, 1, _LARGEST))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            yield from all_of(f"{path}.{name}", spec[name], dns1123_label)


def _host_aliases(listed: list[Obj], path: str) -> Iterator[Cause]:
    for index, alias in enumerate(listed):
        yield from ip_causes(f"{path}[{index}].ip", alias["ip"])
        for number, name in enumerate(alias.get("hostnames", ())):
            yield from all_of(f"{path}[{index}].hostnames[{number}]", name, dns1123_subdomain)


def _classes(spec: Obj, path: str) -> Iterator[Cause]:
    for name in ("priorityClassName", "runtimeClassName"):
        if spec.get(name):
            yield from all_of(f"{path}.{name}", spec[name], dns1123_subdomain)
    policy = spec.get("preemptionPolicy")
    if policy not in (None, "PreemptLowerPriority", "Never"):
        yield not_supported(f"{path}.preemptionPolicy", policy, ("PreemptLowerPriority", "Never"))
    for name, value in spec.get("overhead", {}).items():
        yield from amounts.container_resource_name(f"{path}.overhead.limits[{name}]", name)
        yield from amounts.amount_of(f"{path}.overhead.limits[{name}]", name, value)
    system = (spec.get("os") or {}).get("name")
    if system is not None and system not in ("linux", "windows"):
        yield not_supported(f"{path}.os.name", system, ("linux", "windows"))


def _update(spec: Obj, old: Obj) -> Iterator[Cause]:
    """What may change in a pod that exists: images, deadlines, more tolerations, fewer gates."""
    for name in ("containers", "initContainers"):
        new_list, old_list = spec.get(name) or [], old.get(name) or []
        if len(new_list) != len(old_list):
            yield forbidden(f"spec.{name}", "pod updates may not add or remove containers")
            return
        for index, container in enumerate(new_list):
            if not container.get("image"):
                yield required(f"spec.{name}[{index}].image")
            yield from containers.untrimmed_image(container, f"spec.{name}[{index}]")
    stop = list(_deadline(spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")))
    yield from stop
    if stop and spec.get("activeDeadlineSeconds") is not None:
        return
    yield from _more_tolerations(spec.get("tolerations", []), old.get("tolerations", []))
    gone = {gate["name"] for gate in old.get("schedulingGates", ())}
    for index, gate in enumerate(spec.get("schedulingGates", ())):
        if gate["name"] not in gone:
            text = f"only deletion is allowed, but found new scheduling gate '{gate['name']}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", text)
    munged = _munged(spec, old)
    if munged != old:
        shown = internal.difference("PodSpec", old, munged)
        yield forbidden("spec", f"pod updates may not change fields other than {_UPDATABLE}\n{shown}")


def _deadline(new: int | None, old: int | None) -> Iterator[Cause]:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            yield invalid_value(path, None, "must not update from a positive integer to nil value")
    elif not 0 <= new <= _LARGEST:
        yield from all_of(path, new, lambda value: in_range(value, 0, _LARGEST))
    elif old is not None and old < new:
        yield invalid_value(path, new, "must be less than or equal to previous value")


def _more_tolerations(new: list[Obj], old: list[Obj]) -> Iterator[Cause]:
    def without_seconds(item: Obj) -> Obj:
        return {key: value for key, value in item.items() if key != "tolerationSeconds"}

    kept = [without_seconds(item) for item in new]
    if any(without_seconds(item) not in kept for item in old):
        text = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden("spec.tolerations", text)
        return
    yield from scheduling.tolerations(new, "spec.tolerations")


def _munged(spec: Obj, old: Obj) -> Obj:
    """The new spec with all that may change put back."""
    made = dict(spec)
    for name in ("containers", "initContainers"):
        if spec.get(name):
            made[name] = [
                {**container, "image": before.get("image", "")}
                for container, before in zip(spec[name], old[name], strict=True)
            ]
    names: list[str] = ["activeDeadlineSeconds", "schedulingGates", "tolerations"]
    if old.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        names.append("terminationGracePeriodSeconds")
    if old.get("schedulingGates") and _only_added(spec.get("nodeSelector", {}), old.get("nodeSelector", {})):
        names.append("nodeSelector")
    for name in names:
        _put_back(made, old, name)
    return made


def _put_back(made: Obj, old: Obj, name: str) -> None:
    if name in old:
        made[name] = old[name]
    else:
        made.pop(name, None)


def _only_added(new: dict[str, Any], old: dict[str, Any]) -> bool:
    return all(new.get(key) == value for key, value in old.items())
