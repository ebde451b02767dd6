"""The JSON Schemas of labctl's documents, for editors; a test holds them to what the decoder accepts."""

from __future__ import annotations

from pathlib import Path

SCHEMA_DIR = Path(__file__).parent / "schema"


def schema_path(kind: str) -> Path:
    """The schema of a kind of document, `Cluster` or `Lab`."""
    return SCHEMA_DIR / f"{kind.lower()}.v1.json"
