"""A pod's volumes: ConfigMaps, Secrets, the downward API and service account tokens as files; emptyDirs; mounts."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.images.filesystem import Directory, File, FileSystem, Link, Node, Volume
from labctl.embedded.kubelet.environment import field_value, resource_value
from labctl.embedded.kubelet.settings import Settings

Reference = tuple[str, str]
"""`configmaps` or `secrets`, and a name."""

TokenSource = Callable[[str, str, Obj], str]
"""(namespace, service account, pod) → a bearer token for the pod's processes."""


class MountError(Exception):
    """A volume cannot be set up (event FailedMount).

    Attributes:
        volume: The volume's name.
        message: Why, in the kubelet's words.
    """

    def __init__(self, volume: str, message: str) -> None:
        super().__init__(message)
        self.volume = volume
        self.message = message


@dataclass(frozen=True, slots=True)
class VolumeSources:
    """Where volumes get their content.

    Attributes:
        clientset: ConfigMaps and Secrets.
        token: Makes service account tokens.
        settings: The clock, for the name of the data directory.
    """

    clientset: Clientset
    token: TokenSource
    settings: Settings


Content = bytes | Callable[[], bytes]

Files = dict[str, tuple[Content, int]]
"""Relative path → content (or what makes it when it is read) and mode."""

TOKEN_FRESH = 600.0
"""Seconds that a service account token is given out before a new one is made; the real ones last an hour."""


def set_up(pod: Obj, sources: VolumeSources) -> dict[str, Volume]:
    """The volumes of a pod by name.

    Raises:
        MountError: A ConfigMap or Secret, or a key in it, is not there.
    """
    return {volume["name"]: _volume(volume, pod, sources) for volume in pod["spec"].get("volumes") or []}


def refresh(volumes: Mapping[str, Volume], pod: Obj, sources: VolumeSources, changed: Reference) -> None:
    """Bring the volumes made of an object up to date; one whose object is gone keeps what it has."""
    for volume in pod["spec"].get("volumes") or []:
        if volume["name"] in volumes and changed in references(volume):
            try:
                files = _files(volume, pod, sources)
            except MountError:
                continue
            _publish(volumes[volume["name"]], files, sources.settings)


def references(volume: Obj) -> set[Reference]:
    """The ConfigMaps and Secrets that a volume is made of."""
    found: set[Reference] = set()
    for source in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
        if "configMap" in source:
            found.add(("configmaps", source["configMap"].get("name", "")))
        if "secret" in source:
            found.add(("secrets", source["secret"].get("secretName") or source["secret"].get("name", "")))
    return found


def mount(files: FileSystem, container: Obj, volumes: Mapping[str, Volume]) -> None:
    """Mount a container's volumes."""
    for item in container.get("volumeMounts") or []:
        volume = volumes.get(item["name"])
        if volume is None:
            continue
        sub_path = item.get("subPath", "").strip("/")
        if sub_path:
            _mount_part(files, item["mountPath"], volume, sub_path)
        else:
            files.mount(item["mountPath"], volume)


def _mount_part(files: FileSystem, path: str, volume: Volume, sub_path: str) -> None:
    part = FileSystem(volume)
    if not part.exists("/" + sub_path):
        part.mkdir("/" + sub_path, parents=True)
    if part.is_dir("/" + sub_path):
        files.mount(path, volume, part.resolve("/" + sub_path).strip("/"))
    else:
        # A single file is bound as it is now: later changes of its ConfigMap do not reach it.
        files.install(path, part.stat("/" + sub_path))


def _volume(volume: Obj, pod: Obj, sources: VolumeSources) -> Volume:
    if any(key in volume for key in ("configMap", "secret", "projected", "downwardAPI")):
        made = Volume(read_only=True)
        _publish(made, _files(volume, pod, sources), sources.settings)
        return made
    # emptyDir, hostPath, persistentVolumeClaim, …: a directory of its own, gone with the pod.
    return Volume()


