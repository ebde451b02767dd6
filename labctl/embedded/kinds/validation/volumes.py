"""Volumes of pods, and where containers mount them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, not_found, not_supported, required
from labctl.embedded.kinds.validation import claims
from labctl.embedded.kinds.validation.amounts import amount
from labctl.embedded.kinds.validation.environment import VOLUME_FIELDS, field_reference, resource_reference
from labctl.embedded.kinds.validation.formats import all_of, dns1123_label, dns1123_subdomain
from labctl.embedded.kinds.validation.security import descending_path, local_path, no_backsteps

_FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
# In the order in which the API server looks at them: the first is checked, the others are one too many.
_TYPES = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)


def volumes(listed: Iterable[Obj], pod_name: str, path: str) -> tuple[dict[str, Obj], list[Cause]]:
    """The volumes without fault by name, and the faults of the others."""
    good: dict[str, Obj] = {}
    causes: list[Cause] = []
    for index, volume in enumerate(listed):
        at, name = f"{path}[{index}]", volume["name"]
        found = list(_source(volume, pod_name, at))
        found += all_of(f"{at}.name", name, dns1123_label) if name else [required(f"{at}.name")]
        if name in good:
            found.append(duplicate(f"{at}.name", name))
        if not found:
            good[name] = volume
        causes += found
    return good, causes


def _source(volume: Obj, pod_name: str, path: str) -> Iterator[Cause]:
    given = [name for name in _TYPES if volume.get(name) is not None]
    if not given:
        yield required(path, "must specify a volume type")
        return
    check = _SOURCES.get(given[0])
    if check is not None:
        yield from check(volume[given[0]], f"{path}.{given[0]}")
    if given[0] == "ephemeral" and pod_name and volume["name"]:
        name = f"{pod_name}-{volume['name']}"
        for text in dns1123_subdomain(name):
            yield invalid_value(f"{path}.name", volume["name"], f'PVC name "{name}": {text}')
    for name in given[1:]:
        yield forbidden(f"{path}.{name}", "may not specify more than 1 volume type")


def _empty_dir(source: Obj, path: str) -> Iterator[Cause]:
    if source.get("sizeLimit") is not None and amount(source["sizeLimit"]) < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def host_path(source: Obj, path: str) -> Iterator[Cause]:
    """A `hostPath` of a volume or PersistentVolume."""
    if not source["path"]:
        yield required(f"{path}.path")
        return
    yield from no_backsteps(f"{path}.path", source["path"])
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        yield not_supported(f"{path}.type", kind, _HOST_PATH_TYPES)


def _mode(holder: Obj, name: str, path: str) -> Iterator[Cause]:
    mode = holder.get(name)
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid_value(f"{path}.{name}", mode, _FILE_MODE)


def _keyed(name_field: str) -> Callable[[Obj, str], Iterator[Cause]]:
    def check(source: Obj, path: str) -> Iterator[Cause]:
        if not source.get(name_field):
            yield required(f"{path}.{name_field}")
        yield from _mode(source, "defaultMode", path)
        yield from _items(source, path)

    return check


def _items(source: Obj, path: str) -> Iterator[Cause]:
    for index, item in enumerate(source.get("items", ())):
        at = f"{path}.items[{index}]"
        for name in ("key", "path"):
            if not item[name]:
                yield required(f"{at}.{name}")
        yield from local_path(f"{at}.path", item["path"])
        yield from _mode(item, "mode", at)


def nfs(source: Obj, path: str) -> Iterator[Cause]:
    """An `nfs` source."""
    for name in ("server", "path"):
        if not source[name]:
            yield required(f"{path}.{name}")
    if not source["path"].startswith("/"):
        yield invalid_value(f"{path}.path", source["path"], "must be an absolute path")


def _claim(source: Obj, path: str) -> Iterator[Cause]:
    if not source["claimName"]:
        yield required(f"{path}.claimName")


def _downward(source: Obj, path: str) -> Iterator[Cause]:
    yield from _mode(source, "defaultMode", path)
    for item in source.get("items", ()):
        yield from _downward_file(item, path)


def _downward_file(item: Obj, path: str) -> Iterator[Cause]:
    if not item["path"]:
        yield required(f"{path}.path")
    yield from local_path(f"{path}.path", item["path"])
    if item.get("fieldRef") is not None:
        yield from field_reference(item["fieldRef"], f"{path}.fieldRef", VOLUME_FIELDS)
        if item.get("resourceFieldRef") is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            yield invalid_value(path, "resource", text)
    elif item.get("resourceFieldRef") is not None:
        yield from resource_reference(item["resourceFieldRef"], f"{path}.resourceFieldRef", container_needed=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(item, "mode", path)


def _projected(source: Obj, path: str) -> Iterator[Cause]:
    yield from _mode(source, "defaultMode", path)
    taken: set[str] = set()
    for index, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        for name in ("secret", "configMap"):
            if projection.get(name) is not None:
                yield from _projected_keys(projection[name], f"{at}.{name}", path, taken)
        if projection.get("downwardAPI") is not None:
            for item in projection["downwardAPI"].get("items", ()):
                yield from _downward_file(item, f"{at}.downwardAPI")
                yield from _once(path, item["path"], item["path"], taken)
        if projection.get("serviceAccountToken") is not None:
            yield from _token(projection["serviceAccountToken"], f"{at}.serviceAccountToken", path)
        if sum(value is not None for value in projection.values()) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")


def _projected_keys(source: Obj, path: str, whole: str, taken: set[str]) -> Iterator[Cause]:
    name = source.get("name", "")
    if not name:
        yield required(f"{path}.name")
    yield from _items(source, path)
    for item in source.get("items", ()):
        yield from _once(whole, name, item["path"], taken)


def _once(path: str, shown: str, target: str, taken: set[str]) -> Iterator[Cause]:
    if target and target in taken:
        yield invalid_value(path, shown, "conflicting duplicate paths")
    taken.add(target)


def _token(source: Obj, path: str, whole: str) -> Iterator[Cause]:
    seconds = source.get("expirationSeconds", 3600)
    if seconds < 600:
        yield invalid_value(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 2**32:
        text = "may not specify a duration larger than 2^32 seconds"
        yield invalid_value(f"{path}.expirationSeconds", seconds, text)
    if not source["path"]:
        yield required(f"{whole}.path")
    else:
        yield from local_path(f"{whole}.path", source["path"])


def _csi(source: Obj, path: str) -> Iterator[Cause]:
    yield from driver_name(f"{path}.driver", source["driver"])
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        yield required(f"{path}.nodePublishSecretRef.name")
    elif secret is not None:
        yield from all_of(f"{path}.name", secret["name"], dns1123_subdomain)


def driver_name(path: str, name: str) -> Iterator[Cause]:
    """Name of a CSI driver."""
    if not name:
        yield required(path)
    elif len(name) > 63:
        yield Cause("FieldValueTooLong", path, "Too long: may not be more than 63 bytes")
    for text in dns1123_subdomain(name.lower()):
        yield invalid_value(path, name, text)


def _ephemeral(source: Obj, path: str) -> Iterator[Cause]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
    else:
        yield from claims.template(template, f"{path}.volumeClaimTemplate")


def _git_repo(source: Obj, path: str) -> Iterator[Cause]:
    if not source["repository"]:
        yield required(f"{path}.repository")
    yield from descending_path(f"{path}.directory", source.get("directory", ""))


def _image(source: Obj, path: str) -> Iterator[Cause]:
    if not source.get("reference"):
        yield required(f"{path}.reference")


_SOURCES: dict[str, Callable[[Any, str], Iterator[Cause]]] = {
    "configMap": _keyed("name"),
    "csi": _csi,
    "downwardAPI": _downward,
    "emptyDir": _empty_dir,
    "ephemeral": _ephemeral,
    "gitRepo": _git_repo,
    "hostPath": host_path,
    "image": _image,
    "nfs": nfs,
    "persistentVolumeClaim": _claim,
    "projected": _projected,
    "secret": _keyed("secretName"),
}


def mounts(container: Obj, known: dict[str, Obj], path: str) -> Iterator[Cause]:
    """`volumeMounts` of a container."""
    devices = container.get("volumeDevices", [])
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts", ())):
        at, name, target = f"{path}[{index}]", mount["name"], mount["mountPath"]
        if not name:
            yield required(f"{at}.name")
        if name not in known:
            yield not_found(f"{at}.name", name)
        if not target:
            yield required(f"{at}.mountPath")
        if target in seen:
            yield invalid_value(f"{at}.mountPath", target, "must be unique")
        seen.add(target)
        if any(device["name"] == name for device in devices):
            yield invalid_value(f"{at}.name", name, "must not already exist in volumeDevices")
        if any(device["devicePath"] == target for device in devices):
            text = "must not already exist as a path in volumeDevices"
            yield invalid_value(f"{at}.mountPath", target, text)
        yield from _mount_options(container, mount, at, path)


def _mount_options(container: Obj, mount: Obj, at: str, path: str) -> Iterator[Cause]:
    sub_path, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    yield from descending_path(f"{path}.subPath", sub_path)
    if expression:
        if sub_path:
            text = "subPathExpr and subPath are mutually exclusive"
            yield invalid_value(f"{at}.subPathExpr", expression, text)
        yield from descending_path(f"{path}.subPathExpr", expression)
    propagation = mount.get("mountPropagation")
    if propagation is not None and propagation not in _PROPAGATIONS:
        yield not_supported(f"{path}.mountPropagation", propagation, _PROPAGATIONS)
    if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        text = "Bidirectional mount propagation is available only to privileged containers"
        yield forbidden(f"{path}.mountPropagation", text)
    yield from _recursive(mount, f"{path}.recursiveReadOnly")


def _recursive(mount: Obj, path: str) -> Iterator[Cause]:
    value = mount.get("recursiveReadOnly")
    if value is None or value == "Disabled":
        return
    if value not in ("Enabled", "IfPossible"):
        yield not_supported(path, value, ("Disabled", "Enabled", "IfPossible"))
        return
    if not mount.get("readOnly"):
        yield forbidden(path, "may only be specified when readOnly is true")
    if mount.get("mountPropagation") not in (None, "None"):
        yield forbidden(path, "may only be specified when mountPropagation is None or not specified")


def devices(container: Obj, known: dict[str, Obj], path: str) -> Iterator[Cause]:
    """`volumeDevices` of a container."""
    names: set[str] = set()
    paths: set[str] = set()
    mounted = container.get("volumeMounts", [])
    for index, device in enumerate(container.get("volumeDevices", ())):
        at, name, target = f"{path}[{index}]", device["name"], device["devicePath"]
        if not name:
            yield required(f"{at}.name")
        if name in names:
            yield invalid_value(f"{at}.name", name, "must be unique")
        volume = known.get(name)
        if volume is None:
            yield not_found(f"{at}.name", name)
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid_value(f"{at}.name", name, text)
        if not target:
            yield required(f"{at}.devicePath")
        if target in paths:
            yield invalid_value(f"{at}.devicePath", target, "must be unique")
        if ".." in target.split("/"):
            yield invalid_value(f"{at}.devicePath", target, "can not contain backsteps ('..')")
        if any(mount["name"] == name for mount in mounted):
            yield invalid_value(f"{at}.name", name, "must not already exist in volumeMounts")
        names.add(name)
        paths.add(target)
