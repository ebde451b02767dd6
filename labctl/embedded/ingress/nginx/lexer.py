"""nginx's configuration syntax: directives, blocks, quotes, comments.

Source: src/core/ngx_conf_file.c of nginx 1.25.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


class ConfigError(Exception):
    """What nginx refuses to read; the message is nginx's own, without file and line.

    Attributes:
        line: Where, counted from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(slots=True)
class Directive:
    """A directive.

    Attributes:
        name: Its name.
        args: Its parameters, quotes taken off.
        block: Its directives in braces; None when it has no braces.
        line: Where its name is.
    """

    name: str
    args: list[str]
    block: list[Directive] | None
    line: int
    raw: str = field(default="")


_SPACE = " \t\r\n"
_LUA = "_by_lua_block"


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1

    def _peek(self) -> str:
        return self.text[self.position] if self.position < len(self.text) else ""

    def _next(self) -> str:
        character = self._peek()
        self.position += 1
        if character == "\n":
            self.line += 1
        return character

    def skip(self) -> str:
        """Skip white space and comments; returns the next character without taking it."""
        while True:
            character = self._peek()
            if character == "#":
                while self._peek() not in {"", "\n"}:
                    self.position += 1
            elif character and character in _SPACE:
                self._next()
            else:
                return character

    def take(self) -> str:
        """Take one character."""
        return self._next()

    def word(self) -> str:
        """A word, quoted or not."""
        character = self._peek()
        if character in {'"', "'"}:
            return self._quoted(self._next())
        word = ""
        while True:
            character = self._peek()
            if character == "\\":
                word += self._escape()
            elif character == "$" and self.text[self.position + 1 : self.position + 2] == "{":
                word += self._next() + self._next()
            elif not character or character in _SPACE or character in ";{":
                if character == "{" and word.endswith("${"):
                    word += self._next()
                    continue
                return word
            else:
                word += self._next()

    def _escape(self) -> str:
        self._next()
        character = self._next()
        return {"t": "\t", "r": "\r", "n": "\n"}.get(character, character if character in "\"'\\" else "\\" + character)

    def _quoted(self, quote: str) -> str:
        word = ""
        while True:
            character = self._peek()
            if not character:
                raise ConfigError('unexpected end of file, expecting ";" or "}"', self.line)
            if character == "\\":
                word += self._escape()
            elif character == quote:
                self._next()
                after = self._peek()
                if after and after not in _SPACE and after not in ";{)":
                    raise ConfigError(f'unexpected "{after}"', self.line)
                return word
            else:
                word += self._next()


@dataclass(frozen=True, slots=True)
class Event:
    """Something read.

    Attributes:
        kind: `directive`, `open` for one with a block, or `close` for the block's end.
        words: The name and the parameters, quotes taken off.
        line: Where it ends.
        start: Where its name is.
        raw: Its text, for a directive without a block.
    """

    kind: str
    words: tuple[str, ...]
    line: int
    start: int = 0
    raw: str = ""


def events(text: str, *, line: int = 1) -> Iterator[Event]:
    """Read a configuration from front to back.

    Args:
        text: Configuration text.
        line: Number of its first line.

    Raises:
        ConfigError: nginx would not read on.
    """
    lexer = _Lexer(text)
    lexer.line = line
    depth = 0
    while True:
        character = lexer.skip()
        if not character:
            if depth:
                raise ConfigError('unexpected end of file, expecting "}"', lexer.line)
            return
        if character == "}":
            if not depth:
                raise ConfigError('unexpected "}"', lexer.line)
            lexer.take()
            depth -= 1
            yield Event("close", (), lexer.line)
        elif character in ";{":
            raise ConfigError(f'unexpected "{character}"', lexer.line)
        else:
            event = _directive(lexer)
            depth += event.kind == "open"
            yield event
            if event.words[0].endswith(_LUA):
                _skip_lua(lexer)
                depth -= 1
                yield Event("close", (), lexer.line)


def _directive(lexer: _Lexer) -> Event:
    start, position = lexer.line, lexer.position
    words = [lexer.word()]
    while True:
        character = lexer.skip()
        if not character:
            raise ConfigError('unexpected end of file, expecting ";" or "}"', lexer.line)
        if character in ";{":
            lexer.take()
            kind = "directive" if character == ";" else "open"
            return Event(kind, tuple(words), lexer.line, start, lexer.text[position : lexer.position])
        if character == "}":
            raise ConfigError('unexpected "}"', lexer.line)
        words.append(lexer.word())


def _skip_lua(lexer: _Lexer) -> None:
    """A block of Lua code is not nginx syntax: only its braces are counted."""
    depth = 1
    while depth:
        character = lexer.take()
        if not character:
            raise ConfigError("unexpected end of file in Lua code block", lexer.line)
        depth += {"{": 1, "}": -1}.get(character, 0)


def parse(text: str, *, line: int = 1) -> list[Directive]:
    """Read directives as a tree.

    Args:
        text: Configuration text.
        line: Number of its first line.

    Raises:
        ConfigError: nginx would not read it.
    """
    top: list[Directive] = []
    stack = [top]
    for event in events(text, line=line):
        if event.kind == "close":
            stack.pop()
            continue
        block: list[Directive] | None = [] if event.kind == "open" else None
        stack[-1].append(Directive(event.words[0], list(event.words[1:]), block, event.start, event.raw))
        if block is not None:
            stack.append(block)
    return top
