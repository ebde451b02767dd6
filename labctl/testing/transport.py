"""A machine that answers by a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.errors import LabctlError
from labctl.ssh.transport import Completed, Stdin, pieces

Answer = Completed | LabctlError | Callable[[str, bytes], Completed]


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that was run: its text, what it read, and whether as root."""

    command: str
    stdin: bytes
    sudo: bool


@dataclass(slots=True)
class ScriptedTransport:
    """Use it where a Transport is wanted.

    Attributes:
        name: The host's name.
        answers: Part of a command's text → its answer; the first that matches counts. A command that no part matches
            fails the test.
        ran: Every command, in order.
        before: Called before each command, for example to let a clock pass by a round trip.
    """

    name: str
    answers: dict[str, Answer] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    closed: bool = False

    @property
    def host(self) -> str:
        """The host's name."""
        return self.name

    def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
        """Answer by the script."""
        self.before()
        given = b"".join(pieces(b"", stdin))
        self.ran.append(Ran(command, given, sudo))
        for part, answer in self.answers.items():
            if part in command:
                if isinstance(answer, LabctlError):
                    raise answer
                return answer if isinstance(answer, Completed) else answer(command, given)
        raise AssertionError(f"{self.name}: no answer for {command!r}")

    def stream(self, command: str, on_output: Callable[[bytes], None], *, sudo: bool = False) -> int:
        """Answer by the script, in one piece."""
        done = self.run(command, sudo=sudo)
        on_output(done.stdout)
        return done.exit_status

    def close(self) -> None:
        """Remember it."""
        self.closed = True
