"""A small decoder: one mapping's keys are asked for by name and type; what was not asked for is unknown.

It never stops at a mistake: every one is noted with its place, a stand-in value is returned, and `Problems.check`
raises them all at once. Values read after a mistake must therefore not be used before `check`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from labctl.config.positions import Document, KeyPath
from labctl.errors import ConfigError, Problem

E = TypeVar("E", bound=StrEnum)

API_VERSION = "labctl/v1"
_MISSING: Any = object()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word nearest in spelling, whatever its letter case, `_` and `-`; empty when none is near."""
    by_plain = {_plain(name): str(name) for name in known}
    near = difflib.get_close_matches(_plain(word), by_plain, n=1, cutoff=0.65)
    return by_plain[near[0]] if near else ""


def _plain(word: str) -> str:
    return re.sub(r"[-_. ]", "", word).lower()


def kind_of(value: object) -> str:
    """What a YAML value is, in words, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"a boolean ({str(value).lower()})"
    if isinstance(value, (int, float)):
        return f"a number ({value})"
    names: tuple[tuple[type, str], ...] = ((str, "text"), (list, "a list"), (dict, "a mapping"))
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


@dataclass(slots=True)
class Problems:
    """The mistakes found in a document so far, and the secrets in it that no message may show."""

    document: Document
    found: list[Problem] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found.extend(self.document.problems)

    def add(self, path: KeyPath, message: str, hint: str = "", *, key: bool = False) -> None:
        """Note a mistake at a value, or with `key` at its key."""
        self.found.append(self.document.problem(path, message, hint, key=key))

    def check(self) -> None:
        """Raise what was found, in the order of the file.

        Raises:
            ConfigError: There was at least one mistake.
        """
        if self.found:
            unique = dict.fromkeys(self._masked(problem) for problem in self.found)
            in_order = sorted(unique, key=lambda problem: (problem.position.line, problem.position.column))
            raise ConfigError(tuple(in_order))

    def _masked(self, problem: Problem) -> Problem:
        text = problem.line_text
        for secret in self.secrets:
            text = text.replace(secret, "*" * len(secret))
        return replace(problem, line_text=text)


@dataclass(slots=True)
class Fields:
    """One mapping of a document, read key by key.

    Attributes:
        problems: Where mistakes are noted.
        path: Its place in the document.
        data: Its plain value; an empty mapping when it was none.
        asked: Keys that were asked for, in order.
    """

    problems: Problems
    path: KeyPath = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        """Whether the key is there; asking makes it a known one."""
        self._know(key)
        return key in self.data

    def note(self, key: str, message: str, hint: str = "") -> None:
        """Note a mistake at the value of a key, or at the mapping itself for the key ``""``."""
        self.problems.add((*self.path, key) if key else self.path, message, hint)

    def text(
        self, key: str, default: str = _MISSING, *, pattern: str = "", meaning: str = "", empty: bool = False
    ) -> str:
        """A text.

        Args:
            key: Its key.
            default: What stands for a missing key; without one the key is required.
            pattern: Regular expression that must match it whole.
            meaning: What the text must be, in words, for the message.
            empty: Whether it may be empty.
        """
        value = self._take(key, str, "text", default)
        if value == "" and not empty and key in self.data and isinstance(self.data[key], str):
            self.note(key, "must not be empty")
        elif pattern and value and not re.fullmatch(pattern, value):
            self.note(key, f"{value!r} is not {meaning}" if meaning else f"{value!r} does not match {pattern}")
        return value or ""

    def maybe_text(self, key: str) -> str | None:
        """A text, or None when the key is missing."""
        return self.text(key) if self.has(key) else None

    def integer(
        self, key: str, default: int = _MISSING, *, minimum: int | None = None, maximum: int | None = None
    ) -> int:
        """A whole number within bounds, both included."""
        value = self._take(key, int, "a whole number", default)
        if not isinstance(value, int):
            return 0
        if key in self.data and minimum is not None and value < minimum:
            self.note(key, f"{value} is too small: at least {minimum}")
        if key in self.data and maximum is not None and value > maximum:
            self.note(key, f"{value} is too large: at most {maximum}")
        return value

    def number(self, key: str, default: float = _MISSING, *, above: float | None = None) -> float:
        """A number, with a fraction or without."""
        value = self._take(key, (int, float), "a number", default)
        if not isinstance(value, (int, float)):
            return 0.0
        if key in self.data and above is not None and value <= above:
            self.note(key, f"{value} is too small: more than {above:g}")
        return float(value)

    def boolean(self, key: str, default: bool = _MISSING) -> bool:
        """`true` or `false`."""
        return bool(self._take(key, bool, "true or false", default))

    def choice(self, key: str, choices: type[E], default: E = _MISSING) -> E:
        """One of an enumeration's values."""
        value = self._take(key, str, f"one of {one_of(choices)}", default)
        try:
            return choices(value)
        except ValueError:
            if isinstance(value, str) and value:
                near = did_you_mean(value, [str(choice) for choice in choices])
                hint = f"did you mean {near!r}?" if near else f"choose one of {one_of(choices)}"
                self.note(key, f"{value!r} is not one of {one_of(choices)}", hint)
            return next(iter(choices))

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of texts; one text alone stands for a list of one."""
        value = self._take(key, (list, str), "a list of texts", list(default))
        items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        for index, item in enumerate(items):
            if not isinstance(item, str):
                self._wrong((key, index), item, "text")
        return tuple(item for item in items if isinstance(item, str))

    def integers(self, key: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """A list of whole numbers; one number alone stands for a list of one."""
        value = self._take(key, (list, int), "a whole number or a list of them", list(default))
        items = value if isinstance(value, list) else [value] if isinstance(value, int) else []
        for index, item in enumerate(items):
            if not isinstance(item, int) or isinstance(item, bool):
                self._wrong((key, index), item, "a whole number")
        return tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool))

    def text_map(self, key: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        return self._map(key, lambda value: isinstance(value, str), "text")

    def number_map(self, key: str) -> dict[str, float]:
        """A mapping of texts to numbers."""
        found = self._map(
            key, lambda value: isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
        )
        return {name: float(value) for name, value in found.items()}

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping of anything, as it is."""
        value = self._take(key, dict, "a mapping", {})
        return value if isinstance(value, dict) else {}

    def section(self, key: str) -> Fields:
        """A mapping to be read key by key; an empty one when it is missing."""
        return Fields(self.problems, (*self.path, key), self.mapping(key))

    def sections(self, key: str, *, required: bool = False) -> tuple[Fields, ...]:
        """A list of mappings to be read key by key."""
        value = self._take(key, list, "a list", _MISSING if required else [])
        result = []
        for index, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, dict):
                result.append(Fields(self.problems, (*self.path, key, index), item))
            else:
                self._wrong((key, index), item, "a mapping")
        return tuple(result)

    def done(self) -> None:
        """Note every key that nobody asked for."""
        for key in self.data:
            if key not in self.asked:
                near = did_you_mean(key, self.asked)
                hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(self.asked)}"
                self.problems.add((*self.path, key), f"unknown key {key!r}", hint, key=True)

    def _know(self, key: str) -> None:
        if key not in self.asked:
            self.asked.append(key)

    def _take(self, key: str, kind: type | tuple[type, ...], words: str, default: Any) -> Any:
        self._know(key)
        if key not in self.data:
            if default is _MISSING:
                self.problems.add(self.path, f"the key {key!r} is missing ({words})")
                return None
            return default
        value = self.data[key]
        is_stray_bool = isinstance(value, bool) and kind is not bool
        if isinstance(value, kind) and not is_stray_bool:
            return value
        self._wrong((key,), value, words)
        return None if default is _MISSING else default

    def _map(self, key: str, fits: Callable[[Any], bool], words: str) -> dict[str, Any]:
        found = self.mapping(key)
        for name, value in found.items():
            if not fits(value):
                self._wrong((key, name), value, words)
        return {name: value for name, value in found.items() if fits(value)}

    def _wrong(self, path: KeyPath, value: object, words: str) -> None:
        hint = ""
        if "text" in words and isinstance(value, (bool, int, float)):
            hint = "quote it if it is meant as text"
        elif value is None:
            hint = "give it a value, or leave the key out"
        self.problems.add((*self.path, *path), f"must be {words}, not {kind_of(value)}", hint)


def one_of(choices: Iterable[StrEnum]) -> str:
    """The values of an enumeration for a message: `a, b or c`."""
    names = [str(choice) for choice in choices]
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def open_document(document: Document, kind: str) -> Fields:
    """The top of a labctl document, its `apiVersion` and `kind` checked.

    Raises:
        ConfigError: It is empty, no mapping, or of another kind or version: nothing else could be said about it.
    """
    problems = Problems(document)
    if not isinstance(document.data, dict):
        problems.add(
            (),
            f"must be a mapping, not {kind_of(document.data)}",
            f"begin with `apiVersion: {API_VERSION}` and `kind: {kind}`",
        )
        problems.check()
    fields = Fields(problems, (), document.data)
    version, found = fields.text("apiVersion"), fields.text("kind")
    if version and version != API_VERSION:
        fields.note("apiVersion", f"{version!r} is not known to this labctl", f"write `apiVersion: {API_VERSION}`")
        problems.check()
    if found and found != kind:
        fields.note("kind", f"this is a {found!r}, and a {kind!r} was expected", f"write `kind: {kind}`")
        problems.check()
    return fields
