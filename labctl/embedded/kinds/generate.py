"""Makes `data/descriptions.json.gz`: what the API's own documents say about types and fields.

    python -m labctl.embedded.kinds.generate

The texts are those that the installed `kubernetes` package carries with its models (Apache License 2.0). The embedded
cluster's process reads the file instead of the package, which takes a third of a second and 40 MB to import.
"""

from __future__ import annotations

import gzip
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubernetes.client import models

from labctl.embedded.kinds import wire
from labctl.embedded.kinds.openapi_names import SPECIAL_SCHEMAS, list_kinds, schema_name

TARGET = Path(__file__).parent / "data" / "descriptions.json.gz"


def model_of(schema: str) -> Any:
    """The package's model of a schema such as `io.k8s.api.core.v1.Pod`; None when it has none.

    Models are called `V1Pod`; where two groups have one kind, the group comes first: `CoreV1Event`.
    """
    group, version, kind = schema.split(".")[-3:]
    for name in (f"{group.capitalize()}{version.capitalize()}{kind}", f"{version.capitalize()}{kind}"):
        found = getattr(models, name, None)
        if found is not None:
            return found
    return None


def descriptions() -> dict[str, dict[str, str]]:
    """Per type (by schema name) the description of each of its fields; its own stands under the empty name."""
    wanted = {schema_name(key) for key in wire.all_structs()} | set(SPECIAL_SCHEMAS.values()) | set(list_kinds())
    found: dict[str, dict[str, str]] = {}
    for schema in sorted(wanted):
        model = model_of(schema)
        if model is None:
            continue
        texts = {"": inspect.cleandoc(model.__doc__ or "").partition("\nAttributes:")[0].strip()}
        fields = model.model_fields
        texts |= {key: fields[name].description or "" for name, key in model.attribute_map.items() if name in fields}
        found[schema] = {key: text for key, text in texts.items() if text}
    return found


def differences(found: dict[str, dict[str, str]]) -> Iterator[str]:
    """Types and fields of types.txt that the package says nothing about."""
    for key, struct in wire.all_structs().items():
        texts = found.get(schema_name(key))
        if texts is None:
            yield f"{key}: no model"
            continue
        missing = set(struct.by_name) - set(texts)
        if missing:
            yield f"{key}: {', '.join(sorted(missing))}"


def write(target: Path) -> list[str]:
    """Write the data file and return what has no description; the same package gives the same bytes."""
    found = descriptions()
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    target.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return list(differences(found))


if __name__ == "__main__":
    for line in write(TARGET):
        sys.stderr.write(f"{line}\n")
