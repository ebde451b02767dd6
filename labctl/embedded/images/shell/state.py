"""What a running shell knows, and how it unwinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from labctl.embedded.images.process import Process
from labctl.embedded.images.shell.syntax import Command
from labctl.embedded.images.streams import Sink, Source


class Unwind(Exception):  # noqa: N818 - control flow
    """Leaves nested commands."""


class BreakLoop(Unwind):
    """`break n`."""

    def __init__(self, levels: int) -> None:
        super().__init__(levels)
        self.levels = levels


class ContinueLoop(BreakLoop):
    """`continue n`."""


class ReturnFunction(Unwind):
    """`return code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Interrupted(Unwind):
    """Ctrl-C at an interactive shell: back to the prompt."""


@dataclass(slots=True)
class Streams:
    """Where a command reads and writes."""

    stdin: Source
    stdout: Sink
    stderr: Sink


@dataclass(slots=True)
class State:
    """A shell's variables and settings; a subshell gets a copy.

    Attributes:
        process: The process the shell is.
        name: `$0`.
        variables: All variables.
        exported: Names of those that programs get.
        positional: `$1`, `$2`, …
        functions: Functions by name.
        traps: Commands by signal number; 0 is EXIT; an empty text ignores the signal.
        status: `$?`.
        background: Pids of background commands; the last one is `$!`.
        options: Single-letter options that are on.
        pending: Signals that came and wait for their trap.
        interrupted: Whether Ctrl-C was pressed at an interactive shell.
    """

    process: Process
    name: str
    variables: dict[str, str]
    exported: set[str]
    positional: list[str] = field(default_factory=list)
    functions: dict[str, Command] = field(default_factory=dict)
    traps: dict[int, str] = field(default_factory=dict)
    status: int = 0
    background: list[int] = field(default_factory=list)
    options: set[str] = field(default_factory=set)
    pending: list[int] = field(default_factory=list)
    interrupted: bool = False

    def interrupt(self) -> None:
        """Ctrl-C: leave what runs and go back to the prompt."""
        self.interrupted = True

    def copy(self) -> State:
        """For a subshell: its own working directory; traps stay behind."""
        return State(
            replace(self.process, handlers=dict(self.process.handlers)),
            self.name,
            dict(self.variables),
            set(self.exported),
            list(self.positional),
            dict(self.functions),
            status=self.status,
            options=set(self.options),
            background=list(self.background),
        )

    def environment(self, assignments: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
        """What a program is started with."""
        env = {name: value for name, value in self.variables.items() if name in self.exported}
        return {**env, **dict(assignments)}

    def special(self, name: str) -> str | None:
        """A special parameter."""
        if name.isdigit():
            number = int(name)
            if number == 0:
                return self.name
            return self.positional[number - 1] if number <= len(self.positional) else None
        values = {
            "#": str(len(self.positional)),
            "?": str(self.status),
            "$": str(self.process.pid),
            "!": str(self.background[-1]) if self.background else None,
            "-": "".join(sorted(self.options)),
            "@": " ".join(self.positional),
            "*": " ".join(self.positional),
        }
        return values.get(name)
