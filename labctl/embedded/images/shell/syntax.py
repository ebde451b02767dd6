"""The shell's syntax tree. Names as in the POSIX Shell Command Language."""

from __future__ import annotations

from dataclasses import dataclass


class ShellSyntaxError(Exception):
    """The text is no shell command.

    Attributes:
        incomplete: Whether more text could make it one (an open quote, a missing `done`).
    """

    def __init__(self, message: str, *, incomplete: bool = False) -> None:
        super().__init__(message)
        self.incomplete = incomplete


@dataclass(frozen=True, slots=True)
class Text:
    """Literal characters; quoted ones are neither split nor matched as patterns."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name` or `${name…}`.

    Attributes:
        name: A variable, a digit, or one of `@*#?$!-`.
        operator: One of `-` `:-` `=` `:=` `+` `:+` `?` `:?` `%` `%%` `#` `##` `length`; empty for the plain value.
        word: The operator's operand.
        quoted: Whether it stands in double quotes.
    """

    name: str
    operator: str = ""
    word: Word = ()
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(commands)` or backquotes."""

    body: Sequence
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((expression))`; the expression is expanded first."""

    expression: Word
    quoted: bool = False


Part = Text | Parameter | Substitution | Arithmetic
Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection.

    Attributes:
        fd: The descriptor that is redirected.
        operator: `<` `>` `>>` `>&` `<&` `<<` (with the document as its word) or `<<<`.
        word: What it is redirected to.
    """

    fd: int
    operator: str
    word: Word


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command: assignments, words, redirections."""

    assignments: tuple[tuple[str, Word], ...] = ()
    words: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`; `negate` is a leading `!`."""

    commands: tuple[Command, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True)
class AndOr:
    """Pipelines joined by `&&` and `||`."""

    first: Pipeline
    rest: tuple[tuple[str, Pipeline], ...] = ()


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands after one another; those with `&` run in the background."""

    items: tuple[tuple[AndOr, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class If:
    """`if … then … elif … else … fi`."""

    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence | None = None
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """`while` or `until`."""

    condition: Sequence
    body: Sequence
    until: bool = False
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class For:
    """`for name in words`; words None is `in "$@"`."""

    name: str
    words: tuple[Word, ...] | None
    body: Sequence
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """`case word in pattern) …;; esac`."""

    word: Word
    arms: tuple[tuple[tuple[Word, ...], Sequence], ...]
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """`{ …; }` or `( … )`."""

    body: Sequence
    subshell: bool
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """`name() { …; }`."""

    name: str
    body: Command


Command = Simple | If | Loop | For | Case | Group | Function
