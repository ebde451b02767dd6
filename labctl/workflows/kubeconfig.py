"""The cluster's kubeconfig: printed, written, or merged into the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from labctl.env import Env
from labctl.errors import UsageError
from labctl.files import write_private
from labctl.model.cluster import Cluster
from labctl.objects.kubeconfig import merge


def kubeconfig_text(cluster: Cluster) -> str:
    """The kubeconfig as YAML."""
    return cluster.kubeconfig.read_text(encoding="utf-8")


def write_kubeconfig(cluster: Cluster, target: Path) -> None:
    """Write it to a file that only the user can read."""
    write_private(target, kubeconfig_text(cluster))


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
    write_private(target, yaml.safe_dump(merged, sort_keys=False))
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
