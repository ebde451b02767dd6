"""What labctl installed without Helm, kept on the cluster: a Secret beside the release, as Helm keeps its own.

The objects are in it too (Secrets without their data), so that a later labctl finds what to remove and can tell what
others have changed, whatever it would render itself.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labctl.errors import ClusterError
from labctl.objects.manifests import Obj

SECRET_TYPE = "labctl/release.v1"  # noqa: S105 - the type of a Kubernetes Secret
LABEL = "labctl/release"


@dataclass(frozen=True, slots=True)
class Record:
    """One installation: chart version, the user's values, its objects, when, and whether all of it was applied."""

    chart_version: str
    values: Mapping[str, Any]
    objects: Sequence[Obj]
    updated: datetime | None = None
    complete: bool = True


def record_name(release: str) -> str:
    """Name of the Secret."""
    return f"labctl.release.v1.{release}"


def record_secret(release: str, namespace: str, record: Record) -> Obj:
    """The Secret that keeps a record."""
    document = {
        "chartVersion": record.chart_version,
        "values": record.values,
        "objects": [without_secret_data(obj) for obj in record.objects],
        "updated": record.updated.isoformat() if record.updated else None,
        "complete": record.complete,
    }
    packed = gzip.compress(json.dumps(document, sort_keys=True).encode(), mtime=0)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": record_name(release), "namespace": namespace, "labels": {LABEL: release}},
        "type": SECRET_TYPE,
        "data": {"release": base64.b64encode(packed).decode()},
    }


def read_record(secret: Obj) -> Record:
    """The record in a Secret.

    Raises:
        ClusterError: It cannot be read.
    """
    try:
        document = json.loads(gzip.decompress(base64.b64decode(secret["data"]["release"])))
        updated = document.get("updated")
        return Record(
            chart_version=document["chartVersion"],
            values=document["values"],
            objects=document["objects"],
            updated=datetime.fromisoformat(updated) if updated else None,
            complete=bool(document.get("complete")),
        )
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise ClusterError(
            f"Secret {secret['metadata']['name']} is no readable record of labctl: {error}",
            hint="delete it, and install again",
        ) from error


def without_secret_data(obj: Obj) -> Obj:
    """The object, without the data of a Secret."""
    return {key: value for key, value in obj.items() if key not in ("data", "stringData")} if is_secret(obj) else obj


def is_secret(obj: Obj) -> bool:
    """Whether it is a Secret."""
    return obj.get("kind") == "Secret"
