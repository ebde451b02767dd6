"""Word expansion: parameters, command substitution, arithmetic, field splitting, pathnames."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass

from labctl.embedded.images.filesystem import FileSystem
from labctl.embedded.images.shell import patterns
from labctl.embedded.images.shell import syntax as tree
from labctl.embedded.images.shell.arithmetic import evaluate
from labctl.embedded.images.shell.patterns import Fragment

MAX_VALUE = 4 * 1024 * 1024
"""Characters a variable or a substitution may hold; a script that wants more is out of memory."""

MAX_BRACES = 100_000
"""Words that one brace expression may become."""


class OutOfMemory(Exception):  # noqa: N818 - what the kernel would kill the container for
    """The script asks for more memory than a container gets here."""


class ExpansionError(Exception):
    """`${x:?message}`, or an unset variable under `set -u`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What expansion reads and changes.

    Attributes:
        variables: All variables.
        special: The value of `@`, `*`, `#`, `?`, `$`, `!`, `-` and the digits; None when unset.
        positional: `$1`, `$2`, …
        substitute: Runs a command and returns what it wrote.
        files: For pathname expansion.
        cwd: The working directory.
        nounset: Whether an unset variable is an error.
        braces: Whether `{a,b}` and `{1..3}` expand.
    """

    variables: MutableMapping[str, str]
    special: Callable[[str], str | None]
    positional: Sequence[str]
    substitute: Callable[[tree.Sequence], Awaitable[str]]
    files: FileSystem
    cwd: str
    nounset: bool = False
    braces: bool = False


Field = list[Fragment]


class Expander:
    """Expands words in one place of one script."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def fields(self, words: Sequence[tree.Word]) -> list[str]:
        """Words as a command's arguments: split and with pathnames expanded."""
        out: list[str] = []
        if self._around.braces:
            words = [expanded for word in words for expanded in expand_braces(word)]
        for word in words:
            for field in await self._split(word):
                if patterns.has_pattern(field):
                    out += patterns.expand_paths(field, self._around.files, self._around.cwd)
                else:
                    out.append("".join(text for text, _ in field))
        return out

    async def text(self, word: tree.Word) -> str:
        """A word as one text: assignments, redirections, here-documents."""
        return "".join(text for text, _ in await self.fragments(word))

    async def fragments(self, word: tree.Word) -> Field:
        """A word as one text that knows what was quoted: patterns."""
        out: Field = []
        for at, part in enumerate(word):
            if isinstance(part, tree.Text):
                out.append((self._tilde(part.text) if at == 0 and not part.quoted else part.text, part.quoted))
            else:
                out.append((await self._value(part), part.quoted))
        return out

    async def _split(self, word: tree.Word) -> list[Field]:
        fields: list[Field] = [[]]
        for at, part in enumerate(word):
            if isinstance(part, tree.Text):
                text = self._tilde(part.text) if at == 0 and not part.quoted else part.text
                fields[-1].append((text, part.quoted))
            elif isinstance(part, tree.Parameter) and part.name in "@*" and not part.operator:
                self._all_positional(part, fields)
            elif part.quoted:
                fields[-1].append((await self._value(part), True))
            else:
                self._split_value(await self._value(part), fields)
        return [field for field in fields if field]

    def _all_positional(self, part: tree.Parameter, fields: list[Field]) -> None:
        values = list(self._around.positional)
        if part.quoted and part.name == "*":
            fields[-1].append((self._separator().join(values), True))
            return
        for at, value in enumerate(values):
            if at:
                fields.append([])
            if part.quoted:
                fields[-1].append((value, True))
            else:
                self._split_value(value, fields)

    def _separator(self) -> str:
        return self._around.variables.get("IFS", " \t\n")[:1]

    def _split_value(self, value: str, fields: list[Field]) -> None:
        separators = self._around.variables.get("IFS", " \t\n")
        if not separators:
            fields[-1].append((value, False))
            return
        white = "".join(char for char in separators if char in " \t\n")
        hard = "".join(char for char in separators if char not in " \t\n")
        stripped = value.strip(white) if white else value
        if not stripped:
            if value and fields[-1]:
                fields.append([])
            return
        if white and value[0] in white and fields[-1]:
            fields.append([])
        pieces = _pieces(stripped, white, hard)
        fields[-1].append((pieces[0], False))
        fields += [[(piece, False)] for piece in pieces[1:]]
        if white and value[-1] in white:
            fields.append([])

    def _tilde(self, text: str) -> str:
        if text == "~" or text.startswith("~/"):
            return self._around.variables.get("HOME", "/") + text[1:]
        return text

    async def _value(self, part: tree.Part) -> str:
        if isinstance(part, tree.Substitution):
            return _bounded((await self._around.substitute(part.body)).rstrip("\n"))
        if isinstance(part, tree.Arithmetic):
            return str(evaluate(await self.text(part.expression), self._around.variables))
        assert isinstance(part, tree.Parameter)
        return _bounded(await self._parameter(part))

    async def _parameter(self, part: tree.Parameter) -> str:
        value = self._lookup(part.name)
        operator = part.operator
        if operator == "length":
            return str(len(value or ""))
        if operator in ("%", "%%", "#", "##"):
            return patterns.trim(value or "", await self.fragments(part.word), operator)
        if operator:
            return await self._conditional(part, value)
        if value is None and self._around.nounset and part.name not in "@*":
            raise ExpansionError(f"{part.name}: parameter not set")
        return value or ""

    async def _conditional(self, part: tree.Parameter, value: str | None) -> str:
        operator = part.operator
        missing = value is None or (operator.startswith(":") and not value)
        kind = operator[-1]
        if kind == "+":
            return "" if missing else await self.text(part.word)
        if not missing:
            return value or ""
        text = await self.text(part.word)
        if kind == "=":
            self._around.variables[part.name] = text
        elif kind == "?":
            raise ExpansionError(f"{part.name}: {text or 'parameter not set'}")
        return text

    def _lookup(self, name: str) -> str | None:
        if name[0].isalpha() or name[0] == "_":
            return self._around.variables.get(name)
        return self._around.special(name)


_BRACES = re.compile(r"\{(?:(-?\d+)\.\.(-?\d+)|([^{}\s]*,[^{}\s]*))\}")


def expand_braces(word: tree.Word) -> list[tree.Word]:
    """`a{1..3}` → `a1 a2 a3`, `x{b,c}` → `xb xc`, in the unquoted text of a word."""
    for at, part in enumerate(word):
        match = _BRACES.search(part.text) if isinstance(part, tree.Text) and not part.quoted else None
        if match is None or not isinstance(part, tree.Text):
            continue
        out: list[tree.Word] = []
        for value in _brace_values(match):
            text = tree.Text(part.text[: match.start()] + value + part.text[match.end() :])
            out += expand_braces((*word[:at], text, *word[at + 1 :]))
        return out
    return [word]


def _brace_values(match: re.Match[str]) -> list[str]:
    first, last, listed = match.groups()
    if listed is not None:
        return str(listed).split(",")
    start, end = int(first), int(last)
    if abs(end - start) > MAX_BRACES:
        raise OutOfMemory
    step = 1 if end >= start else -1
    return [str(number) for number in range(start, end + step, step)]


def _pieces(text: str, white: str, hard: str) -> list[str]:
    pieces, current, gap = [], "", False
    for char in text:
        if char in hard:
            pieces.append(current)
            current, gap = "", False
        elif char in white:
            gap = True
        else:
            if gap and current:
                pieces.append(current)
                current = ""
            gap = False
            current += char
    return [*pieces, current]


def _bounded(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise OutOfMemory
    return text
