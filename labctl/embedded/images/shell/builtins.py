"""The shell's own commands: those that change the shell, and the few every script leans on."""

from __future__ import annotations

import asyncio
import posixpath
import signal
from collections.abc import Sequence

from labctl.embedded.cri import StartError
from labctl.embedded.images.process import Exit
from labctl.embedded.images.programs.conditions import TestSyntaxError, evaluate_test
from labctl.embedded.images.programs.printing import echo_text, format_printf
from labctl.embedded.images.shell.interpreter import NOT_FOUND, Interpreter
from labctl.embedded.images.shell.parser import parse
from labctl.embedded.images.shell.state import BreakLoop, ContinueLoop, ReturnFunction, Streams
from labctl.embedded.images.shell.syntax import ShellSyntaxError
from labctl.embedded.images.streams import LineReader

SIGNALS = {name.removeprefix("SIG"): int(number) for name, number in signal.Signals.__members__.items()}


async def true(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`true` and `:`."""
    return 0


async def false(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`false`."""
    return 1


async def echo(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`echo [-n] [-e] [text…]`."""
    await io.stdout.write(echo_text(words[1:]).encode("utf-8", "surrogateescape"))
    return 0


async def printf(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`printf format [argument…]`."""
    if len(words) < 2:
        await shell.complain(io, "printf: usage: printf FORMAT [ARG]...")
        return 2
    await io.stdout.write(format_printf(words[1], words[2:]).encode("utf-8", "surrogateescape"))
    return 0


async def test(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`test expression` and `[ expression ]`."""
    arguments = list(words[1:])
    if words[0] == "[":
        if not arguments or arguments[-1] != "]":
            await shell.complain(io, "[: missing ]")
            return 2
        arguments.pop()
    try:
        return int(not evaluate_test(arguments, shell.state.process))
    except TestSyntaxError as error:
        await shell.complain(io, f"{words[0]}: {error}")
        return 2


async def cd(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`cd [directory]`."""
    process, variables = shell.state.process, shell.state.variables
    wanted = words[1] if len(words) > 1 else variables.get("HOME", "/")
    if wanted == "-":
        wanted = variables.get("OLDPWD", process.cwd)
        await io.stdout.write(f"{wanted}\n".encode())
    path = process.path(wanted)
    if not process.files.is_dir(path):
        why = "not a directory" if process.files.exists(path) else "No such file or directory"
        await shell.complain(io, f"cd: can't cd to {wanted}: {why}")
        return 2
    variables["OLDPWD"] = process.cwd
    process.cwd = variables["PWD"] = posixpath.normpath(path)
    return 0


async def pwd(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`pwd`."""
    await io.stdout.write(f"{shell.state.process.cwd}\n".encode())
    return 0


async def exit_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`exit [code]`."""
    raise Exit(_number(words, shell.state.status) & 0xFF)


async def return_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`return [code]`."""
    raise ReturnFunction(_number(words, shell.state.status) & 0xFF)


async def break_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`break [levels]`."""
    raise BreakLoop(max(_number(words, 1), 1))


async def continue_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`continue [levels]`."""
    raise ContinueLoop(max(_number(words, 1), 1))


def _number(words: Sequence[str], default: int) -> int:
    return int(words[1]) if len(words) > 1 and words[1].lstrip("-").isdigit() else default


async def export(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`export name[=value]…`; alone, lists."""
    state = shell.state
    names = [word for word in words[1:] if word != "-p"]
    if not names:
        lines = [f"export {name}='{value}'\n" for name, value in sorted(state.environment().items())]
        await io.stdout.write("".join(lines).encode())
    for word in names:
        name, equals, value = word.partition("=")
        if equals:
            state.variables[name] = value
        state.exported.add(name)
    return 0


async def local(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`local name[=value]…` and `readonly`: assignments (variables keep one scope here)."""
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if equals:
            shell.state.variables[name] = value
    return 0


async def unset(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`unset name…`."""
    for name in words[1:]:
        shell.state.variables.pop(name, None)
        shell.state.exported.discard(name)
        shell.state.functions.pop(name, None)
    return 0


async def set_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`set [-eux] [+eux] [--] [positional…]`; alone, lists variables."""
    state, arguments = shell.state, list(words[1:])
    if not arguments:
        lines = [f"{name}='{value}'\n" for name, value in sorted(state.variables.items())]
        await io.stdout.write("".join(lines).encode())
        return 0
    while arguments and arguments[0][:1] in "-+" and len(arguments[0]) > 1:
        option = arguments.pop(0)
        if option == "--":
            state.positional = arguments
            return 0
        letters = option[1:]
        if letters == "o":
            letters = {"pipefail": "", "errexit": "e", "nounset": "u", "xtrace": "x"}.get(
                arguments.pop(0) if arguments else "", ""
            )
        (state.options.update if option[0] == "-" else state.options.difference_update)(letters)
    if arguments:
        state.positional = arguments
    return 0


async def shift(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`shift [count]`."""
    count = _number(words, 1)
    if count > len(shell.state.positional):
        return 1
    del shell.state.positional[:count]
    return 0


async def read(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`read [-r] [-p prompt] name…`: one line of standard input."""
    names, arguments = [], list(words[1:])
    while arguments:
        word = arguments.pop(0)
        if word == "-p" and arguments:
            await io.stderr.write(arguments.pop(0).encode())
        elif not word.startswith("-"):
            names.append(word)
    if not isinstance(io.stdin, LineReader):
        io.stdin = LineReader(io.stdin)
    line = await io.stdin.line()
    text = (line or b"").decode("utf-8", "surrogateescape").removesuffix("\n")
    names = names or ["REPLY"]
    fields = text.split(None, len(names) - 1) if len(names) > 1 else [text.strip()]
    for at, name in enumerate(names):
        shell.state.variables[name] = fields[at].strip() if at < len(fields) else ""
    return int(line is None or not line.endswith(b"\n"))


async def eval_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`eval text…`."""
    return await _run_text(shell, " ".join(words[1:]), io)


async def source(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`. file`."""
    if len(words) < 2:
        return 2
    process = shell.state.process
    try:
        text = process.files.read(process.path(words[1]))
    except OSError as error:
        await shell.complain(io, f"can't open '{words[1]}': {error.strerror}")
        raise Exit(2) from error
    return await _run_text(shell, text.decode("utf-8", "replace"), io)


async def _run_text(shell: Interpreter, text: str, io: Streams) -> int:
    try:
        body = parse(text)
    except ShellSyntaxError as error:
        await shell.complain(io, str(error))
        raise Exit(2) from error
    return await shell.sequence(body, io) if body.items else 0


async def exec_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`exec program…`: the program takes the shell's place."""
    if len(words) < 2:
        return 0
    process = shell.state.process
    try:
        _, executable = process.system.find(words[1], shell.state.variables, process.cwd)
    except StartError as error:
        await shell.complain(io, f"exec: line 1: {words[1]}: not found")
        raise Exit(NOT_FOUND) from error
    process.argv, process.env = tuple(words[1:]), shell.state.environment()
    process.stdin, process.stdout, process.stderr = io.stdin, io.stdout, io.stderr
    process.handlers.clear()
    raise Exit(await executable.program(process))


async def trap(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`trap command signal…`; `-` restores the default, an empty command ignores."""
    if len(words) < 3:
        lines = [f"trap -- '{command}' {number}\n" for number, command in sorted(shell.state.traps.items())]
        await io.stdout.write("".join(lines).encode())
        return 0
    for name in words[2:]:
        number = signal_number(name)
        if number is None:
            await shell.complain(io, f"trap: {name}: invalid signal specification")
            return 1
        shell.trap(number, None if words[1] == "-" else words[1])
    return 0


def signal_number(name: str) -> int | None:
    """A signal by number or name; EXIT is 0."""
    if name.isdigit():
        return int(name)
    name = name.upper().removeprefix("SIG")
    return 0 if name == "EXIT" else SIGNALS.get(name)


async def wait(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`wait [pid…]`: until background commands have ended, or a trapped signal comes."""
    state = shell.state
    pids = [int(word) for word in words[1:] if word.isdigit()] or list(state.background)
    status = 0
    for pid in pids:
        if pid not in state.background:
            status = NOT_FOUND  # no child of this shell
            continue
        process = state.process.system.processes.get(pid)
        if process is None or process.task is None:
            continue
        while not process.task.done() and not state.pending:
            await asyncio.wait({process.task}, timeout=0.05)
        if state.pending:
            return 128 + state.pending[0]
        status = await process.wait()
    return status if len(words) > 1 else 0


async def kill(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`kill [-signal] pid…`."""
    arguments, number = list(words[1:]), int(signal.SIGTERM)
    if arguments and arguments[0].startswith("-") and arguments[0] != "--":
        option = arguments.pop(0)[1:]
        if option == "s" and arguments:
            option = arguments.pop(0)
        found = signal_number(option)
        if found is None:
            await shell.complain(io, f"kill: bad signal name '{option}'")
            return 1
        number = found
    status = 0
    for word in arguments:
        status |= await _kill_one(shell, word, number, io)
    await asyncio.sleep(0)
    return status


async def _kill_one(shell: Interpreter, word: str, number: int, io: Streams) -> int:
    processes = shell.state.process.system.processes
    process = processes.get(int(word)) if word.isdigit() else None
    if process is None:
        why = "No such process" if word.isdigit() else f"invalid number '{word}'"
        await shell.complain(io, f"kill: can't kill pid {word}: {why}" if word.isdigit() else f"kill: {why}")
        return 1
    if number:
        process.deliver(number)
    return 0


async def type_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`type name…` and `command -v name`."""
    status = 0
    names = [word for word in words[1:] if word not in ("-v", "-V", "type")]
    for name in names:
        text = _describe(shell, name, short="-v" in words)
        if text:
            await io.stdout.write(f"{text}\n".encode())
        else:
            status = NOT_FOUND
            if "-v" not in words:
                await shell.complain(io, f"type: {name}: not found")
    return status


def _describe(shell: Interpreter, name: str, *, short: bool) -> str:
    if name in shell.state.functions:
        return name if short else f"{name} is a function"
    if name in shell.builtins:
        return name if short else f"{name} is a shell builtin"
    try:
        path, _ = shell.state.process.system.find(name, shell.state.variables, shell.state.process.cwd)
    except StartError:
        return ""
    return path if short else f"{name} is {path}"


async def command_(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`command [-v] name…`: without functions."""
    if len(words) > 1 and words[1] in ("-v", "-V"):
        return await type_(shell, words, io)
    if len(words) < 2:
        return 0
    if words[1] in shell.builtins:
        return await shell.builtins[words[1]](shell, words[1:], io)
    return await shell.program(words[1:], shell.state.environment(), io)


async def umask(shell: Interpreter, words: Sequence[str], io: Streams) -> int:
    """`umask`: there is one user, so it changes nothing."""
    if len(words) == 1:
        await io.stdout.write(b"0022\n")
    return 0


BUILTINS = {
    ":": true,
    "true": true,
    "false": false,
    "echo": echo,
    "printf": printf,
    "test": test,
    "[": test,
    "cd": cd,
    "pwd": pwd,
    "exit": exit_,
    "return": return_,
    "break": break_,
    "continue": continue_,
    "export": export,
    "local": local,
    "readonly": local,
    "unset": unset,
    "set": set_,
    "shift": shift,
    "read": read,
    "eval": eval_,
    ".": source,
    "source": source,
    "exec": exec_,
    "trap": trap,
    "wait": wait,
    "kill": kill,
    "type": type_,
    "command": command_,
    "umask": umask,
}
"""The builtins by name."""
