"""kubeconfig files by structure: build, rename, merge. Never by text replacement."""

from __future__ import annotations

import base64
from typing import Any

Kubeconfig = dict[str, Any]


def build(name: str, server: str, ca_pem: bytes, client_cert_pem: bytes, client_key_pem: bytes) -> Kubeconfig:
    """A kubeconfig with one cluster, one user and one context, all called `name`."""

    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": data(ca_pem)}}],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": data(client_cert_pem), "client-key-data": data(client_key_pem)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }


def renamed(original: Kubeconfig, name: str, server: str) -> Kubeconfig:
    """The current context of a kubeconfig alone, everything in it called `name`, the API reached at `server`."""
    context = _named(original, "contexts", str(original.get("current-context")))["context"]
    cluster = _named(original, "clusters", context["cluster"])["cluster"]
    user = _named(original, "users", context["user"])["user"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {**cluster, "server": server}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {**context, "cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    }


def _named(config: Kubeconfig, section: str, name: str) -> dict[str, Any]:
    return next(entry for entry in config[section] if entry["name"] == name)


def merge(base: Kubeconfig, added: Kubeconfig, *, switch: bool = True) -> Kubeconfig:
    """`base` with the clusters, users and contexts of `added`; entries of the same name are replaced in place.

    Args:
        base: The user's file; everything else in it is kept.
        added: The entries to add.
        switch: Make the added file's current context the current one.
    """
    merged = {"apiVersion": "v1", "kind": "Config", **base}
    for section in ("clusters", "users", "contexts"):
        merged[section] = _merge_named(base.get(section) or [], added.get(section) or [])
    if switch or not base.get("current-context"):
        merged["current-context"] = added["current-context"]
    return merged


def without(base: Kubeconfig, name: str) -> Kubeconfig:
    """`base` without the cluster, user and context called `name`; the current context is cleared if it was that."""
    trimmed = dict(base)
    for section in ("clusters", "users", "contexts"):
        trimmed[section] = [entry for entry in base.get(section) or [] if entry.get("name") != name]
    if trimmed.get("current-context") == name:
        trimmed["current-context"] = ""
    return trimmed


def _merge_named(base: list[Any], added: list[Any]) -> list[Any]:
    new = {entry["name"]: entry for entry in added}
    kept = [new.pop(entry.get("name"), entry) for entry in base]
    return kept + list(new.values())
