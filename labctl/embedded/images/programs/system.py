"""Programs about the container itself: hostname, env, date, sleep, id, uname, ps, which, timeout, xargs, …."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import signal
import time

from labctl.embedded.cri import StartError
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.conditions import TestSyntaxError, evaluate_test
from labctl.embedded.images.programs.options import parse_options
from labctl.embedded.images.programs.resolving import from_hosts
from labctl.embedded.images.streams import read_all

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


async def true(process: Process) -> int:
    """`true`."""
    return 0


async def false(process: Process) -> int:
    """`false`."""
    return 1


async def test(process: Process) -> int:
    """`test` and `[` as programs of their own."""
    arguments = list(process.argv[1:])
    if process.argv[0].endswith("[") and arguments[-1:] == ["]"]:
        arguments.pop()
    try:
        return int(not evaluate_test(arguments, process))
    except TestSyntaxError as error:
        await process.complain(str(error))
        return 2


def duration(text: str) -> float | None:
    """`1.5`, `10s`, `2m`, `1h`, `1d` or `infinity` in seconds; None for anything else."""
    if text in ("inf", "infinity"):
        return 10.0**9
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    return float(match.group(1)) * _UNITS[match.group(2)] if match else None


async def sleep(process: Process) -> int:
    """`sleep duration…`."""
    if len(process.argv) < 2:
        raise Exit(1, "sleep: missing operand\n")
    seconds = 0.0
    for text in process.argv[1:]:
        value = duration(text)
        if value is None:
            raise Exit(1, f"sleep: invalid number '{text}'\n")
        seconds += value
    await asyncio.sleep(seconds)
    return 0


async def hostname(process: Process) -> int:
    """`hostname [-i] [-f] [-s]`."""
    options = parse_options(process, "ifsId")
    context = process.system.context
    name = context.hostname
    if "f" in options:
        name = from_hosts(process, name)[1] or name
    await process.print(f"{context.pod_ip if options.any('i', 'I') else name}\n")
    return 0


async def env(process: Process) -> int:
    """`env [-i] [name=value…] [program…]`; `printenv [name…]`."""
    arguments = list(process.argv[1:])
    if process.argv[0].endswith("printenv") and arguments:
        values = [process.env[name] for name in arguments if name in process.env]
        await process.print("".join(f"{value}\n" for value in values))
        return int(len(values) < len(arguments))
    variables = {} if arguments[:1] == ["-i"] else dict(process.env)
    arguments = arguments[1:] if arguments[:1] == ["-i"] else arguments
    while arguments and "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        variables[name] = value
    if not arguments:
        await process.print("".join(f"{name}={value}\n" for name, value in variables.items()))
        return 0
    return await run_program(process, arguments, variables)


async def run_program(process: Process, argv: list[str], variables: dict[str, str] | None = None) -> int:
    """Run another program in this one's place."""
    try:
        _, executable = process.system.find(argv[0], process.env, process.cwd)
    except StartError:
        await process.complain(f"can't execute '{argv[0]}': No such file or directory")
        return 127
    process.argv = tuple(argv)
    process.env = process.env if variables is None else variables
    return await executable.program(process)


async def timeout(process: Process) -> int:
    """`timeout seconds program…`."""
    arguments = [argument for argument in process.argv[1:] if argument != "-t"]
    seconds = duration(arguments[0]) if arguments else None
    if seconds is None or len(arguments) < 2:
        raise Exit(1, "timeout: usage: timeout SECS PROG ARGS\n")
    try:
        return await asyncio.wait_for(run_program(process, arguments[1:]), seconds)
    except TimeoutError:
        return 124 if not process.files.exists("/bin/busybox") else 128 + signal.SIGTERM


async def xargs(process: Process) -> int:
    """`xargs [-n count] [-I mark] program…`."""
    options = parse_options(process, "n:I:rt0P:", permute=False)
    text = (await read_all(process.stdin)).decode("utf-8", "surrogateescape")
    command = options.operands or ["echo"]
    status = 0
    if "I" in options:
        batches = [[word.replace(options.values["I"], line) for word in command] for line in text.splitlines()]
    else:
        words = text.split("\0")[:-1] if "0" in options else text.split()
        size = options.number("n", max(len(words), 1))
        batches = [command + words[at : at + size] for at in range(0, len(words), max(size, 1))]
        if not words and "r" not in options:
            batches = [command]
    for batch in batches:
        child = process.system.new(
            batch, process.env, cwd=process.cwd, stdout=process.stdout, stderr=process.stderr, parent=process.pid
        )
        process.system.run(child, lambda child, batch=batch: run_program(child, batch))  # type: ignore[misc]  # bound at once
        status = 123 if await child.wait() else status
    return status