def _publish(volume: Volume, files: Files, settings: Settings) -> None:
    """Lay files out behind `..data`, as the kubelet's AtomicWriter does."""
    stamp = settings.now()
    mtime = stamp.timestamp()
    folder = stamp.strftime("..%Y_%m_%d_%H_%M_%S.") + str(10**9 + secrets.randbelow(9 * 10**9))
    nodes: dict[str, Node] = {
        "": Directory(0o1777, mtime),
        folder: Directory(mtime=mtime),
        "..data": Link(folder, mtime=mtime),
    }
    for path, (data, mode) in files.items():
        nodes[f"{folder}/{path}"] = File(data, mode, mtime)
        top = path.split("/")[0]
        nodes[top] = Link(f"..data/{top}", mtime=mtime)
    volume.replace(nodes)


def _files(volume: Obj, pod: Obj, sources: VolumeSources) -> Files:
    name = volume["name"]
    if "projected" in volume:
        mode = volume["projected"].get("defaultMode", 0o644)
        files: Files = {}
        for source in volume["projected"].get("sources") or []:
            files |= _source_files(name, source, pod, sources, mode)
        return files
    key = next(key for key in ("configMap", "secret", "downwardAPI") if key in volume)
    source = volume[key]
    if key == "secret":
        source = source | {"name": source.get("secretName", "")}
    return _source_files(name, {key: source}, pod, sources, source.get("defaultMode", 0o644))


def _source_files(name: str, source: Obj, pod: Obj, sources: VolumeSources, mode: int) -> Files:
    namespace = pod["metadata"]["namespace"]
    if "serviceAccountToken" in source:
        account = pod["spec"].get("serviceAccountName", "default")
        return {source["serviceAccountToken"]["path"]: (_Token(sources, namespace, account, pod), mode)}
    if "downwardAPI" in source:
        return _downward(source["downwardAPI"], pod, mode)
    if "configMap" in source:
        found = _object(name, "configmaps", namespace, source["configMap"], sources.clientset)
        data: dict[str, bytes] = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
        return _items(name, source["configMap"], data, mode)
    if "secret" in source:
        found = _object(name, "secrets", namespace, source["secret"], sources.clientset)
        data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        return _items(name, source["secret"], data, mode)
    return {}


class _Token:
    """A token file: made when it is first read, and again when it has become old."""

    def __init__(self, sources: VolumeSources, namespace: str, account: str, pod: Obj) -> None:
        self._make: Callable[[], bytes] = lambda: sources.token(namespace, account, pod).encode()
        self._now = sources.settings.now
        self._token = b""
        self._until = 0.0

    def __call__(self) -> bytes:
        now = self._now().timestamp()
        if now >= self._until:
            self._token, self._until = self._make(), now + TOKEN_FRESH
        return self._token


def _object(name: str, resource: str, namespace: str, source: Obj, clientset: Clientset) -> Obj:
    found = clientset.get(resource, namespace, source.get("name", ""))
    if found is None:
        if source.get("optional"):
            return {}
        raise MountError(name, f'{resource.removesuffix("s")} "{source.get("name", "")}" not found')
    return found


def _items(name: str, source: Obj, data: Mapping[str, bytes], mode: int) -> Files:
    if not source.get("items"):
        return {key: (value, mode) for key, value in data.items()}
    files: Files = {}
    for item in source["items"]:
        if item["key"] in data:
            files[item["path"]] = (data[item["key"]], item.get("mode", mode))
        elif not source.get("optional"):
            message = f"references non-existent {'secret' if 'secretName' in source else 'config'} key: {item['key']}"
            raise MountError(name, message)
    return files


def _downward(source: Obj, pod: Obj, mode: int) -> Files:
    files: Files = {}
    for item in source.get("items") or []:
        if "fieldRef" in item:
            text = field_value(item["fieldRef"]["fieldPath"], pod)
        else:
            reference = item["resourceFieldRef"]
            names = {container["name"]: container for container in pod["spec"]["containers"]}
            text = resource_value(reference, names.get(reference.get("containerName", ""), {}))
        files[item["path"]] = (text.encode(), item.get("mode", mode))
    return files


def no_token(namespace: str, account: str, pod: Obj) -> str:
    """A token that no API accepts: for clusters without service account tokens."""
    return json.dumps({"sub": f"system:serviceaccount:{namespace}:{account}"})
