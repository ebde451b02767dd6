"""The registry's own part of metadata: what a create fills in and what an update may not change."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from labctl.embedded.api.errors import bad_request
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_NAME = 63
_SUFFIX_LENGTH = 5


def timestamp(moment: datetime) -> str:
    """`metav1.Time` as JSON: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """The inverse of `timestamp` (fractions are accepted too).

    Raises:
        ValueError: It is no RFC 3339 time.
    """
    return datetime.fromisoformat(text)


def generated_name(base: str) -> str:
    """A name made of `generateName`, as `names.SimpleNameGenerator` does: five characters that spell no words."""
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return base[: _MAX_NAME - _SUFFIX_LENGTH] + suffix


def match_namespace(resource: Resource, metadata: Obj, namespace: str) -> None:
    """Put the object into the request's namespace.

    Raises:
        ApiError: 400, it names another one.
    """
    wanted = namespace if resource.namespaced else ""
    given = metadata.get("namespace") or ""
    if given and wanted and given != wanted:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if wanted:
        metadata["namespace"] = wanted
    else:
        metadata.pop("namespace", None)


def fill_for_create(metadata: Obj, now: datetime) -> None:
    """Set what only the API server may set on a new object."""
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"):
        metadata.pop(key, None)
    # A place for the store to write into.
    metadata["resourceVersion"] = "0"
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp(now)
    if metadata.get("generateName") and not metadata.get("name"):
        metadata["name"] = generated_name(metadata["generateName"])


def keep_for_update(metadata: Obj, old: Obj) -> None:
    """Carry over what no update may change: generation, times of creation and deletion, and the uid when not given."""
    metadata.pop("selfLink", None)
    _carry(metadata, old, "generation", "creationTimestamp")
    if not metadata.get("uid"):
        metadata["uid"] = old["uid"]
    if "deletionTimestamp" in old:
        metadata["deletionTimestamp"] = old["deletionTimestamp"]
    else:
        metadata.pop("deletionTimestamp", None)
    if "deletionGracePeriodSeconds" in old:
        metadata.setdefault("deletionGracePeriodSeconds", old["deletionGracePeriodSeconds"])
    else:
        metadata.pop("deletionGracePeriodSeconds", None)


def _carry(metadata: Obj, old: Obj, *keys: str) -> None:
    for key in keys:
        if key in old:
            metadata[key] = old[key]
        else:
            metadata.pop(key, None)


def labels_of(obj: Obj) -> dict[str, str]:
    """The object's labels, never None."""
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def reference(obj: Obj) -> tuple[str, str]:
    """Namespace (empty when cluster-scoped) and name."""
    metadata: dict[str, Any] = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
