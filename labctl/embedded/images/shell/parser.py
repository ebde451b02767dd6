"""From shell text to its tree."""

from __future__ import annotations

import re

from labctl.embedded.images.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    Redirect,
    Sequence,
    ShellSyntaxError,
    Simple,
    Text,
    Word,
)
from labctl.embedded.images.shell.words import METACHARACTERS, WordReader

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_REDIRECT = re.compile(r"([0-9]*)(<<<|<<-|<<|<&|>&|>>|>\||&>|<|>)")
_FUNCTION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*\([ \t]*\)")
_RESERVED = ("then", "else", "elif", "fi", "do", "done", "esac", "}", "!", "{", "if", "while", "until", "for", "case")
_CLOSING = ("then", "else", "elif", "fi", "do", "done", "esac", "}")


def parse(text: str) -> Sequence:
    """Parse a whole script.

    Raises:
        ShellSyntaxError: It is no shell script, or not a complete one.
    """
    return Parser(text).script()


class Parser:
    """A recursive-descent parser over the characters of one script."""

    def __init__(self, text: str) -> None:
        self._reader = WordReader(text, parse)

    def script(self) -> Sequence:
        """Everything to the end of the text."""
        body = self._sequence(())
        if self._reader.peek():
            self._unexpected(self._reader.peek())
        return body

    def _sequence(self, closing: tuple[str, ...]) -> Sequence:
        items: list[tuple[AndOr, bool]] = []
        while True:
            self._skip_separators()
            if self._at_end(closing):
                break
            item = self._and_or()
            background = self._operator("&")
            if not background:
                self._operator(";")
            items.append((item, background))
        return Sequence(tuple(items))

    def _at_end(self, closing: tuple[str, ...]) -> bool:
        char = self._reader.peek()
        if not char:
            if closing:
                wanted = closing[-1]
                raise ShellSyntaxError(f'syntax error: unexpected end of file (expecting "{wanted}")', incomplete=True)
            return True
        if char == ")" or self._reader.peek(2) == ";;":
            return True
        word = self._reserved()
        if word in _CLOSING:
            if word not in closing:
                self._unexpected(word)
            return True
        return False

    def _and_or(self) -> AndOr:
        first = self._pipeline()
        rest: list[tuple[str, Pipeline]] = []
        while True:
            for operator in ("&&", "||"):
                if self._operator(operator):
                    self._skip_newlines()
                    rest.append((operator, self._pipeline()))
                    break
            else:
                return AndOr(first, tuple(rest))

    def _pipeline(self) -> Pipeline:
        negate = self._keyword("!")
        commands = [self._command()]
        while self._reader.peek(2) != "||" and self._operator("|"):
            self._skip_newlines()
            commands.append(self._command())
        return Pipeline(tuple(commands), negate)

    def _command(self) -> Command:
        self._skip_blanks()
        if self._reader.peek() == "(":
            self._reader.position += 1
            body = self._sequence((")",))
            self._expect(")")
            return Group(body, True, self._redirects())
        function = _FUNCTION.match(self._reader.text, self._reader.position)
        if function:
            self._reader.position = function.end()
            self._skip_newlines()
            return Function(function.group(1), self._command())
        word = self._reserved()
        if word == "{":
            self._keyword("{")
            body = self._sequence(("}",))
            self._need("}")
            return Group(body, False, self._redirects())
        return self._compound(word) if word else self._simple()

    def _compound(self, word: str) -> Command:
        if word == "if":
            return self._if()
        if word in ("while", "until"):
            self._keyword(word)
            condition = self._sequence(("do",))
            return Loop(condition, self._do(), word == "until", self._redirects())
        if word == "for":
            return self._for()
        if word == "case":
            return self._case()
        self._unexpected(word)
        raise AssertionError

    def _if(self) -> If:
        branches = []
        self._keyword("if")
        while True:
            condition = self._sequence(("then",))
            self._need("then")
            branches.append((condition, self._sequence(("elif", "else", "fi"))))
            if not self._keyword("elif"):
                break
        otherwise = self._sequence(("fi",)) if self._keyword("else") else None
        self._need("fi")
        return If(tuple(branches), otherwise, self._redirects())

    def _do(self) -> Sequence:
        self._skip_separators()
        self._need("do")
        body = self._sequence(("done",))
        self._need("done")
        return body

    def _for(self) -> For:
        self._keyword("for")
        name = self._plain_word()
        self._skip_newlines()
        words: list[Word] | None = None
        if self._keyword("in"):
            words = []
            self._skip_blanks()
            while self._reader.peek() not in ("", "\n", ";"):
                words.append(self._reader.word())
                if not words[-1]:
                    self._unexpected(self._reader.peek())
                self._skip_blanks()
        body = self._do()
        return For(name, None if words is None else tuple(words), body, self._redirects())

    def _case(self) -> Case:
        self._keyword("case")
        self._skip_blanks()
        word = self._reader.word()
        self._skip_newlines()
        self._need("in")
        arms: list[tuple[tuple[Word, ...], Sequence]] = []
        while True:
            self._skip_separators()
            if self._keyword("esac"):
                return Case(word, tuple(arms), self._redirects())
            self._operator("(")
            patterns = [self._pattern()]
            while self._operator("|"):
                patterns.append(self._pattern())
            self._expect(")")
            arms.append((tuple(patterns), self._sequence(("esac",))))
            self._operator(";;")

    def _pattern(self) -> Word:
        self._skip_blanks()
        word = self._reader.word()
        self._skip_blanks()
        return word

    def _simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            self._skip_blanks()
            redirect = self._redirect()
            if redirect is not None:
                redirects.append(redirect)
                continue
            char = self._reader.peek()
            if not char or char in METACHARACTERS:
                break
            match = None if words else _ASSIGNMENT.match(self._reader.text, self._reader.position)
            if match:
                self._reader.position = match.end()
                assignments.append((match.group()[:-1], self._reader.word()))
            else:
                words.append(self._reader.word())
        if not words and not assignments and not redirects:
            self._unexpected(self._reader.peek())
        return Simple(tuple(assignments), tuple(words), self._filled(redirects))

    def _redirects(self) -> tuple[Redirect, ...]:
        redirects: list[Redirect] = []
        while True:
            self._skip_blanks()
            redirect = self._redirect()
            if redirect is None:
                return self._filled(redirects)
            redirects.append(redirect)

    def _redirect(self) -> Redirect | None:
        match = _REDIRECT.match(self._reader.text, self._reader.position)
        if match is None:
            return None
        self._reader.position = match.end()
        operator = match.group(2)
        self._skip_blanks()
        fd = int(match.group(1)) if match.group(1) else (0 if operator.startswith("<") else 1)
        word = self._reader.word()
        if not word:
            self._unexpected(self._reader.peek())
        if operator in ("<<", "<<-"):
            return self._here_document(fd, word, strip=operator == "<<-")
        return Redirect(fd, ">" if operator == ">|" else operator, word)

    def _here_document(self, fd: int, delimiter: Word, *, strip: bool) -> Redirect:
        """Take the document out of the text: it begins on the next line."""
        end = "".join(part.text for part in delimiter if isinstance(part, Text))
        quoted = any(isinstance(part, Text) and part.quoted for part in delimiter)
        text, position = self._reader.text, self._reader.position
        start = text.find("\n", position)
        lines = text[start + 1 :].split("\n") if start >= 0 else []
        taken: list[str] = []
        for line in lines:
            plain = line.lstrip("\t") if strip else line
            if plain == end:
                break
            taken.append(plain)
        else:
            raise ShellSyntaxError(f'syntax error: unexpected end of file (expecting "{end}")', incomplete=True)
        rest = "\n".join(lines[len(taken) + 1 :])
        self._reader.text = text[: start + 1] + rest
        body = "".join(line + "\n" for line in taken)
        word: Word = (Text(body, quoted=True),) if quoted else WordReader(body, parse).document()
        return Redirect(fd, "<<", word)

    def _filled(self, redirects: list[Redirect]) -> tuple[Redirect, ...]:
        # `&>file` is `>file 2>&1`.
        out: list[Redirect] = []
        for redirect in redirects:
            if redirect.operator == "&>":
                out += [Redirect(1, ">", redirect.word), Redirect(2, ">&", (Text("1"),))]
            else:
                out.append(redirect)
        return tuple(out)

    # -- characters -----------------------------------------------------------------------------------------------

    def _skip_blanks(self) -> None:
        reader = self._reader
        while True:
            if reader.peek() in (" ", "\t") and reader.peek():
                reader.position += 1
            elif reader.peek(2) == "\\\n":
                reader.position += 2
            elif reader.peek() == "#" and (reader.position == 0 or reader.text[reader.position - 1] in METACHARACTERS):
                end = reader.text.find("\n", reader.position)
                reader.position = len(reader.text) if end < 0 else end
            else:
                return

    def _skip_newlines(self) -> None:
        while True:
            self._skip_blanks()
            if self._reader.peek() != "\n":
                return
            self._reader.position += 1

    def _skip_separators(self) -> None:
        while True:
            self._skip_newlines()
            if self._reader.peek() != ";" or self._reader.peek(2) == ";;":
                return
            self._reader.position += 1

    def _operator(self, operator: str) -> bool:
        self._skip_blanks()
        if not self._reader.text.startswith(operator, self._reader.position):
            return False
        longer = self._reader.peek(2)
        if len(operator) == 1 and longer in ("&&", "||", ";;"):
            return False
        self._reader.position += len(operator)
        return True

    def _reserved(self) -> str:
        """The reserved word that stands here, without taking it; empty for none."""
        self._skip_blanks()
        match = re.compile(r"[^\s|&;<>()'\"$`\\]+").match(self._reader.text, self._reader.position)
        word = match.group() if match else ""
        return word if word in _RESERVED else ""

    def _keyword(self, word: str) -> bool:
        self._skip_blanks()
        match = re.compile(r"[^\s|&;<>()'\"$`\\]+").match(self._reader.text, self._reader.position)
        if match is None or match.group() != word:
            return False
        self._reader.position = match.end()
        return True

    def _need(self, word: str) -> None:
        self._skip_separators()
        if not self._keyword(word):
            self._unexpected(self._reader.peek(), expecting=word)

    def _expect(self, char: str) -> None:
        self._skip_newlines()
        if self._reader.peek() != char:
            self._unexpected(self._reader.peek(), expecting=char)
        self._reader.position += 1

    def _plain_word(self) -> str:
        self._skip_blanks()
        word = self._reader.word()
        if len(word) != 1 or not isinstance(word[0], Text):
            raise ShellSyntaxError("syntax error: bad for loop variable")
        return word[0].text

    def _unexpected(self, what: str, expecting: str = "") -> None:
        tail = f' (expecting "{expecting}")' if expecting else ""
        if not what:
            raise ShellSyntaxError(f"syntax error: unexpected end of file{tail}", incomplete=True)
        shown = "newline" if what == "\n" else f'"{what}"'
        raise ShellSyntaxError(f"syntax error: unexpected {shown}{tail}")
