"""sh, as a program: `sh -c`, `sh script`, commands from standard input, and a prompt on a terminal."""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Sequence
from contextlib import suppress

from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.shell.builtins import BUILTINS
from labctl.embedded.images.shell.interpreter import BRACES, NOT_FOUND, Interpreter
from labctl.embedded.images.shell.parser import parse
from labctl.embedded.images.shell.state import Interrupted, ReturnFunction, State, Streams
from labctl.embedded.images.shell.syntax import ShellSyntaxError
from labctl.embedded.images.streams import LineReader


async def sh(process: Process) -> int:
    """The shell."""
    options, operands, command = _arguments(process)
    name = posixpath.basename(process.argv[0])
    variables = {**process.env, "PWD": process.cwd, "IFS": " \t\n", "PPID": str(process.parent)}
    variables.setdefault("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")
    if name == "bash":
        options.add(BRACES)
    state = State(process, name, variables, set(process.env) | {"PWD"}, options=options)
    io = Streams(process.stdin, process.stdout, process.stderr)
    shell = Interpreter(state, BUILTINS)
    if command is not None:
        if operands:
            state.name = operands[0]
        state.positional = operands[1:]
        return await _finish(shell, io, _run(shell, command, io))
    if operands:
        return await _script(shell, operands, io)
    return await _finish(shell, io, _interactive(shell, io))


def _arguments(process: Process) -> tuple[set[str], list[str], str | None]:
    options: set[str] = set()
    arguments = list(process.argv[1:])
    command: str | None = None
    wants_command = False
    while arguments and arguments[0].startswith("-") and arguments[0] not in ("-", "--"):
        letters = arguments.pop(0)[1:]
        if letters.startswith("-"):
            continue
        wants_command = wants_command or "c" in letters
        options |= set(letters) - set("cli")
    if wants_command:
        if not arguments:
            raise Exit(2, f"{process.argv[0]}: -c requires an argument\n")
        command = arguments.pop(0)
    return options, arguments, command


async def _script(shell: Interpreter, operands: Sequence[str], io: Streams) -> int:
    process = shell.state.process
    try:
        text = process.files.read(process.path(operands[0]))
    except OSError as error:
        await shell.complain(io, f"can't open '{operands[0]}': {error.strerror}")
        return NOT_FOUND
    shell.state.name, shell.state.positional = operands[0], list(operands[1:])
    return await _finish(shell, io, _run(shell, text.decode("utf-8", "replace"), io))


async def _finish(shell: Interpreter, io: Streams, work: object) -> int:
    """Run to the end, then the EXIT trap."""
    try:
        status = await work  # type: ignore[misc]  # a coroutine of this module
    except Exit as exit_:
        status = exit_.code
    except ReturnFunction as returned:
        status = returned.code
    shell.state.status = status
    try:
        await shell.exit_trap(io)
    except Exit as exit_:
        status = exit_.code
    return int(status)


async def _run(shell: Interpreter, text: str, io: Streams) -> int:
    try:
        body = parse(text)
    except ShellSyntaxError as error:
        await shell.complain(io, str(error))
        return 2
    return await shell.sequence(body, io)


async def _interactive(shell: Interpreter, io: Streams) -> int:
    """Commands from standard input, a line (or as many as a command needs) at a time."""
    reader = LineReader(io.stdin)
    io.stdin = reader
    tty = shell.state.process.tty
    if tty:
        shell.state.process.handlers[signal.SIGINT] = shell.state.interrupt
    text = ""
    while True:
        shell.state.interrupted = False
        if tty:
            await io.stderr.write(_prompt(shell, more=bool(text)).encode())
        line = await reader.line()
        text += (line or b"").decode("utf-8", "replace")
        try:
            body = parse(text)
        except ShellSyntaxError as error:
            if error.incomplete and line is not None:
                continue
            await shell.complain(io, str(error))
            if not tty:
                return 2
            body = None
        text = ""
        if body is not None:
            with suppress(Interrupted):
                await shell.sequence(body, io)
        if line is None:
            return shell.state.status


def _prompt(shell: Interpreter, *, more: bool) -> str:
    return "> " if more else f"{shell.state.process.cwd} # "
