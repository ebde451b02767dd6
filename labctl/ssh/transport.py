"""The contract of everything that runs commands on a machine, and how a command becomes root there.

A command is text for `/bin/sh`. Secrets travel on standard input only: never in a command, which any user of the
machine can read in the process list.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from labctl.errors import LabctlError
from labctl.secrets import Secret
from labctl.status import ExitStatus

Stdin = bytes | Iterable[bytes]
"""What a command reads: all of it, or piece by piece."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended: its exit status (128 + N for signal N) and what it wrote."""

    exit_status: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Standard output as text; what is no UTF-8 is replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def error_text(self) -> str:
        """Standard error as text, without surrounding white space."""
        return self.stderr.decode(errors="replace").strip()


class HostError(LabctlError):
    """A host could not be reached, or refused. The message begins with the host's name."""

    def __init__(self, host: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{host}: {message}", hint=hint)
        self.host = host
        self.cause = message


class AuthenticationError(HostError):
    """The host does not let this user in."""


class HostKeyError(HostError):
    """The host does not prove that it is the one it was, or is not known at all where it must be."""


class SudoError(HostError):
    """The user may not become root there."""


class ConnectionLostError(HostError):
    """The connection ended while it was in use."""


class HostTimeoutError(HostError):
    """A command or a connection took longer than its deadline."""

    exit_status = ExitStatus.DEADLINE


class Transport(Protocol):
    """One machine, reached somehow, and kept open until closed. Several threads may run commands on it at once."""

    @property
    def host(self) -> str:
        """The node's name, for messages."""

    def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
        """Run a command and wait for its end; a non-zero exit status is a value, not an error.

        Args:
            command: Text for /bin/sh.
            stdin: What it reads.
            sudo: Whether it runs as root.
            timeout: Seconds until it must have ended.

        Raises:
            HostError: The host could not be reached any more, or sudo refused.
            HostTimeoutError: The deadline passed.
        """

    def stream(self, command: str, on_output: Callable[[bytes], None], *, sudo: bool = False) -> int:
        """Run a command and hand on what it writes to standard output as it comes; returns the exit status."""

    def close(self) -> None:
        """End the connection; running commands end with it."""


_ROOT = """\
if [ "$(id -u)" = 0 ]; then exec /bin/sh -c "$1"; fi
if ! command -v sudo >/dev/null 2>&1; then echo labctl-sudo:missing >&2; exit 95; fi
"""
_ROOT_WITHOUT_PASSWORD = (
    _ROOT
    + """\
if sudo -n true 2>/dev/null; then exec sudo -n /bin/sh -c "$1"; fi
echo labctl-sudo:password >&2; exit 95
"""
)
_ROOT_WITH_PASSWORD = (
    """\
IFS= read -r password
"""
    + _ROOT
    + """\
if sudo -n true 2>/dev/null; then exec sudo -n /bin/sh -c "$1"; fi
if ! printf '%s\\n' "$password" | LC_ALL=C sudo -S -k -p '' true 2>/dev/null; then
  echo labctl-sudo:wrong >&2; exit 95
fi
{ printf '%s\\n' "$password"; exec cat; } | sudo -S -k -p '' /bin/sh -c "$1"
"""
)
_SUDO_ANSWERS = {
    b"labctl-sudo:missing": (
        "this user is not root, and there is no sudo",
        "log in as root (`ssh.user`), or install sudo there",
    ),
    b"labctl-sudo:password": (
        "sudo asks for a password, and none is given",
        "name its source as `ssh.sudoPassword: {env: NAME}` in cluster.yaml, or allow this user sudo without password",
    ),
    b"labctl-sudo:wrong": ("sudo refuses the password", "is `ssh.sudoPassword` the password of the user who logs in?"),
}


def shell_command(command: str, *, sudo: bool, password: Secret | None) -> tuple[str, bytes]:
    """The command line for a login shell of any kind, and what must come first on standard input.

    Whether sudo needs a password is found out in the same round trip. The password is read by the shell there, so that
    it is in no argument list, and `-k` keeps a cached login from leaving the password to the command as input.
    """
    if not sudo:
        return f"exec /bin/sh -c {shlex.quote(command)}", b""
    if password is None:
        return f"exec /bin/sh -c {shlex.quote(_ROOT_WITHOUT_PASSWORD)} labctl {shlex.quote(command)}", b""
    line = f"exec /bin/sh -c {shlex.quote(_ROOT_WITH_PASSWORD)} labctl {shlex.quote(command)}"
    return line, password.reveal().encode() + b"\n"


def check_sudo(host: str, done: Completed) -> Completed:
    """Pass a result on unless it is sudo's refusal.

    Raises:
        SudoError: It is; says what is missing.
    """
    if done.exit_status == 95:
        for mark, (message, hint) in _SUDO_ANSWERS.items():
            if mark in done.stderr:
                raise SudoError(host, message, hint=hint)
    return done


def pieces(first: bytes, stdin: Stdin) -> Iterable[bytes]:
    """Everything that goes to standard input, piece by piece."""
    if first:
        yield first
    if isinstance(stdin, bytes):
        if stdin:
            yield stdin
    else:
        yield from stdin
