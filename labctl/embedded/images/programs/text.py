"""Programs that read text: cat, head, tail, wc, sort, uniq, cut, tr, tee, seq and the like."""

from __future__ import annotations

import asyncio
import base64 as base64_codec
import hashlib
import re

from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.grep import posix_classes
from labctl.embedded.images.programs.options import Options, parse_options
from labctl.embedded.images.programs.printing import echo_text, format_printf, unescape
from labctl.embedded.images.programs.support import contents, lines_of, split_lines
from labctl.embedded.images.streams import CHUNK, FileSink, read_all

DEVICES = ("/dev/zero", "/dev/urandom", "/dev/random")
"""Endless to read; here they hold zeros."""


async def cat(process: Process) -> int:
    """`cat [-n] [file…]`."""
    options = parse_options(process, "nu")
    if not options.operands and "n" not in options:
        while piece := await process.stdin.read(CHUNK):
            await process.stdout.write(piece)
        return 0
    status = 0
    number = 0
    async for name, data in contents(process, options.operands):
        status |= int(not name)
        if "n" in options:
            for line in split_lines(data):
                number += 1
                await process.stdout.write(f"{number:6d}\t".encode() + line + b"\n")
        else:
            await process.stdout.write(data)
    return status


async def echo(process: Process) -> int:
    """`echo` as a program of its own."""
    await process.print(echo_text(process.argv[1:]))
    return 0


async def printf(process: Process) -> int:
    """`printf` as a program of its own."""
    if len(process.argv) < 2:
        raise Exit(1, "printf: usage: printf FORMAT [ARG]...\n")
    await process.print(format_printf(process.argv[1], process.argv[2:]))
    return 0


def _count(options: Options, process: Process) -> tuple[str, int]:
    """`-n N`, `-c N`, or the old `-N`."""
    kind = "c" if "c" in options else "n"
    text = options.values.get(kind, "10")
    if not re.fullmatch(r"[+-]?\d+", text):
        raise Exit(1, f"{process.argv[0]}: invalid number '{text}'\n")
    return kind, int(text)


def _modernised(process: Process) -> None:
    """`head -5` → `head -n 5`."""
    argv = [process.argv[0]]
    for argument in process.argv[1:]:
        argv += ["-n", argument[1:]] if re.fullmatch(r"-\d+", argument) else [argument]
    process.argv = tuple(argv)


async def head(process: Process) -> int:
    """`head [-n lines | -c bytes] [file…]`."""
    _modernised(process)
    options = parse_options(process, "n:c:q")
    kind, count = _count(options, process)
    if not options.operands and kind == "n" and count >= 0:
        # Stops reading after its lines, so that `endless | head` ends.
        async for line in lines_of(process.stdin):
            if count <= 0:
                break
            await process.stdout.write(line + b"\n")
            count -= 1
            if count == 0:
                break
        return 0
    status = 0
    if kind == "c" and options.operands and process.path(options.operands[0]) in DEVICES:
        await process.stdout.write(bytes(min(count, 1 << 24)))
        return 0
    async for name, data in contents(process, options.operands):
        status |= int(not name)
        if len(options.operands) > 1 and name:
            await process.print(f"==> {name} <==\n")
        if kind == "c":
            await process.stdout.write(data[:count])
        else:
            kept = data.splitlines(keepends=True)[:count]
            await process.stdout.write(b"".join(kept))
    return status


async def tail(process: Process) -> int:
    """`tail [-n lines | -c bytes] [-f] [file…]`."""
    _modernised(process)
    options = parse_options(process, "n:c:fFq")
    kind, count = _count(options, process)
    from_start = options.values.get(kind, "").startswith("+")
    count = abs(count)
    status = 0
    async for name, data in contents(process, options.operands):
        status |= int(not name)
        pieces = [data[at : at + 1] for at in range(len(data))] if kind == "c" else data.splitlines(keepends=True)
        kept = pieces[count - 1 :] if from_start else pieces[len(pieces) - count :] if count < len(pieces) else pieces
        await process.stdout.write(b"".join(kept) if count or from_start else b"")
        if options.any("f", "F") and name not in ("", "-"):
            await _follow(process, name, len(data))
    return status


