"""grep, and the POSIX regular expressions it shares with sed and tr."""

from __future__ import annotations

import re

from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.options import Options, parse_options
from labctl.embedded.images.programs.support import contents, lines_of, split_lines


async def grep(process: Process) -> int:
    """`grep [-EFivcqnowxrlh] [-e pattern] [-A n] [-B n] [-C n] pattern [file…]`."""
    options = parse_options(process, "EFGivcqnowxrRlhHe:m:sA:B:C:", ["color=", "colour="], status=2)
    patterns = options.all("e")
    operands = options.operands
    if not patterns:
        if not operands:
            raise Exit(2, "grep: usage: grep [OPTION]... PATTERN [FILE]...\n")
        patterns, operands = [operands[0]], operands[1:]
    if process.argv[0].endswith("egrep"):
        options.values["E"] = ""
    regex = _grep_regex(patterns, options)
    if options.any("r", "R"):
        operands = [path for operand in operands or ["."] for path in _files_below(process, operand)]
    return await _grep_all(process, regex, operands, options)


def _files_below(process: Process, operand: str) -> list[str]:
    files, start = process.files, process.path(operand)
    if not files.is_dir(start):
        return [operand]
    return [
        operand.rstrip("/") + path[len(start.rstrip("/")) :] for path, _ in files.walk(start) if not files.is_dir(path)
    ]


def _grep_regex(patterns: list[str], options: Options) -> re.Pattern[bytes]:
    parts = []
    for pattern in patterns:
        for line in pattern.split("\n"):
            part = re.escape(line) if "F" in options else line if "E" in options else basic_regex(line)
            part = rf"\b(?:{part})\b" if "w" in options else part
            parts.append(rf"^(?:{part})$" if "x" in options else f"(?:{part})")
    try:
        return re.compile(posix_classes("|".join(parts)).encode(), re.IGNORECASE if "i" in options else 0)
    except re.error as error:
        raise Exit(2, f"grep: bad regex '{patterns[0]}': {error}\n") from error


def basic_regex(text: str) -> str:
    """A POSIX basic regular expression in Python's syntax."""
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            following = text[at + 1]
            out.append(following if following in "(){}|+?" else "\\" + following)
            at += 2
            continue
        if char == "[":
            end = text.find("]", at + 2)
            if end > 0:
                out.append(text[at : end + 1])
                at = end + 1
                continue
        out.append("\\" + char if char in "(){}|+?" else char)
        at += 1
    return "".join(out)


def posix_classes(text: str) -> str:
    """`[[:digit:]]` and its like in Python's syntax."""
    classes = {"digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z"}
    for name, characters in classes.items():
        text = text.replace(f"[:{name}:]", characters)
    return text


async def _grep_all(process: Process, regex: re.Pattern[bytes], operands: list[str], options: Options) -> int:
    found, failed = False, False
    named = (len(operands) > 1 or options.any("r", "R", "H")) and "h" not in options
    if not operands and not options.any("c", "A", "B", "C"):
        return await _grep_stream(process, regex, options)
    async for name, data in contents(process, operands):
        if not name:
            failed = True
            continue
        matched = _matching_lines(split_lines(data), regex, options)
        hits = [number for number, _, hit in matched if hit]
        found = found or bool(hits)
        prefix = f"{'(standard input)' if name == '-' else name}:" if named else ""
        if "q" in options:
            continue
        if "l" in options:
            await process.print(f"{name}\n" if hits else "")
        elif "c" in options:
            await process.print(f"{prefix}{len(hits)}\n")
        else:
            await _print_matches(process, matched, regex, options, prefix)
    return 2 if failed and not found else int(not found)


async def _grep_stream(process: Process, regex: re.Pattern[bytes], options: Options) -> int:
    """Standard input, line by line as it comes: `grep` behind an endless program prints at once."""
    number, found = 0, 0
    async for line in lines_of(process.stdin):
        number += 1
        if (regex.search(line) is None) != ("v" in options):
            continue
        found += 1
        if "q" in options:
            return 0
        await _print_matches(process, [(number, line, True)], regex, options, "")
        if found == options.number("m", -1):
            break
    return int(not found)


def _matching_lines(lines: list[bytes], regex: re.Pattern[bytes], options: Options) -> list[tuple[int, bytes, bool]]:
    """Number, text and whether it matched, of the lines to print: matches and their context."""
    hits = [at for at, line in enumerate(lines) if (regex.search(line) is None) == ("v" in options)]
    if "m" in options:
        hits = hits[: options.number("m", 0)]
    before = options.number("B", options.number("C", 0))
    after = options.number("A", options.number("C", 0))
    shown = sorted({near for at in hits for near in range(max(at - before, 0), min(at + after + 1, len(lines)))})
    chosen = set(hits)
    return [(at + 1, lines[at], at in chosen) for at in shown]


async def _print_matches(
    process: Process, matched: list[tuple[int, bytes, bool]], regex: re.Pattern[bytes], options: Options, prefix: str
) -> None:
    for number, line, hit in matched:
        mark = prefix + (f"{number}{':' if hit else '-'}" if "n" in options else "")
        pieces = [match.group() for match in regex.finditer(line) if match.group()] if "o" in options else [line]
        for piece in pieces:
            await process.stdout.write(mark.encode() + piece + b"\n")
