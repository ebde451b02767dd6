"""Makes `data/descriptions.json.gz`: what the API's own documents say about types and fields.

    python -m labctl.embedded.kinds.generate OPENAPI_V2_JSON

The argument is a cluster's `kubectl get --raw /openapi/v2` (or `api/openapi-spec/swagger.json` of a Kubernetes
release, Apache License 2.0), of the version that `data/types.txt` describes. Types or fields that one side has and the
other has not are told, so that a new version's changes to types.txt are not forgotten.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labctl.embedded.kinds import wire
from labctl.embedded.kinds.openapi_names import SPECIAL_SCHEMAS, list_kinds, schema_name

TARGET = Path(__file__).parent / "data" / "descriptions.json.gz"


def descriptions(definitions: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Per type (by schema name) the description of each of its fields; its own stands under the empty name."""
    wanted = {schema_name(key) for key in wire.all_structs()} | set(SPECIAL_SCHEMAS.values()) | set(list_kinds())
    found: dict[str, dict[str, str]] = {}
    for name in sorted(wanted & set(definitions)):
        definition = definitions[name]
        texts = {"": definition.get("description", "")}
        texts |= {key: item.get("description", "") for key, item in definition.get("properties", {}).items()}
        found[name] = {key: text for key, text in texts.items() if text}
    return found


def differences(definitions: dict[str, Any]) -> Iterator[str]:
    """What types.txt and the document disagree about."""
    for key, struct in wire.all_structs().items():
        definition = definitions.get(schema_name(key))
        if definition is None:
            yield f"{key}: not in the document"
            continue
        documented = set(definition.get("properties", {}))
        if documented and documented != set(struct.by_name):
            yield f"{key}: {', '.join(sorted(documented ^ set(struct.by_name)))}"


def write(source: Path, target: Path) -> list[str]:
    """Write the data file and return what does not agree; the same source gives the same bytes."""
    definitions = json.loads(source.read_text(encoding="utf-8"))["definitions"]
    text = json.dumps(descriptions(definitions), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    target.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return list(differences(definitions))


if __name__ == "__main__":
    for line in write(Path(sys.argv[1]), TARGET):
        sys.stderr.write(f"{line}\n")
