"""What a k3s v1.34.4 answered, and a cluster's objects for rules that look at others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import bootstrap
from labctl.embedded.kinds.settings import ClusterSettings

SETTINGS = ClusterSettings(service_cidr="10.10.200.0/24", cluster_cidr="10.42.0.0/16")


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / "recorded" / f"{name}.json").read_text(encoding="utf-8")


def load(name: str) -> list[Any]:
    """A recording, afresh for every caller."""
    loaded: list[Any] = json.loads(_text(name))
    return loaded


class Objects:
    """The reading half of a clientset."""

    def __init__(self, objects: Iterable[tuple[str, Obj]] = ()) -> None:
        self._objects: dict[tuple[str, str, str], Obj] = {}
        for key, obj in objects:
            self.put(key, obj)

    def put(self, key: str, obj: Obj) -> None:
        metadata = obj["metadata"]
        self._objects[key, metadata.get("namespace", ""), metadata["name"]] = obj

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        return self._objects.get((resource, namespace, name))

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        return [obj for (key, own, _), obj in self._objects.items() if key == resource and namespace in ("", own)]


def cluster(*namespaces: str) -> Any:
    """A fresh cluster with these namespaces and their default service accounts."""
    objects = Objects(
        (key, obj) for key, obj in bootstrap.objects(SETTINGS) if key.endswith("classes.scheduling.k8s.io")
    )
    for name in namespaces:
        objects.put("namespaces", {"metadata": {"name": name}, "spec": {}, "status": {"phase": "Active"}})
        objects.put("serviceaccounts", {"metadata": {"name": "default", "namespace": name}})
    return objects