async def _follow(process: Process, name: str, position: int) -> None:
    path = process.path(name)
    generation = process.files.generation
    while True:
        await asyncio.sleep(0.2)
        if process.files.generation == generation and path != "/dev/null":
            continue
        generation = process.files.generation
        if process.files.exists(path) and path != "/dev/null":
            data = process.files.read(path)
            await process.stdout.write(data[min(position, len(data)) :])
            position = len(data)


async def wc(process: Process) -> int:
    """`wc [-l] [-w] [-c] [file…]`."""
    options = parse_options(process, "lwcm")
    wanted = [key for key in "lwc" if key in options or (key == "c" and "m" in options)] or list("lwc")
    status, totals, rows = 0, dict.fromkeys("lwc", 0), 0
    async for name, data in contents(process, options.operands):
        if not name:
            status = 1
            continue
        counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
        totals = {key: totals[key] + counts[key] for key in totals}
        rows += 1
        await process.print(_wc_row(counts, wanted, name))
    if rows > 1:
        await process.print(_wc_row(totals, wanted, "total"))
    return status


def _wc_row(counts: dict[str, int], wanted: list[str], name: str) -> str:
    figures = str(counts[wanted[0]]) if len(wanted) == 1 else " ".join(f"{counts[key]:9d}" for key in wanted)
    return f"{figures}\n" if name == "-" else f"{figures} {name}\n"


async def sort(process: Process) -> int:
    """`sort [-nru] [-k field] [-t separator] [file…]`."""
    options = parse_options(process, "nrufbhVk:t:s")
    status, lines = 0, []
    async for name, data in contents(process, options.operands):
        status |= 2 * int(not name)
        lines += split_lines(data)
    separator = options.values.get("t", "").encode() or None
    field = options.values.get("k", "")

    def key(line: bytes) -> tuple[float, bytes]:
        text = line
        if field:
            parts = line.split(separator)
            first = int(re.match(r"\d+", field).group()) if re.match(r"\d+", field) else 1  # type: ignore[union-attr]  # matched just before
            text = b" ".join(parts[first - 1 :])
        if "n" in options or "n" in field or "h" in options:
            number = re.match(rb"\s*([-+]?\d+(?:\.\d+)?)", text)
            return (float(number.group(1)) if number else 0.0, line)
        return (0.0, text.lower() if "f" in options else text)

    lines.sort(key=key, reverse="r" in options or "r" in field)
    if "u" in options:
        lines = list(dict.fromkeys(lines))
    await process.stdout.write(b"".join(line + b"\n" for line in lines))
    return status


async def uniq(process: Process) -> int:
    """`uniq [-c] [-d] [-u] [file]`."""
    options = parse_options(process, "cdui")
    runs: list[tuple[bytes, int]] = []
    async for _, data in contents(process, options.operands[:1]):
        for line in split_lines(data):
            if runs and runs[-1][0] == line:
                runs[-1] = (line, runs[-1][1] + 1)
            else:
                runs.append((line, 1))
    for line, count in runs:
        if ("d" in options and count == 1) or ("u" in options and count > 1):
            continue
        await process.stdout.write((f"{count:7d} ".encode() if "c" in options else b"") + line + b"\n")
    return 0


async def cut(process: Process) -> int:
    """`cut -d separator -f fields` or `cut -c characters`."""
    options = parse_options(process, "d:f:c:s")
    if not options.any("f", "c"):
        raise Exit(1, "cut: expected a list of bytes, characters, or fields\n")
    chosen = _ranges(options.values.get("f") or options.values.get("c", ""))
    separator = options.values.get("d", "\t").encode()
    status = 0
    async for name, data in contents(process, options.operands):
        status |= int(not name)
        for line in split_lines(data):
            await process.stdout.write(_cut_line(line, separator, chosen, options) + b"\n")
    return status


def _cut_line(line: bytes, separator: bytes, chosen: list[tuple[int, int]], options: Options) -> bytes:
    if "c" in options:
        return b"".join(line[at : at + 1] for at in range(len(line)) if _within(at + 1, chosen))
    if separator not in line:
        return line
    parts = line.split(separator)
    return separator.join(part for at, part in enumerate(parts, 1) if _within(at, chosen))


def _ranges(text: str) -> list[tuple[int, int]]:
    ranges = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        if not (first + last).isdigit():
            raise Exit(1, f"cut: invalid range '{text}'\n")
        ranges.append((int(first or 1), int(last) if last else (10**9 if dash else int(first))))
    return ranges


