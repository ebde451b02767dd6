"""The cluster's kubeconfig: printed, written, or merged into the user's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from labctl.env import Env
from labctl.errors import UsageError
from labctl.model.cluster import Cluster
from labctl.objects.kubeconfig import merge


def kubeconfig_text(cluster: Cluster) -> str:
    """The kubeconfig as YAML."""
    return cluster.kubeconfig.read_text(encoding="utf-8")


def write_kubeconfig(cluster: Cluster, target: Path) -> None:
    """Write it to a file that only the user can read."""
    _write_private(target, kubeconfig_text(cluster))


def merge_kubeconfig(cluster: Cluster, env: Env) -> tuple[Path, str]:
    """Merge it into the file that kubectl uses and make it current; returns that file and the context's name.

    Raises:
        UsageError: The user's file is no kubeconfig; it is left as it is.
    """
    first = env.environ.get("KUBECONFIG", "").split(":")[0]
    target = Path(first) if first else env.home / ".kube" / "config"
    added = _load(cluster.kubeconfig)
    base = _load(target) if target.exists() else {}
    merged = merge(base, added)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_private(target, yaml.safe_dump(merged, sort_keys=False))
    return target, str(merged["current-context"])


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read kubeconfig {path}: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path} is no kubeconfig: it is left as it is")
    return content


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step; never readable by others, not even for a moment."""
    partial = path.with_name(f".{path.name}.labctl-partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
