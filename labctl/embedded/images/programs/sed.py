"""sed: substitution, print, delete and quit, with line, pattern and range addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.grep import basic_regex, posix_classes
from labctl.embedded.images.programs.options import parse_options
from labctl.embedded.images.programs.support import contents, split_lines

_ADDRESS = re.compile(r"(\d+|\$|/(?:[^/\\]|\\.)*/)")


@dataclass(slots=True)
class _Command:
    addresses: list[str]
    negate: bool
    name: str
    pattern: re.Pattern[str] | None = None
    replacement: str = ""
    flags: str = ""
    active: bool = False


async def sed(process: Process) -> int:
    """`sed [-n] [-E] [-i] [-e script] script [file…]`."""
    options = parse_options(process, "nErie:")
    scripts = options.all("e")
    operands = options.operands
    if not scripts:
        if not operands:
            raise Exit(1, "sed: usage: sed [-n] [-E] [-i] [-e SCRIPT] SCRIPT [FILE]...\n")
        scripts, operands = [operands[0]], operands[1:]
    commands = _parse("\n".join(scripts), extended=options.any("E", "r"))
    status = 0
    async for name, data in contents(process, operands):
        if not name:
            status = 1
            continue
        text = _edit(split_lines(data), commands, quiet="n" in options)
        if "i" in options and name != "-":
            process.files.write(process.path(name), text.encode("utf-8", "surrogateescape"))
        else:
            await process.stdout.write(text.encode("utf-8", "surrogateescape"))
    return status


def _parse(script: str, *, extended: bool) -> list[_Command]:
    commands = []
    rest = script
    while rest.strip("; \n\t"):
        rest = rest.lstrip("; \n\t")
        addresses = []
        while match := _ADDRESS.match(rest):
            addresses.append(match.group(1))
            rest = rest[match.end() :].lstrip()
            if not rest.startswith(","):
                break
            rest = rest[1:]
        negate = rest.startswith("!")
        rest = rest.removeprefix("!").lstrip()
        command = _Command(addresses, negate, rest[:1])
        rest = rest[1:]
        if command.name == "s":
            rest = _substitution(command, rest, extended=extended)
        elif command.name not in ("p", "d", "q"):
            raise Exit(1, f"sed: the command '{command.name}' is not known in the embedded cluster\n")
        commands.append(command)
    return commands


def _substitution(command: _Command, rest: str, *, extended: bool) -> str:
    delimiter = re.escape(rest[:1])
    match = re.match(
        rf"{delimiter}((?:[^\\]|\\.)*?){delimiter}((?:[^\\]|\\.)*?){delimiter}([gpiI0-9]*)", rest, re.DOTALL
    )
    if not rest or match is None:
        raise Exit(1, "sed: unterminated 's' command\n")
    pattern, replacement, command.flags = match.groups()
    flags = re.IGNORECASE if set(command.flags) & set("iI") else 0
    command.pattern = re.compile(posix_classes(pattern if extended else basic_regex(pattern)), flags)
    # In sed `&` is the whole match and `\&` the character.
    replacement = re.sub(r"(?<!\\)&", r"\\g<0>", replacement.replace("\\/", "/")).replace("\\&", "&")
    command.replacement = replacement
    return rest[match.end() :]


def _edit(lines: list[bytes], commands: list[_Command], *, quiet: bool) -> str:
    out: list[str] = []
    for number, raw in enumerate(lines, 1):
        line: str | None = raw.decode("utf-8", "surrogateescape")
        stop = False
        for command in commands:
            if line is None or not _selected(command, number, line, last=number == len(lines)):
                continue
            line, stop = _apply(command, line, out)
        if line is not None and not quiet:
            out.append(line)
        if stop:
            break
    return "".join(line + "\n" for line in out)


def _apply(command: _Command, line: str, out: list[str]) -> tuple[str | None, bool]:
    if command.name == "d":
        return None, False
    if command.name == "q":
        return line, True
    if command.name == "p":
        out.append(line)
        return line, False
    assert command.pattern is not None
    line, count = command.pattern.subn(command.replacement, line, 0 if "g" in command.flags else 1)
    if count and "p" in command.flags:
        out.append(line)
    return line, False


def _selected(command: _Command, number: int, line: str, *, last: bool) -> bool:
    addresses = command.addresses
    if not addresses:
        chosen = True
    elif len(addresses) == 1:
        chosen = _hit(addresses[0], number, line, last=last)
    elif command.active:
        chosen = True
        command.active = not _hit(addresses[1], number, line, last=last)
    else:
        chosen = _hit(addresses[0], number, line, last=last)
        past = addresses[1].isdigit() and int(addresses[1]) <= number
        command.active = chosen and not past
    return chosen != command.negate


def _hit(address: str, number: int, line: str, *, last: bool) -> bool:
    if address == "$":
        return last
    if address.isdigit():
        return number == int(address)
    return re.search(basic_regex(address[1:-1]), line) is not None
