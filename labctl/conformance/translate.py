"""From the recording's names and addresses to those of a real cluster, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.conformance import world

Json = dict[str, Any]
_ADDRESS = re.compile(r"172\.16\.\d+\.\d+")
_BLACK_HOLE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): routed nowhere


@dataclass(slots=True)
class Translation:
    """How a case's objects are written for a cluster.

    Attributes:
        namespace: Takes the place of `default`.
        ingress_class: Takes the place of `nginx`.
        addresses: By recorded pod name (`a1`), the pod's address; `refuse` is one that refuses connections.
        client: The client's address as the controller sees it; empty while it is not known.
    """

    namespace: str
    ingress_class: str
    addresses: Mapping[str, str]
    client: str = ""

    def obj(self, recorded: Json) -> Json:
        """An object for the cluster."""
        written: Json = self._value(recorded)
        metadata = written["metadata"]
        if metadata.get("namespace") == "default" or "namespace" not in metadata:
            metadata["namespace"] = self.namespace
        spec = written.get("spec") or {}
        if written["kind"] == "Ingress" and spec.get("ingressClassName") == "nginx":
            spec["ingressClassName"] = self.ingress_class
        annotations = metadata.get("annotations") or {}
        if annotations.get("kubernetes.io/ingress.class") == "nginx":
            annotations["kubernetes.io/ingress.class"] = self.ingress_class
        return written

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        text = _ADDRESS.sub(lambda match: self._address(match[0]), text)
        if text.startswith("default/"):
            text = f"{self.namespace}/{text.removeprefix('default/')}"
        return text.replace(".default.svc", f".{self.namespace}.svc")

    def _address(self, recorded: str) -> str:
        if recorded == world.CLIENT:
            return self.client or recorded
        if recorded.startswith(world.REFUSING):
            return self.addresses["refuse"]
        if recorded.startswith(world.BLACK_HOLE):
            return _BLACK_HOLE
        return self.addresses.get(world.pod_name(recorded), recorded)

    def observed(self, value: Any) -> Any:
        """What came, in the recording's words."""
        if isinstance(value, dict):
            return {key: self.observed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.observed(item) for item in value]
        if not isinstance(value, str):
            return value
        if self.client:
            value = re.sub(rf"(?<![\d.]){re.escape(self.client)}(?![\d.])", world.CLIENT, value)
        return value.replace(self.namespace, "default")