async def date(process: Process) -> int:
    """`date [-u] [-d @seconds] [+format]`."""
    options = parse_options(process, "uIRd:")
    moment = time.time()
    given = options.values.get("d", "")
    if given:
        if not re.fullmatch(r"@\d+", given):
            raise Exit(1, f"date: invalid date '{given}'\n")
        moment = float(given[1:])
    form = "%a %b %e %H:%M:%S UTC %Y"
    for operand in options.operands:
        if not operand.startswith("+"):
            raise Exit(1, f"date: invalid date '{operand}'\n")
        form = operand[1:].replace("%N", f"{int(moment % 1 * 1e9):09d}").replace("%s", str(int(moment)))
    if "I" in options:
        form = "%Y-%m-%d"
    await process.print(time.strftime(form.replace("%Z", "UTC"), time.gmtime(moment)) + "\n")
    return 0


async def id_(process: Process) -> int:
    """`id [-u] [-g] [-n]`."""
    options = parse_options(process, "ugnG")
    if options.any("u", "g", "G"):
        await process.print("root\n" if "n" in options else "0\n")
    else:
        group = "0(root)" if process.files.exists("/etc/group") else "0"
        await process.print(f"uid=0(root) gid={group} groups={group}\n")
    return 0


async def whoami(process: Process) -> int:
    """`whoami`."""
    await process.print("root\n")
    return 0


async def uname(process: Process) -> int:
    """`uname [-asnrvmo]`."""
    options = parse_options(process, "asnrvmo")
    fields = {
        "s": "Linux",
        "n": process.system.context.hostname,
        "r": platform.release(),
        "v": "#1 SMP",
        "m": platform.machine(),
        "o": "GNU/Linux",
    }
    wanted = list("snrvmo") if "a" in options else [key for key in fields if key in options] or ["s"]
    await process.print(" ".join(fields[key] for key in wanted) + "\n")
    return 0


async def ps(process: Process) -> int:
    """`ps`, with whatever options: all processes of the container."""
    await process.print("PID   USER     TIME  COMMAND\n")
    for pid, other in sorted(process.system.processes.items()):
        await process.print(f"{pid:5d} root      0:00 {' '.join(other.argv)}\n")
    return 0


async def nproc(process: Process) -> int:
    """`nproc`."""
    await process.print(f"{os.cpu_count() or 1}\n")
    return 0


async def tty(process: Process) -> int:
    """`tty`."""
    await process.print("/dev/pts/0\n" if process.tty else "not a tty\n")
    return int(not process.tty)


async def which(process: Process) -> int:
    """`which name…`."""
    status = 0
    for name in process.argv[1:]:
        try:
            path, _ = process.system.find(name, process.env, process.cwd)
            await process.print(path + "\n")
        except StartError:
            status = 1
    return status


async def kill(process: Process) -> int:
    """`kill [-signal] pid…` as a program of its own."""
    arguments, number = list(process.argv[1:]), int(signal.SIGTERM)
    if arguments and re.fullmatch(r"-(\w+)", arguments[0]):
        name = arguments.pop(0)[1:].upper().removeprefix("SIG")
        members = {key.removeprefix("SIG"): int(value) for key, value in signal.Signals.__members__.items()}
        if not name.isdigit() and name not in members:
            raise Exit(1, f"kill: bad signal name '{name}'\n")
        number = int(name) if name.isdigit() else members[name]
    status = 0
    for word in arguments:
        other = process.system.processes.get(int(word)) if word.isdigit() else None
        if other is None:
            await process.complain(f"can't kill pid {word}: No such process")
            status = 1
        elif number:
            other.deliver(number)
    return status


async def busybox(process: Process) -> int:
    """`busybox applet…`."""
    if len(process.argv) < 2:
        await process.print("BusyBox, as labctl's embedded cluster has it.\n")
        return 0
    return await run_program(process, list(process.argv[1:]))
