"""Programs that work on files: ls, mkdir, rm, cp, mv, touch, find and the like."""

from __future__ import annotations

import posixpath
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase

from labctl.embedded.images.filesystem import Directory, Executable, File, Link, Node
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.options import Options, parse_options
from labctl.embedded.images.programs.support import is_busybox

PROGRAM_SIZE = 1_000_000
"""Size of a program file, which has no bytes here."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a listing."""

    name: str
    path: str
    node: Node


async def ls(process: Process) -> int:
    """`ls [-laA1dRFh] [path…]`."""
    options = parse_options(process, "laA1dRFhrtCn", ["color="])
    status = 0
    folders = []
    plain: list[_Entry] = []
    for operand in options.operands or ["."]:
        path = process.path(operand)
        try:
            node = process.files.stat(path, follow="l" not in options or operand.endswith("/"))
        except OSError as error:
            prefix = "" if is_busybox(process) else "cannot access "
            shown = operand if is_busybox(process) else f"'{operand}'"
            await process.complain(f"{prefix}{shown}: {error.strerror}")
            status = 1 if is_busybox(process) else 2
            continue
        if isinstance(node, Directory) and "d" not in options:
            folders.append((operand, path))
        else:
            plain.append(_Entry(operand, path, node))
    await _print_entries(process, plain, options, total=False)
    titled = len(folders) + len(plain) > 1 or "R" in options
    for at, (operand, path) in enumerate(folders):
        await process.print("\n" if titled and (at or plain) else "")
        await _list_folder(process, operand, path, options, titled=titled)
    return status


async def _list_folder(process: Process, title: str, path: str, options: Options, *, titled: bool) -> None:
    if titled:
        await process.print(f"{title}:\n")
    names = process.files.list(path)
    if not options.any("a", "A"):
        names = [name for name in names if not name.startswith(".")]
    names = [".", "..", *names] if "a" in options else names
    entries = [_Entry(name, *_at(process, posixpath.join(path, name))) for name in names]
    if "t" in options:
        entries.sort(key=lambda entry: -entry.node.mtime)
    if "r" in options:
        entries.reverse()
    await _print_entries(process, entries, options, total=True)
    if "R" in options:
        for entry in entries:
            if isinstance(entry.node, Directory) and entry.name not in (".", ".."):
                await process.print("\n")
                await _list_folder(process, posixpath.join(title, entry.name), entry.path, options, titled=True)


def _at(process: Process, path: str) -> tuple[str, Node]:
    plain = posixpath.normpath(path)
    return plain, process.files.stat(plain, follow=False)


async def _print_entries(process: Process, entries: list[_Entry], options: Options, *, total: bool) -> None:
    if not options.any("l", "n"):
        await process.print("".join(f"{entry.name}{_mark(entry.node, options)}\n" for entry in entries))
        return
    details = [_details(process, entry) for entry in entries]
    if total:
        await process.print(f"total {sum(blocks for _, _, blocks in details)}\n")
    group = "root" if process.files.exists("/etc/group") and "n" not in options else "0"
    owner = "0" if "n" in options else "root"
    for entry, (links, size, _) in zip(entries, details, strict=True):
        stamp = time.strftime("%b %e %H:%M", time.gmtime(entry.node.mtime or time.time()))
        target = f" -> {entry.node.target}" if isinstance(entry.node, Link) else ""
        row = f"{mode_text(entry.node)} {links:4d} {owner:<8} {group:<8} {size:9d} {stamp} {entry.name}{target}\n"
        await process.print(row)


def _details(process: Process, entry: _Entry) -> tuple[int, int, int]:
    """Links, size and blocks: on tmpfs a directory's size is that of its entries."""
    node = entry.node
    if isinstance(node, Link):
        return 1, len(node.target), 0
    in_memory = process.files.in_memory(entry.path)
    if isinstance(node, Directory):
        names = process.files.list(entry.path)
        folders = [name for name in names if _is_folder(process, posixpath.join(entry.path, name))]
        return 2 + len(folders), 40 + 20 * len(names) if in_memory else 4096, 0 if in_memory else 4
    size = len(node.content()) if isinstance(node, File) else PROGRAM_SIZE
    return 1, size, (size + 4095) // 4096 * 4


def _is_folder(process: Process, path: str) -> bool:
    return isinstance(process.files.stat(path, follow=False), Directory)


def _mark(node: Node, options: Options) -> str:
    if "F" not in options:
        return ""
    return "/" if isinstance(node, Directory) else "@" if isinstance(node, Link) else "*" if node.mode & 0o111 else ""


