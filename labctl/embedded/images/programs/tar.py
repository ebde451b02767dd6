"""tar, as `kubectl cp` needs it: create to and extract from standard streams, in busybox's words."""

from __future__ import annotations

import io
import posixpath
import tarfile

from labctl.embedded.images.filesystem import Directory, File, Link, Node
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.streams import read_all


async def tar(process: Process) -> int:
    """`tar c|x|t [-m] [-f file] [-C directory] [path…]`."""
    flags, archive, folder, operands = _arguments(process)
    if folder:
        path = process.path(folder)
        if not process.files.is_dir(path):
            raise Exit(1, f"tar: can't change directory to '{folder}': No such file or directory\n")
        process.cwd = path
    if "c" in flags:
        return await _create(process, archive, operands, compressed="z" in flags)
    if "x" not in flags and "t" not in flags:
        raise Exit(1, "tar: only c, x and t are known in the embedded cluster\n")
    data = await read_all(process.stdin) if archive == "-" else _archive(process, archive)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as opened:
            return await _read(process, opened, listing="t" in flags)
    except tarfile.TarError as error:
        raise Exit(1, "tar: short read\n" if not data else "tar: invalid tar magic\n") from error


def _arguments(process: Process) -> tuple[str, str, str, list[str]]:
    flags, archive, folder = "", "-", ""
    operands: list[str] = []
    rest = list(process.argv[1:])
    first = True
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands += rest
            break
        if (first or word.startswith("-")) and word != "-" and not word.startswith("--"):
            letters = word.lstrip("-")
            flags += letters
            if "f" in letters and rest:
                archive = rest.pop(0)
            if "C" in letters and rest:
                folder = rest.pop(0)
        elif not word.startswith("--"):
            operands.append(word)
        first = False
    return flags, archive, folder, operands


def _archive(process: Process, name: str) -> bytes:
    try:
        return process.files.read(process.path(name))
    except OSError as error:
        raise Exit(1, f"tar: can't open '{name}': {error.strerror}\n") from error


async def _create(process: Process, archive: str, operands: list[str], *, compressed: bool) -> int:
    buffer = io.BytesIO()
    failed = stripped = False
    with tarfile.open(fileobj=buffer, mode="w:gz" if compressed else "w", format=tarfile.GNU_FORMAT) as out:
        for operand in operands:
            start = process.path(operand).rstrip("/") or "/"
            try:
                found = list(process.files.walk(start))
            except OSError as error:
                await process.complain(f"{operand}: {error.strerror}")
                failed = True
                continue
            if operand.startswith("/") and not stripped:
                stripped = True
                await process.complain("removing leading '/' from member names")
            for path, node in found:
                name = (operand.rstrip("/") + path[len(start) :]).lstrip("/") or "."
                _add(out, name, node)
    if failed:
        # Before the archive, whose end makes `kubectl cp` stop reading.
        await process.complain("error exit delayed from previous errors")
    await _write(process, archive, buffer.getvalue())
    return int(failed)


def _add(out: tarfile.TarFile, name: str, node: Node) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = node.mode, int(node.mtime)
    data = b""
    if isinstance(node, Directory):
        info.type = tarfile.DIRTYPE
    elif isinstance(node, Link):
        info.type, info.linkname = tarfile.SYMTYPE, node.target
    elif isinstance(node, File):
        data = node.content()
        info.size = len(data)
    out.addfile(info, io.BytesIO(data))


async def _write(process: Process, archive: str, data: bytes) -> None:
    if archive != "-":
        process.files.write(process.path(archive), data)
        return
    for at in range(0, len(data), 65536):
        await process.stdout.write(data[at : at + 65536])


async def _read(process: Process, opened: tarfile.TarFile, *, listing: bool) -> int:
    status = 0
    for member in opened:
        if listing:
            await process.print(member.name + ("/" if member.isdir() else "") + "\n")
            continue
        path = posixpath.join(process.cwd, member.name)
        try:
            _extract(process, opened, member, path)
        except OSError as error:
            await process.complain(f"can't open '{member.name}': {error.strerror}")
            status = 1
    return status


def _extract(process: Process, opened: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    files = process.files
    if member.isdir():
        files.mkdir(path, parents=True)
        return
    files.mkdir(posixpath.dirname(path) or "/", parents=True)
    if member.issym():
        files.put(path, Link(member.linkname))
        return
    content = opened.extractfile(member)
    files.write(path, content.read() if content is not None else b"", mode=member.mode & 0o7777)
