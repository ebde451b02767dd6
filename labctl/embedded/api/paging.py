"""Lists in chunks, and lists of a moment in the past.

Source: k8s.io/apiserver v0.34.4 `storage/continue.go`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from labctl.embedded.api.gojson import GoJsonError, decode
from labctl.embedded.api.options import invalid_token
from labctl.embedded.clientset import ChangeType, Obj
from labctl.embedded.store import Entry, Record, Store

_VERSION = "meta.k8s.io/v1"


def position(obj: Obj) -> str:
    """Where an object stands in a list: its key below the resource's."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def encode_token(revision: int, last: str) -> str:
    """The continue token after an object, for a list of that revision."""
    token = {"v": _VERSION, "rv": revision, "start": last + "\x00"}
    return base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode_token(token: str) -> tuple[int, str]:
    """The revision and the start key of a continue token.

    Raises:
        ApiError: 400, it is not one of ours.
    """
    try:
        data = base64.b64decode(token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise invalid_token("continue key is not valid: illegal base64 data at input byte 0") from None
    try:
        value = decode(data)
    except GoJsonError as error:
        raise invalid_token(f"continue key is not valid: {error}") from None
    if not isinstance(value, dict) or value.get("v") != _VERSION:
        version = value.get("v") if isinstance(value, dict) else ""
        shown = json.dumps(version if isinstance(version, str) else "")
        raise invalid_token(f"continue key is not valid: server does not recognize this encoded version {shown}")
    revision, start = value.get("rv"), value.get("start")
    if isinstance(revision, bool) or not isinstance(revision, int) or not isinstance(start, str):
        raise invalid_token(
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
        )
    if not start or start.startswith("/") or ".." in start.split("/"):
        raise invalid_token(f"continue key is not valid: {start}")
    return revision, start


def snapshot(store: Store, resource: str, namespace: str, revision: int) -> Sequence[Entry]:
    """The objects of a resource as they were at a revision.

    The present state with the later changes undone, so pages of one list fit together whatever is written meanwhile.

    Raises:
        ExpiredError: The revision is older than the remembered changes.
    """
    later = store.history.since(revision, resource, namespace)
    entries = store.entries(resource, namespace)
    if not later:
        return entries
    objects = {position(entry.object): entry for entry in entries}
    for record in reversed(later):
        _undo(objects, record)
    return [objects[key] for key in sorted(objects)]


def _undo(objects: dict[str, Entry], record: Record) -> None:
    key = position(json.loads(record.data))
    if record.type is ChangeType.ADDED:
        objects.pop(key, None)
    else:
        objects[key] = Entry(json.loads(record.previous), record.previous)
