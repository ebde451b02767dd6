"""YAML with places: plain data, and where each value of it stands in the file.

Scalars are read as Helm and kubectl read them (YAML 1.1 booleans, no sexagesimal numbers, timestamps stay text, keys
are always text), so that what is written for one of them means the same here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from labctl.errors import ConfigError, Position, Problem, UsageError

MAX_DEPTH = 100
"""Levels of nesting that are read; real files have about ten."""

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the top of a document to a value."""

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: ten times as fast
_STR_TAG = "tag:yaml.org,2002:str"


class _Loader(_BASE):  # type: ignore[misc]  # the base is chosen at run time
    """SafeLoader with the implicit types of `sigs.k8s.io/yaml`, which Helm and kubectl use."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in ("bool", "null", "merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document that could be read.

    Attributes:
        source: The file's name as the user knows it.
        lines: The text, line by line.
        root: The composed tree; None for an empty document.
        data: The same as plain dicts, lists and scalars.
        problems: What was found while reading and leaves the rest readable: duplicate keys, keys that are no text.
    """

    source: str
    lines: tuple[str, ...]
    root: yaml.Node | None
    data: Any
    problems: tuple[Problem, ...] = ()

    def position(self, path: KeyPath, *, key: bool = False) -> Position:
        """Where a value stands, or with `key` the key before it; the nearest parent for a path that does not exist."""
        node, key_node = self.root, None
        for part in path:
            found_key, found = _child(node, part)
            if found is None:
                break
            node, key_node = found, found_key
        place = key_node if key and key_node is not None else node
        return _position(self.source, place.start_mark) if place is not None else Position(self.source, 1, 1)

    def problem(self, path: KeyPath, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """A mistake at a value (or with `key` at its key), with the text of its line."""
        return _problem(self.lines, self.position(path, key=key), message, hint)


def parse(text: str, source: str) -> Document:
    """Read one YAML document.

    Raises:
        ConfigError: It is no YAML, or holds more than one document.
    """
    lines = tuple(text.splitlines())
    try:
        _check_depth(text, lines, source)
        documents = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise ConfigError((_syntax_problem(lines, source, error),)) from None
    if len(documents) > 1:
        start = _position(source, documents[1].start_mark)
        raise ConfigError((_problem(lines, start, "a second document starts here", "one file holds one document"),))
    root = documents[0] if documents else None
    reader = _Reader(lines, source)
    data = reader.plain(root) if root is not None else None
    return Document(source, lines, root, data, tuple(reader.problems))


def read_text(path: FilePath) -> str:
    """The text of a UTF-8 file.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        ConfigError: It is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        problem = Problem(Position(str(path), line, column), "not UTF-8 text", hint="save the file as UTF-8")
        raise ConfigError((problem,)) from None


@dataclass(slots=True)
class _Reader:
    """Turns composed nodes into plain data; an alias becomes the very object its anchor became."""

    lines: tuple[str, ...]
    source: str
    problems: list[Problem] = field(default_factory=list)
    done: dict[int, Any] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    scalars: Any = field(default_factory=yaml.constructor.SafeConstructor)

    def plain(self, node: yaml.Node) -> Any:
        identity = id(node)
        if identity in self.done:
            return self.done[identity]
        if identity in self.open:
            self.report(node, "an alias that contains itself")
            return None
        self.open.add(identity)
        self.done[identity] = self.build(node)
        self.open.discard(identity)
        return self.done[identity]

    def build(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        try:
            return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.report(node, f"cannot be read as {node.tag.rpartition(':')[2]}", "quote it if it is text")
            return None

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.report(key_node, "a key must be text")
                continue
            key = key_node.value
            if key_node.tag.endswith(":merge"):
                self.report(
                    key_node, "merge keys (<<) are not read here", "write the keys out, or use an alias for a value"
                )
                continue
            if key in first:
                line = first[key].start_mark.line + 1
                self.report(
                    key_node, f"the key {key!r} is here a second time (first in line {line})", "keep one of them"
                )
                continue
            first[key] = key_node
            result[key] = self.plain(value_node)
        return result

    def report(self, node: yaml.Node, message: str, hint: str = "") -> None:
        self.problems.append(_problem(self.lines, _position(self.source, node.start_mark), message, hint))


def _check_depth(text: str, lines: tuple[str, ...], source: str) -> None:
    """Composing recurses, in C without a guard: text that is nested too deeply must not get there."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            position = _position(source, event.start_mark)
            raise ConfigError((_problem(lines, position, f"nested more than {MAX_DEPTH} levels deep"),))


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == part:
                return key_node, value_node
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def _position(source: str, mark: Any) -> Position:
    return Position(source, mark.line + 1, mark.column + 1)


def _problem(lines: tuple[str, ...], position: Position, message: str, hint: str = "") -> Problem:
    text = lines[position.line - 1] if position.line <= len(lines) else ""
    return Problem(position, message, text, hint)


def _syntax_problem(lines: tuple[str, ...], source: str, error: yaml.YAMLError) -> Problem:
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    if "quoted scalar" in (getattr(error, "context", None) or ""):
        marks.reverse()  # the open quote, not the end of the text where it was missed
    mark = marks[0] or marks[1]
    position = _position(source, mark) if mark is not None else Position(source, 1, 1)
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    if "\t" in line[: position.column] and not line[: position.column].strip():
        where = Position(source, position.line, line.index("\t") + 1)
        return Problem(where, "indented with a tab, which YAML does not allow", line, "use spaces")
    parts = (getattr(error, "context", None), getattr(error, "problem", None))
    message = ", ".join(part for part in parts if part) or str(error)
    return Problem(position, f"not valid YAML: {message}", line, _syntax_hint(line, message))


def _syntax_hint(line: str, message: str) -> str:
    if "mapping values are not allowed" in message:
        return "quote the value if it holds ': ', and see that keys of one level start in one column"
    if "could not find expected ':'" in message:
        return "write `key: value`, with a space after the colon"
    if "cannot start any token" in message or "unknown anchor" in message or "undefined alias" in message:
        return "quote values that begin with a special character such as * & % @ `"
    if "quoted scalar" in message:
        return "a quote is opened and not closed"
    return ""