def mode_text(node: Node) -> str:
    """`-rw-r--r--`."""
    kind = "d" if isinstance(node, Directory) else "l" if isinstance(node, Link) else "-"
    bits = "".join(letter if node.mode >> (8 - at) & 1 else "-" for at, letter in enumerate("rwxrwxrwx"))
    if node.mode & 0o1000:
        bits = bits[:-1] + ("t" if node.mode & 1 else "T")
    return kind + bits


async def _each(process: Process, options: Options, what: str) -> list[str]:
    if not options.operands:
        raise Exit(1, f"{process.argv[0]}: missing operand\n")
    return options.operands


async def _try(process: Process, text: str, error: OSError) -> int:
    await process.complain(f"{text}: {error.strerror}")
    return 1


async def mkdir(process: Process) -> int:
    """`mkdir [-p] directory…`."""
    options = parse_options(process, "pm:v")
    status = 0
    for operand in await _each(process, options, "directory"):
        try:
            process.files.mkdir(process.path(operand), parents="p" in options)
        except OSError as error:
            busybox = is_busybox(process)
            text = f"can't create directory '{operand}'" if busybox else f"cannot create directory '{operand}'"
            status = await _try(process, text, error)
    return status


async def rm(process: Process) -> int:
    """`rm [-r] [-f] path…`."""
    options = parse_options(process, "rRfv")
    status = 0
    for operand in options.operands:
        path = process.path(operand)
        verb = "can't" if is_busybox(process) else "cannot"
        try:
            node = process.files.stat(path, follow=False)
            if isinstance(node, Directory) and not options.any("r", "R"):
                await process.complain(f"{verb} remove '{operand}': Is a directory")
                status = 1
                continue
            process.files.remove(path)
        except FileNotFoundError as error:
            if "f" not in options:
                status = await _try(process, f"{verb} remove '{operand}'", error)
        except OSError as error:
            status = await _try(process, f"{verb} remove '{operand}'", error)
    return status


async def rmdir(process: Process) -> int:
    """`rmdir directory…`."""
    status = 0
    for operand in process.argv[1:]:
        path = process.path(operand)
        try:
            if process.files.list(path):
                await process.complain(f"'{operand}': Directory not empty")
                status = 1
                continue
            process.files.remove(path)
        except OSError as error:
            status = await _try(process, f"'{operand}'", error)
    return status


async def cp(process: Process) -> int:
    """`cp [-r] source… target`."""
    options = parse_options(process, "rRafpLv")
    return await _transfer(process, options, move=False)


async def mv(process: Process) -> int:
    """`mv source… target`."""
    options = parse_options(process, "fnv")
    return await _transfer(process, options, move=True)


async def _transfer(process: Process, options: Options, *, move: bool) -> int:
    if len(options.operands) < 2:
        raise Exit(1, f"{process.argv[0]}: missing file operand\n")
    *sources, target = options.operands
    into = process.files.is_dir(process.path(target))
    if len(sources) > 1 and not into:
        raise Exit(1, f"{process.argv[0]}: target '{target}' is not a directory\n")
    status = 0
    for source in sources:
        path = process.path(source)
        goal = (
            posixpath.join(process.path(target), posixpath.basename(path.rstrip("/"))) if into else process.path(target)
        )
        try:
            if process.files.is_dir(path) and not move and not options.any("r", "R", "a"):
                await process.complain(f"omitting directory '{source}'")
                status = 1
                continue
            _copy(process, path, goal)
            if move:
                process.files.remove(path)
        except OSError as error:
            status = await _try(process, f"can't {'rename' if move else 'stat'} '{source}'", error)
    return status


def _copy(process: Process, source: str, target: str) -> None:
    for path, node in list(process.files.walk(source)):
        goal = target + path[len(source) :]
        if isinstance(node, Directory):
            process.files.mkdir(goal, parents=True)
        elif isinstance(node, File):
            process.files.write(goal, node.content(), mode=node.mode)
        else:
            process.files.put(goal, node)


async def touch(process: Process) -> int:
    """`touch file…`."""
    options = parse_options(process, "acm")
    status = 0
    for operand in await _each(process, options, "file"):
        try:
            if "c" not in options or process.files.exists(process.path(operand)):
                process.files.touch(process.path(operand))
        except OSError as error:
            status = await _try(process, operand, error)
    return status


async def chmod(process: Process) -> int:
    """`chmod mode path…`: octal modes, and `+x` and its like for everybody."""
    options = parse_options(process, "R")
    if len(options.operands) < 2:
        raise Exit(1, "chmod: missing operand\n")
    wanted, *operands = options.operands
    status = 0
    for operand in operands:
        try:
            path = process.path(operand)
            process.files.chmod(path, _mode(wanted, process.files.stat(path).mode))
        except OSError as error:
            status = await _try(process, operand, error)
    return status


