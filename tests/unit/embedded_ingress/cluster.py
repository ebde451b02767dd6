"""A controller over objects in memory, for tests."""

from __future__ import annotations

from typing import Any

from labctl.conformance import world
from labctl.embedded.ingress.annotations.extract import extract
from labctl.embedded.ingress.compiler.compiler import Compiler
from labctl.embedded.ingress.compiler.parsed import ParsedIngress, parse_ingress
from labctl.embedded.ingress.controller.certificates import FAKE_UID
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.controller.store import ObjectStore
from labctl.embedded.ingress.log import LogLine
from labctl.embedded.ingress.model import Certificate, Configuration
from tests.conformance.memory import MemoryClientset

Json = dict[str, Any]
FAKE = Certificate("", b"", "Kubernetes Ingress Controller Fake Certificate", ("ingress.local",), FAKE_UID)


def path(text: str, service: str = "svc-a", kind: str = "Prefix") -> Json:
    return {"path": text, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}}


def ingress(
    name: str,
    *paths: Json,
    host: str = "a.test",
    created: str = "2026-01-01T00:00:00Z",
    **annotations: str,
) -> Json:
    rule: Json = {"http": {"paths": list(paths) or [path("/")]}}
    if host:
        rule["host"] = host
    given = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": created, "annotations": given},
        "spec": {"ingressClassName": "nginx", "rules": [rule]},
    }


class Cluster:
    """Objects, and what the controller makes of them."""

    def __init__(self, *ingresses: Json, config: Json | None = None, flags: Flags = Flags(configmap="a/b")) -> None:  # noqa: B008
        self.clientset = MemoryClientset(lambda: "2026-01-01T00:00:00Z")
        for obj in world.standing_objects():
            self.clientset.apply(obj)
        if config:
            metadata = {"name": "b", "namespace": "a"}
            self.clientset.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": config})
        self.log: list[LogLine] = []
        self.events: list[str] = []
        self.syncs = 0
        self.store = ObjectStore(flags, FAKE, log=self.log.append, notify=self._notify, changed=self._changed)
        self.compiler = Compiler()
        self.clientset.subscribe(self.store.handle)
        self.store.load(self.clientset)
        for obj in ingresses:
            self.clientset.apply(obj)

    def _notify(self, about: Json, reason: str, message: str) -> None:
        self.events.append(f"{reason}: {message}")

    def _changed(self) -> None:
        self.syncs += 1

    def compile(self) -> Configuration:
        return self.compiler.compile(self.store.ingresses, self.store, self.store.take_changes(), self.log)

    def fresh(self) -> Configuration:
        """The same without anything remembered."""
        return Compiler().compile(self.store.ingresses, self.store)


def parsed(cluster: Cluster, obj: Json) -> ParsedIngress:
    annotations = extract(obj, cluster.store).annotations
    assert annotations is not None
    return parse_ingress(obj, annotations)
