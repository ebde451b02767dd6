"""Deep inspection: values in an Ingress's spec that might break out of nginx.conf."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labctl.embedded.clientset import Obj

_FORBIDDEN = (
    re.compile(r"\s*alias\s*.*;", re.DOTALL),
    re.compile(r"\s*root\s*.*;", re.DOTALL),
    re.compile(r"/etc/(passwd|shadow|group|nginx|ingress-controller)"),
    re.compile(r"/var/run/secrets"),
    re.compile(r"_by_lua"),
)
_PATH = re.compile(r"/[A-Za-z0-9_\-/]*")


def deep_inspect(ingress: Obj) -> str:
    """What is forbidden in an Ingress, in the controller's words; empty when nothing is."""
    metadata, spec = ingress["metadata"], ingress.get("spec") or {}
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    for rule in spec.get("rules") or ():
        if _forbidden(rule.get("host", "")):
            return f"invalid host in ingress {name}: invalid value found: {rule['host']}"
        for path in (rule.get("http") or {}).get("paths") or ():
            text = path.get("path") or ""
            if _forbidden(text):
                return f"invalid rule in ingress {name}: invalid http path: invalid value found: {text}"
    for tls in spec.get("tls") or ():
        if _forbidden(tls.get("secretName", "")):
            return f"invalid secret in ingress {name}: invalid value found: {tls['secretName']}"
        for host in tls.get("hosts") or ():
            if _forbidden(host):
                return f"invalid host in ingress tls config {name}: invalid value found: {host}"
    return ""


def path_type_errors(ingress: Obj) -> Iterator[str]:
    """Paths with characters that only ImplementationSpecific may have, in the controller's words."""
    for rule in (ingress.get("spec") or {}).get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            text, kind = path.get("path") or "", path.get("pathType", "")
            if text and kind != "ImplementationSpecific" and not _PATH.fullmatch(text):
                yield f"path {text} cannot be used with pathType {kind}"


def _forbidden(text: str) -> bool:
    return bool(text) and any(pattern.search(text) for pattern in _FORBIDDEN)