def _mode(text: str, old: int) -> int:
    if text.isdigit():
        return int(text, 8)
    who, sign, letters = text.partition("+") if "+" in text else text.partition("-")
    if not sign or set(letters) - set("rwx"):
        raise Exit(1, f"chmod: invalid mode '{text}'\n")
    shifts = [shift for name, shift in (("u", 6), ("g", 3), ("o", 0)) if not who or name in who or "a" in who]
    bits = sum({"r": 4, "w": 2, "x": 1}[letter] << shift for letter in set(letters) for shift in shifts)
    return old | bits if sign == "+" else old & ~bits


async def ln(process: Process) -> int:
    """`ln -s target name`."""
    options = parse_options(process, "sfn")
    if "s" not in options or len(options.operands) != 2:
        raise Exit(1, "ln: only `ln -s TARGET NAME` is known in the embedded cluster\n")
    target, name = options.operands
    path = process.path(name)
    if process.files.exists(path) and "f" not in options:
        await process.complain(f"{name}: File exists")
        return 1
    process.files.put(path, Link(target))
    return 0


async def readlink(process: Process) -> int:
    """`readlink [-f] path` and `realpath path`."""
    options = parse_options(process, "fne")
    canonical = "f" in options or process.argv[0].endswith("realpath")
    status = 0
    for operand in options.operands:
        path = process.path(operand)
        try:
            node = process.files.stat(path, follow=False)
            if canonical:
                await process.print(process.files.resolve(path) + "\n")
            elif isinstance(node, Link):
                await process.print(node.target + "\n")
            else:
                status = 1
        except OSError:
            status = 1
    return status


async def find(process: Process) -> int:
    """`find [path…] [-name pattern] [-type f|d|l] [-maxdepth n] [-print]`."""
    arguments = list(process.argv[1:])
    roots = []
    while arguments and not arguments[0].startswith("-"):
        roots.append(arguments.pop(0))
    tests: dict[str, str] = {}
    while arguments:
        test = arguments.pop(0)
        if test == "-print":
            continue
        if test not in ("-name", "-type", "-maxdepth", "-iname") or not arguments:
            raise Exit(1, f"find: {test} is not known in the embedded cluster\n")
        tests[test] = arguments.pop(0)
    status = 0
    for root in roots or ["."]:
        start = process.path(root)
        try:
            found = list(process.files.walk(start))
        except OSError as error:
            status = await _try(process, root, error)
            continue
        for path, node in found:
            shown = root + path[len(start) :] if start != "/" else path
            if _matches(path[len(start) :], shown, node, tests):
                await process.print(shown + "\n")
    return status


def _matches(below: str, shown: str, node: Node, tests: dict[str, str]) -> bool:
    name = posixpath.basename(shown.rstrip("/"))
    if "-maxdepth" in tests and below.count("/") > int(tests["-maxdepth"]):
        return False
    if "-name" in tests and not fnmatchcase(name, tests["-name"]):
        return False
    if "-iname" in tests and not fnmatchcase(name.lower(), tests["-iname"].lower()):
        return False
    kinds: dict[str, tuple[type, ...]] = {"f": (File, Executable), "d": (Directory,), "l": (Link,)}
    return "-type" not in tests or isinstance(node, kinds.get(tests["-type"], ()))


async def basename(process: Process) -> int:
    """`basename path [suffix]`."""
    if len(process.argv) < 2:
        raise Exit(1, "basename: missing operand\n")
    name = posixpath.basename(process.argv[1].rstrip("/")) or "/"
    suffix = process.argv[2] if len(process.argv) > 2 else ""
    await process.print((name.removesuffix(suffix) or name) + "\n")
    return 0


async def dirname(process: Process) -> int:
    """`dirname path`."""
    for path in process.argv[1:]:
        await process.print((posixpath.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")) + "\n")
    return 0


async def mktemp(process: Process) -> int:
    """`mktemp [-d]`."""
    options = parse_options(process, "dp:t")
    path = f"/tmp/tmp.{process.pid:06d}{process.files.generation % 10000:04d}"  # noqa: S108 - a file of the container
    process.files.mkdir("/tmp", parents=True)  # noqa: S108
    if "d" in options:
        process.files.mkdir(path)
    else:
        process.files.write(path, b"", mode=0o600)
    await process.print(path + "\n")
    return 0


async def df(process: Process) -> int:
    """`df`: the mounts there are, without figures that would be made up."""
    await process.print("Filesystem           1K-blocks      Used Available Use% Mounted on\n")
    for path in process.files.mounts:
        await process.print(f"{'overlay' if path == '/' else 'tmpfs':20s} {0:9d} {0:9d} {0:9d}   0% {path}\n")
    return 0