def _within(number: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= number <= last for first, last in ranges)


async def tr(process: Process) -> int:
    """`tr [-d] [-s] set1 [set2]`."""
    options = parse_options(process, "dsc")
    sets = [_characters(operand) for operand in options.operands]
    if not sets:
        raise Exit(1, "tr: usage: tr [-d] [-s] SET1 [SET2]\n")
    text = (await read_all(process.stdin)).decode("latin-1")
    first = sets[0]
    if "c" in options:
        first = "".join(chr(code) for code in range(256) if chr(code) not in sets[0])
    if "d" in options:
        text = text.translate({ord(char): None for char in first})
    elif len(sets) > 1:
        second = sets[1].ljust(len(first), sets[1][-1:] or " ")
        text = text.translate({ord(char): second[at] for at, char in enumerate(first)})
    if "s" in options:
        text = re.sub(f"([{re.escape(sets[-1])}])\\1+", r"\1", text)
    await process.stdout.write(text.encode("latin-1"))
    return 0


def _characters(text: str) -> str:
    text, _ = unescape(posix_classes(f"[{text}]")[1:-1] if "[:" in text else text)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return re.sub(r"(.)-(.)", lambda m: "".join(chr(c) for c in range(ord(m[1]), ord(m[2]) + 1)), text, flags=re.DOTALL)


async def tee(process: Process) -> int:
    """`tee [-a] file…`."""
    options = parse_options(process, "ai")
    sinks = []
    status = 0
    for operand in options.operands:
        try:
            sinks.append(FileSink(process.files, process.path(operand), append="a" in options))
        except OSError as error:
            await process.complain(f"{operand}: {error.strerror}")
            status = 1
    while piece := await process.stdin.read(CHUNK):
        await process.stdout.write(piece)
        for sink in sinks:
            await sink.write(piece)
    return status


async def seq(process: Process) -> int:
    """`seq [first [step]] last`."""
    operands = list(process.argv[1:])
    separator = "\n"
    if operands[:1] == ["-s"] and len(operands) > 1:
        separator, operands = operands[1], operands[2:]
    if not 1 <= len(operands) <= 3 or not all(re.fullmatch(r"-?\d+", operand) for operand in operands):
        raise Exit(1, "seq: usage: seq [FIRST [STEP]] LAST\n")
    numbers = [int(operand) for operand in operands]
    first, step, last = (1, 1, numbers[0]) if len(numbers) == 1 else (numbers[0], 1, numbers[-1])
    step = numbers[1] if len(numbers) == 3 else step
    values = range(first, last + (1 if step > 0 else -1), step or 1)
    for at in range(0, len(values), 1000):
        piece = separator.join(str(value) for value in values[at : at + 1000])
        await process.print(piece + (separator if at + 1000 < len(values) else "\n"))
        await asyncio.sleep(0)
    return 0


async def yes(process: Process) -> int:
    """`yes [text]`."""
    line = (" ".join(process.argv[1:]) or "y").encode() + b"\n"
    while True:
        await process.stdout.write(line * 64)
        await asyncio.sleep(0.001)


async def rev(process: Process) -> int:
    """`rev`: every line backwards."""
    async for _, data in contents(process, process.argv[1:]):
        await process.stdout.write(b"".join(line[::-1] + b"\n" for line in split_lines(data)))
    return 0


async def base64(process: Process) -> int:
    """`base64 [-d] [-w columns] [file]`."""
    options = parse_options(process, "dw:", ["decode", "wrap="])
    async for name, data in contents(process, options.operands[:1]):
        if not name:
            return 1
        if options.any("d", "decode"):
            await process.stdout.write(base64_codec.b64decode(data))
            continue
        width = options.number("w", options.number("wrap", 76))
        text = base64_codec.b64encode(data).decode()
        rows = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
        await process.print("\n".join(rows) + ("\n" if width else ""))
    return 0


async def checksum(process: Process) -> int:
    """`md5sum`, `sha1sum`, `sha256sum`."""
    algorithm = process.argv[0].rsplit("/", 1)[-1].removesuffix("sum")
    status = 0
    async for name, data in contents(process, process.argv[1:]):
        status |= int(not name)
        if name:
            await process.print(f"{hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()}  {name}\n")
    return status
