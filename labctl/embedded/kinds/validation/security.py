"""Security contexts of pods and containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, duplicate, invalid_value, not_supported, required, too_long
from labctl.embedded.kinds.validation.formats import all_of, user_id

_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}$"
_NETWORK_SYSCTLS = ("net.",)
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")


def of_pod(spec: Obj, path: str) -> Iterator[Cause]:
    """`securityContext` of a pod's spec."""
    context = spec.get("securityContext")
    if context is None:
        return
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        if context.get(name) is not None:
            yield from all_of(f"{path}.{name}", context[name], user_id)
    for index, group in enumerate(context.get("supplementalGroups", ())):
        yield from all_of(f"{path}.supplementalGroups[{index}]", group, user_id)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid_value(f"{path}.shareProcessNamespace", spec["shareProcessNamespace"], text)
    yield from _sysctls(spec, context.get("sysctls", []), f"{path}.sysctls")
    yield from _one_of(context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), path)
    yield from _profiles(context, path)
    yield from _one_of(context, "supplementalGroupsPolicy", ("Merge", "Strict"), path)
    yield from _one_of(context, "seLinuxChangePolicy", ("MountOption", "Recursive"), path)


def of_container(context: Any, path: str, *, host_users: bool) -> Iterator[Cause]:
    """`securityContext` of a container."""
    if context is None:
        return
    for name in ("runAsUser", "runAsGroup"):
        if context.get(name) is not None:
            yield from all_of(f"{path}.{name}", context[name], user_id)
    yield from _one_of(context, "procMount", ("Default", "Unmasked"), path)
    if host_users and context.get("procMount") == "Unmasked":
        yield invalid_value(f"{path}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`")
    if context.get("allowPrivilegeEscalation") is False:
        text = "cannot set `allowPrivilegeEscalation` to false and"
        if context.get("privileged"):
            yield invalid_value(path, _internal(context), f"{text} `privileged` to true")
        if "CAP_SYS_ADMIN" in (context.get("capabilities") or {}).get("add", ()):
            yield invalid_value(path, _internal(context), f"{text} `capabilities.Add` CAP_SYS_ADMIN")
    yield from _profiles(context, path)


def _internal(context: Obj) -> Obj:
    """The context as the server's own type prints itself."""
    names = (
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    )
    shown = {go: context.get(name) for go, name in names}
    if shown["Capabilities"] is not None:
        shown["Capabilities"] = {"Add": shown["Capabilities"].get("add"), "Drop": shown["Capabilities"].get("drop")}
    return shown


def _one_of(context: Obj, name: str, supported: tuple[str, ...], path: str) -> Iterator[Cause]:
    if context.get(name) is not None and context[name] not in supported:
        yield not_supported(f"{path}.{name}", context[name], supported)


def _profiles(context: Obj, path: str) -> Iterator[Cause]:
    seccomp = context.get("seccompProfile")
    if seccomp is not None:
        yield from _profile(seccomp, f"{path}.seccompProfile", "seccompProfile", "seccomp")
    armor = context.get("appArmorProfile")
    if armor is not None:
        yield from _profile(armor, f"{path}.appArmorProfile", "appArmorProfile", "AppArmor")


def _profile(profile: Obj, path: str, field: str, what: str) -> Iterator[Cause]:
    kind, local = profile["type"], profile.get("localhostProfile")
    if not kind:
        yield required(f"{path}.type", f"type is required when {field} is set")
    elif kind not in _PROFILE_TYPES:
        yield not_supported(f"{path}.type", kind, _PROFILE_TYPES)
    at = f"{path}.localhostProfile"
    if kind != "Localhost":
        if local is not None:
            shown = local if what == "AppArmor" else {"Type": kind, "LocalhostProfile": local}
            yield invalid_value(at, shown, f"can only be set when {what} type is Localhost")
    elif not local:
        yield required(at, f"must be set when {what} type is Localhost")
    elif what == "AppArmor":
        if local != local.strip():
            yield invalid_value(at, local, "must not be padded with whitespace")
        if len(local) > 4095:
            yield too_long(at, 4095)
    else:
        yield from descending_path(at, local)


def _sysctls(spec: Obj, listed: list[Obj], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, item in enumerate(listed):
        name, at = item["name"], f"{path}[{index}].name"
        if not name:
            yield required(at)
        elif len(name) > 253 or re.fullmatch(_SYSCTL, name, re.ASCII) is None:
            yield invalid_value(at, name, f"must have at most 253 characters and match regex {_SYSCTL}")
        elif name in seen:
            yield duplicate(at, name)
        seen.add(name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith(_NETWORK_SYSCTLS):
            yield invalid_value(at, name, "may not be specified when 'hostNetwork' is true")
        elif spec.get("hostIPC") and dotted.startswith(_IPC_SYSCTLS):
            yield invalid_value(at, name, "may not be specified when 'hostIPC' is true")


def no_backsteps(path: str, value: str) -> Iterator[Cause]:
    """A path without `..`."""
    if ".." in value.split("/"):
        yield invalid_value(path, value, "must not contain '..'")


def descending_path(path: str, value: str) -> Iterator[Cause]:
    """A relative path that goes only down."""
    if value.startswith("/"):
        yield invalid_value(path, value, "must be a relative path")
    yield from no_backsteps(path, value)


def local_path(path: str, value: str) -> Iterator[Cause]:
    """A relative path whose first part does not even start with two dots."""
    yield from descending_path(path, value)
    if value.startswith("..") and not value.startswith("../"):
        yield invalid_value(path, value, "must not start with '..'")
