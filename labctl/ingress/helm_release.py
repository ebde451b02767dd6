"""Helm's own record of a release, read without Helm: a Secret of type `helm.sh/release.v1` for each revision.

Source: Helm's storage driver for Secrets (pkg/storage/driver): labels `owner`, `name`, `status` and `version`, and in
`data.release` the release as JSON, gzipped, in base64 (once by Helm, once by the API).
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labctl.errors import ClusterError
from labctl.objects.manifests import Obj, parse_manifests

PENDING = frozenset({"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"})
"""States that a release has only while a Helm is at work on it, or after one was interrupted."""


@dataclass(frozen=True, slots=True)
class HelmRelease:
    """One revision of a release.

    Attributes:
        revision: Counts from 1.
        status: `deployed`, `failed`, `pending-install`, …
        description: What Helm noted; labctl's own revisions begin with `labctl`.
        chart: The chart's name.
        chart_version: Its version.
        app_version: The version of what it installs.
        values: The user's values.
        defaults: The chart's own values.
        manifest: The objects that were rendered, as text.
        updated: When it was last changed; None when the record does not say.
        hook_manifests: Its hooks' objects, as text.
    """

    revision: int
    status: str
    description: str
    chart: str
    chart_version: str
    app_version: str
    values: Mapping[str, Any]
    defaults: Mapping[str, Any]
    manifest: str
    updated: datetime | None
    hook_manifests: tuple[str, ...] = ()

    @property
    def hooks(self) -> list[Obj]:
        """The objects that Helm makes beside the release: Jobs before and after it, and what they need."""
        return [obj for text in self.hook_manifests for obj in parse_manifests(text, "the release's hooks")]

    @property
    def objects(self) -> list[Obj]:
        """The objects of the manifest."""
        return parse_manifests(self.manifest, "the release's manifest")

    @property
    def is_pending(self) -> bool:
        """Whether it is in a state that should not last."""
        return self.status in PENDING


def selector(name: str) -> str:
    """The labels of a release's Secrets."""
    return f"owner=helm,name={name}"


def decode(secrets: Iterable[Obj]) -> tuple[HelmRelease, ...]:
    """A release's revisions, the newest first.

    Raises:
        ClusterError: A record cannot be read.
    """
    found = [_decode(secret) for secret in secrets if secret.get("type") == "helm.sh/release.v1"]
    return tuple(sorted(found, key=lambda release: release.revision, reverse=True))


def _decode(secret: Obj) -> HelmRelease:
    try:
        raw = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        return from_json(json.loads(gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw))
    except (KeyError, ValueError, OSError, EOFError) as error:
        name = secret["metadata"]["name"]
        raise ClusterError(
            f"Secret {name} is no readable Helm release: {error}", hint="`helm history` tells more"
        ) from error


def from_json(release: Mapping[str, Any]) -> HelmRelease:
    """A release as Helm writes it with `-o json`."""
    info, chart = release.get("info") or {}, release.get("chart") or {}
    metadata = chart.get("metadata") or {}
    return HelmRelease(
        revision=int(release.get("version") or 0),
        status=str(info.get("status") or "unknown"),
        description=str(info.get("description") or ""),
        chart=str(metadata.get("name") or ""),
        chart_version=str(metadata.get("version") or ""),
        app_version=str(metadata.get("appVersion") or ""),
        values=release.get("config") or {},
        defaults=chart.get("values") or {},
        manifest=str(release.get("manifest") or ""),
        updated=_time(str(info.get("last_deployed") or "")),
        hook_manifests=tuple(str(hook.get("manifest") or "") for hook in release.get("hooks") or []),
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)  # Go writes nanoseconds, which Python cuts
    except ValueError:
        return None
