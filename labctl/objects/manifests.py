"""Manifest files: YAML text to Kubernetes objects, every mistake with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from labctl.errors import ConfigError, Position, Problem

Obj = dict[str, Any]
"""A Kubernetes object as JSON."""


def load_manifests(path: Path) -> list[Obj]:
    """Every object in a file (documents separated by `---`, `List` kinds unfolded), in order.

    Raises:
        ConfigError: The file cannot be read, is no YAML, or holds something that is no Kubernetes object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((Problem(Position(str(path), 1, 1), f"cannot read the manifest: {error}"),)) from error
    return parse_manifests(text, str(path))


def parse_manifests(text: str, source: str) -> list[Obj]:
    """Like `load_manifests`, from text; `source` names it in errors."""
    lines = text.splitlines()
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        documents = list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        raise ConfigError((_syntax_problem(error, source, lines),)) from error
    problems: list[Problem] = []
    objects: list[Obj] = []
    for node, document in zip(nodes, documents, strict=True):
        if document is None:  # an empty document, as between two separators
            continue
        missing = _what_is_wrong(document)
        if missing:
            line = node.start_mark.line
            shown = lines[line] if line < len(lines) else ""
            problems.append(Problem(Position(source, line + 1, node.start_mark.column + 1), missing, shown))
        else:
            objects.extend(_unfold(document))
    if problems:
        raise ConfigError(tuple(problems))
    return objects


def _unfold(document: Obj) -> Iterator[Obj]:
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        yield from document["items"]
    else:
        yield document


def _what_is_wrong(document: object) -> str:
    if not isinstance(document, dict):
        return f"a Kubernetes object is a mapping, this is a {type(document).__name__}"
    missing = [key for key in ("apiVersion", "kind") if not isinstance(document.get(key), str)]
    if missing:
        return f"a Kubernetes object needs {' and '.join(missing)}"
    if isinstance(document.get("items"), list):
        return ""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        return f"{document['kind']} needs metadata.name"
    return ""


def _syntax_problem(error: yaml.MarkedYAMLError, source: str, lines: list[str]) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    column = mark.column if mark else 0
    shown = lines[line] if line < len(lines) else ""
    return Problem(Position(source, line + 1, column + 1), f"not valid YAML: {error.problem or error.context}", shown)


def describe(obj: Obj) -> str:
    """`Kind namespace/name`, as messages name an object."""
    metadata = obj.get("metadata", {})
    name = metadata.get("name", "?")
    namespace = metadata.get("namespace")
    return f"{obj.get('kind', '?')} {namespace}/{name}" if namespace else f"{obj.get('kind', '?')} {name}"
