"""nginx's configuration syntax: directives, blocks, quotes, comments.

Source: src/core/ngx_conf_file.c of nginx 1.25.5.
"""

from __future__ import annotations

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


def parse(text: str, *, line: int = 1) -> list[Directive]:
    """Read directives.

    Args:
        text: Configuration text.
        line: Number of its first line.

    Raises:
        ConfigError: nginx would not read it.
    """
    lexer = _Lexer(text)
    lexer.line = line
    directives = _block(lexer, top=True)
    return directives


def _block(lexer: _Lexer, *, top: bool) -> list[Directive]:
    directives: list[Directive] = []
    while True:
        character = lexer.skip()
        if not character:
            if top:
                return directives
            raise ConfigError('unexpected end of file, expecting "}"', lexer.line)
        if character == "}":
            if top:
                raise ConfigError('unexpected "}"', lexer.line)
            lexer.take()
            return directives
        if character in ";{":
            raise ConfigError(f'unexpected "{character}"', lexer.line)
        directives.append(_directive(lexer))


def _directive(lexer: _Lexer) -> Directive:
    line, start = lexer.line, lexer.position
    words = [lexer.word()]
    if words[0].endswith("_by_lua_block"):
        return _lua_block(lexer, words[0], line)
    while True:
        character = lexer.skip()
        if not character:
            raise ConfigError('unexpected end of file, expecting ";" or "}"', lexer.line)
        if character == ";":
            lexer.take()
            return Directive(words[0], words[1:], None, line, lexer.text[start : lexer.position])
        if character == "{":
            lexer.take()
            return Directive(words[0], words[1:], _block(lexer, top=False), line)
        if character == "}":
            raise ConfigError('unexpected "}"', lexer.line)
        words.append(lexer.word())


def _lua_block(lexer: _Lexer, name: str, line: int) -> Directive:
    """A block of Lua code is not nginx syntax: only its braces are counted."""
    args: list[str] = []
    while lexer.skip() not in {"{", ""}:
        args.append(lexer.word())
    depth = 0
    while True:
        character = lexer.take()
        if not character:
            raise ConfigError("unexpected end of file in Lua code block", lexer.line)
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0 and character == "}":
            return Directive(name, args, [], line)
