"""Reading words: quotes, parameters, substitutions; the part of the parser that works on characters."""

from __future__ import annotations

import re
from collections.abc import Callable

from labctl.embedded.images.shell.syntax import (
    Arithmetic,
    Parameter,
    Part,
    Sequence,
    ShellSyntaxError,
    Substitution,
    Text,
    Word,
)

METACHARACTERS = " \t\n|&;<>()"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = "@*#?$!-0123456789"
_OPERATORS = (":-", ":=", ":+", ":?", "%%", "##", "-", "=", "+", "?", "%", "#")


class WordReader:
    """Reads words out of a text; `position` is where it stands.

    `parse` turns the text of a command substitution into its tree.
    """

    def __init__(self, text: str, parse: Callable[[str], Sequence]) -> None:
        self.text = text
        self.position = 0
        self._parse = parse

    def peek(self, count: int = 1) -> str:
        """The next characters."""
        return self.text[self.position : self.position + count]

    def word(self, stop: str = METACHARACTERS) -> Word:
        """One word, up to an unquoted character of `stop`."""
        parts: list[Part] = []
        plain: list[str] = []

        def flush() -> None:
            if plain:
                parts.append(Text("".join(plain)))
                plain.clear()

        while self.position < len(self.text):
            char = self.peek()
            if char in stop:
                break
            if char == "\\":
                self.position += 1
                escaped = self.peek()
                self.position += 1
                if escaped != "\n":
                    flush()
                    parts.append(Text(escaped or "\\", quoted=True))
            elif char == "'":
                flush()
                parts.append(Text(self._single(), quoted=True))
            elif char == '"':
                flush()
                self.position += 1
                parts += self._double('"')
            elif char in "$`":
                flush()
                parts += self._dollar(quoted=False)
            else:
                plain.append(char)
                self.position += 1
        flush()
        return tuple(parts)

    def document(self) -> Word:
        """The whole text as the body of a here-document whose delimiter was not quoted."""
        parts: list[Part] = []
        plain: list[str] = []
        while self.position < len(self.text):
            char = self.peek()
            if char == "\\" and self.peek(2)[1:] in ("$", "`", "\\", "\n"):
                plain.append(self.peek(2)[1:].replace("\n", ""))
                self.position += 2
            elif char in "$`":
                parts.append(Text("".join(plain), quoted=True))
                plain = []
                parts += self._dollar(quoted=True)
            else:
                plain.append(char)
                self.position += 1
        return (*parts, Text("".join(plain), quoted=True))

    def _single(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise ShellSyntaxError("syntax error: unterminated quoted string", incomplete=True)
        text = self.text[self.position + 1 : end]
        self.position = end + 1
        return text

    def _double(self, end: str) -> list[Part]:
        parts: list[Part] = []
        plain: list[str] = []
        while True:
            char = self.peek()
            if not char:
                raise ShellSyntaxError("syntax error: unterminated quoted string", incomplete=True)
            if char == end:
                self.position += 1
                break
            if char == "\\" and self.peek(2)[1:] in ("$", "`", '"', "\\", "\n"):
                plain.append(self.peek(2)[1:].replace("\n", ""))
                self.position += 2
            elif char in "$`":
                parts.append(Text("".join(plain), quoted=True))
                plain = []
                parts += self._dollar(quoted=True)
            else:
                plain.append(char)
                self.position += 1
        parts = [part for part in (*parts, Text("".join(plain), quoted=True)) if part != Text("", quoted=True)]
        # An empty quoted text still makes a field.
        return parts or [Text("", quoted=True)]

    def _dollar(self, *, quoted: bool) -> list[Part]:
        if self.peek() == "`":
            return [self._backquote(quoted=quoted)]
        if self.peek(3) == "$((":
            return [self._arithmetic(quoted=quoted)]
        if self.peek(2) == "$(":
            self.position += 2
            return [Substitution(self._parse(self._balanced()), quoted)]
        if self.peek(2) == "${":
            return [self._braced(quoted=quoted)]
        match = _NAME.match(self.text, self.position + 1)
        if match:
            self.position = match.end()
            return [Parameter(match.group(), quoted=quoted)]
        if self.peek(2)[1:] and self.peek(2)[1:] in _SPECIAL:
            name = self.peek(2)[1:]
            self.position += 2
            return [Parameter(name, quoted=quoted)]
        self.position += 1
        return [Text("$", quoted=quoted)]

    def _backquote(self, *, quoted: bool) -> Part:
        end = self.position + 1
        while end < len(self.text) and self.text[end] != "`":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise ShellSyntaxError('syntax error: unexpected end of file (expecting "`")', incomplete=True)
        inner = re.sub(r"\\([$`\\])", r"\1", self.text[self.position + 1 : end])
        self.position = end + 1
        return Substitution(self._parse(inner), quoted)

    def _arithmetic(self, *, quoted: bool) -> Part:
        start = self.position
        self.position += 3
        inner = self._balanced()
        if self.peek() != ")":
            # `$((…) …)` is a command substitution that begins with a subshell.
            self.position = start + 2
            return Substitution(self._parse(self._balanced()), quoted)
        self.position += 1
        return Arithmetic(WordReader(inner, self._parse).document(), quoted)

    def _balanced(self) -> str:
        """Text up to the parenthesis that closes the one before `position`."""
        start, depth = self.position, 1
        while self.position < len(self.text):
            char = self.peek()
            if char == "\\":
                self.position += 1
            elif char == "'":
                self._single()
                continue
            elif char == '"':
                self.position += 1
                self._double('"')
                continue
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    self.position += 1
                    return self.text[start : self.position - 1]
            self.position += 1
        raise ShellSyntaxError('syntax error: unexpected end of file (expecting ")")', incomplete=True)

    def _braced(self, *, quoted: bool) -> Part:
        self.position += 2
        if self.peek() == "#" and self.peek(2)[1:] not in ("}", ""):
            self.position += 1
            name = self._name()
            self._close_brace()
            return Parameter(name, "length", quoted=quoted)
        name = self._name()
        for operator in _OPERATORS:
            if self.text.startswith(operator, self.position):
                self.position += len(operator)
                word = self.word(stop="}")
                self._close_brace()
                return Parameter(name, operator, word, quoted)
        self._close_brace()
        return Parameter(name, quoted=quoted)

    def _name(self) -> str:
        match = _NAME.match(self.text, self.position) or re.compile(r"[0-9]+").match(self.text, self.position)
        if match:
            self.position = match.end()
            return match.group()
        name = self.peek()
        if not name or name not in _SPECIAL:
            raise ShellSyntaxError("syntax error: bad substitution")
        self.position += 1
        return name

    def _close_brace(self) -> None:
        if self.peek() != "}":
            missing = not self.peek()
            text = "syntax error: missing '}'" if missing else "syntax error: bad substitution"
            raise ShellSyntaxError(text, incomplete=missing)
        self.position += 1
