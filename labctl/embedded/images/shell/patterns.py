"""Shell patterns: for `case`, `${x%…}` and pathname expansion."""

from __future__ import annotations

import re

from labctl.embedded.images.filesystem import FileSystem

Fragment = tuple[str, bool]
"""Characters, and whether they are quoted (and so mean themselves)."""


def to_regex(fragments: list[Fragment]) -> str:
    """A pattern as a regular expression for `fullmatch`."""
    out: list[str] = []
    for text, quoted in fragments:
        if quoted:
            out.append(re.escape(text))
            continue
        at = 0
        while at < len(text):
            at, piece = _piece(text, at)
            out.append(piece)
    return "".join(out)


def _piece(text: str, at: int) -> tuple[int, str]:
    char = text[at]
    if char == "*":
        return at + 1, ".*"
    if char == "?":
        return at + 1, "."
    if char == "[":
        end = text.find("]", at + 2)
        if end > 0:
            inner = text[at + 1 : end]
            inner = "^" + inner[1:] if inner.startswith("!") else inner
            return end + 1, f"[{inner}]"
    return at + 1, re.escape(char)


def has_pattern(fragments: list[Fragment]) -> bool:
    """Whether an unquoted special character is in it."""
    return any(not quoted and re.search(r"[*?\[]", text) for text, quoted in fragments)


def matches(fragments: list[Fragment], text: str) -> bool:
    """Whether the whole text matches."""
    try:
        return re.fullmatch(to_regex(fragments), text, re.DOTALL) is not None
    except re.error:
        return "".join(piece for piece, _ in fragments) == text


def trim(value: str, fragments: list[Fragment], operator: str) -> str:
    """`${value%pattern}` and its three siblings."""
    regex = re.compile(to_regex(fragments), re.DOTALL)
    lengths = range(len(value) + 1)
    longest = len(operator) == 2
    for length in reversed(lengths) if longest else lengths:
        if operator[0] == "#" and regex.fullmatch(value[:length]):
            return value[length:]
        if operator[0] == "%" and regex.fullmatch(value[len(value) - length :]):
            return value[: len(value) - length]
    return value


def expand_paths(fragments: list[Fragment], files: FileSystem, cwd: str) -> list[str]:
    """Pathname expansion; the pattern itself when nothing matches."""
    text = "".join(piece for piece, _ in fragments)
    absolute = text.startswith("/")
    found = ["/" if absolute else ""]
    for component in _components(fragments):
        found = [path for base in found for path in _matching(base, component, files, cwd)]
    return sorted(found) or [text]


def _components(fragments: list[Fragment]) -> list[list[Fragment]]:
    components: list[list[Fragment]] = [[]]
    for text, quoted in fragments:
        first, *more = text.split("/")
        components[-1].append((first, quoted))
        components += [[(part, quoted)] for part in more]
    return [component for component in components if any(text for text, _ in component)]


def _matching(base: str, component: list[Fragment], files: FileSystem, cwd: str) -> list[str]:
    folder = base if base.startswith("/") else f"{cwd}/{base}"
    if not has_pattern(component):
        path = base + "".join(text for text, _ in component)
        return (
            [path + "/" if files.is_dir(_absolute(path, cwd)) else path] if files.exists(_absolute(path, cwd)) else []
        )
    try:
        names = files.list(folder)
    except OSError:
        return []
    hidden = component[0][0].startswith(".")
    kept = [name for name in names if (hidden or not name.startswith(".")) and matches(component, name)]
    return [base + name for name in kept]


def _absolute(path: str, cwd: str) -> str:
    return path if path.startswith("/") else f"{cwd}/{path}"
