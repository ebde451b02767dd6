"""A container's files, in memory: a root layer shared by all containers of an image, and volumes mounted over it.

Paths are POSIX paths; every error is the OSError that the system call would give, so programs can print `strerror`.
"""

from __future__ import annotations

import errno
import os
import posixpath
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MAX_LINKS = 16
"""Symbolic links followed before giving up with ELOOP."""

MAX_BYTES = 32 * 1024 * 1024
"""What one volume may hold, so that a runaway redirection cannot take the whole process's memory (ENOSPC)."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; a callable gives content that is made when it is read, as files in /proc are."""

    data: bytes | Callable[[], bytes]
    mode: int = 0o644
    mtime: float = 0.0

    def content(self) -> bytes:
        """The bytes now."""
        return self.data if isinstance(self.data, bytes) else self.data()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; its entries are the nodes below its path."""

    mode: int = 0o755
    mtime: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str
    mode: int = 0o777
    mtime: float = 0.0


@dataclass(frozen=True, slots=True)
class Executable:
    """A program file: what runs when a process (`images.process.Process`) executes this path."""

    program: Callable[[Any], Awaitable[int]]
    mode: int = 0o755
    mtime: float = 0.0


Node = File | Directory | Link | Executable


def os_error(number: int, path: str) -> OSError:
    """The OSError subclass for an errno."""
    return OSError(number, os.strerror(number), path)


def layer(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Nodes by absolute path → a root layer: keys without the leading slash, parent directories filled in."""
    out: dict[str, Node] = {"": Directory()}
    for path, node in nodes.items():
        relative = posixpath.normpath(path).strip("/")
        relative = "" if relative == "." else relative
        for parent in _parents(relative):
            out.setdefault(parent, Directory())
        out[relative] = node
    return out


def _parents(relative: str) -> Iterator[str]:
    parts = relative.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


@dataclass(slots=True)
class Volume:
    """A tree of nodes by relative path (the root is the empty string), over a base that is never written.

    Attributes:
        base: What the image brings; shared between containers.
        nodes: What was written; None hides a node of the base.
        read_only: Whether writes fail with EROFS.
        generation: Grows with every change, so that readers can cache.
    """

    base: Mapping[str, Node] = field(default_factory=lambda: {"": Directory()})
    nodes: dict[str, Node | None] = field(default_factory=dict)
    read_only: bool = False
    generation: int = 0
    used: int = 0

    def get(self, relative: str) -> Node | None:
        """The node at a path of this volume."""
        if relative in self.nodes:
            return self.nodes[relative]
        return self.base.get(relative)

    def put(self, relative: str, node: Node) -> None:
        """Set a node, whatever was there."""
        grown = self.used - _size(self.nodes.get(relative)) + _size(node)
        if grown > MAX_BYTES:
            raise os_error(errno.ENOSPC, relative)
        self.used = grown
        self.nodes[relative] = node
        self.generation += 1

    def drop(self, relative: str) -> None:
        """Remove a node and everything below it."""
        for path in [path for path in self.paths() if path == relative or path.startswith(relative + "/")]:
            self.used -= _size(self.nodes.get(path))
            if path in self.base:
                self.nodes[path] = None
            else:
                self.nodes.pop(path, None)
        self.generation += 1

    def replace(self, nodes: Mapping[str, Node]) -> None:
        """Swap the whole content, as the kubelet does when a ConfigMap that is mounted changes."""
        self.nodes = dict(layer(nodes))
        self.used = sum(_size(node) for node in self.nodes.values())
        self.generation += 1

    def paths(self) -> Iterator[str]:
        """All paths there are, in no order."""
        for path, node in self.nodes.items():
            if node is not None:
                yield path
        for path in self.base:
            if path not in self.nodes:
                yield path

    def children(self, relative: str) -> list[str]:
        """Names in a directory, sorted."""
        prefix = relative + "/" if relative else ""
        start = len(prefix)
        return sorted(
            path[start:] for path in self.paths() if path.startswith(prefix) and path != "" and "/" not in path[start:]
        )


def _size(node: Node | None) -> int:
    return len(node.data) if isinstance(node, File) and isinstance(node.data, bytes) else 0


class FileSystem:
    """All files one container sees."""

    __slots__ = ("_clock", "_mounts")

    def __init__(self, root: Volume | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._mounts: list[tuple[str, Volume, str]] = [("", root or Volume(), "")]
        self._clock = clock

    @property
    def generation(self) -> int:
        """Grows with every change of any file."""
        return sum(mount[1].generation for mount in self._mounts)

    @property
    def mounts(self) -> list[str]:
        """Mount points, the root first."""
        return ["/" + mount[0] for mount in self._mounts]

    def mount(self, path: str, volume: Volume, sub_path: str = "") -> None:
        """Mount a volume, or a directory of it; the longest mount point wins."""
        point = posixpath.normpath(path).strip("/")
        root = self._mounts[0][1]
        for parent in (*_parents(point), point):
            if root.get(parent) is None:
                root.nodes[parent] = Directory(mtime=self._clock())
        self._mounts.append((point, volume, sub_path))
        root.generation += 1

    def resolve(self, path: str, *, follow: bool = True) -> str:
        """The absolute path with links followed (not the last one with `follow` False); need not exist."""
        return "/" + self._walk(path, follow)

    def stat(self, path: str, *, follow: bool = True) -> Node:
        """The node at a path.

        Raises:
            OSError: ENOENT, ENOTDIR or ELOOP.
        """
        relative = self._walk(path, follow)
        node = self._at(relative)
        if node is None or (path.endswith("/") and not isinstance(node, Directory)):
            raise os_error(errno.ENOENT if node is None else errno.ENOTDIR, path)
        return node

    def exists(self, path: str) -> bool:
        """Whether there is a node, following links."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def is_dir(self, path: str) -> bool:
        """Whether the path is a directory, following links."""
        try:
            return isinstance(self.stat(path), Directory)
        except OSError:
            return False

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            OSError: ENOENT, EISDIR, …
        """
        node = self.stat(path)
        if isinstance(node, Directory):
            raise os_error(errno.EISDIR, path)
        return node.content() if isinstance(node, File) else b"\x7fELF"

    def write(self, path: str, data: bytes, *, append: bool = False, mode: int | None = None) -> None:
        """Create or overwrite a file; its directory must exist.

        Raises:
            OSError: ENOENT, EISDIR, EROFS, ENOSPC, …
        """
        relative = self._walk(path, True)
        old = self._at(relative)
        if isinstance(old, Directory):
            raise os_error(errno.EISDIR, path)
        if old is None:
            self._need_directory(posixpath.dirname(relative), path)
        if append and isinstance(old, File):
            data = old.content() + data
        new_mode = mode if mode is not None else (old.mode if isinstance(old, File) else 0o644)
        self.put(path, File(data, new_mode, self._clock()))

    def put(self, path: str, node: Node) -> None:
        """Set a node where its directory exists.

        Raises:
            OSError: EROFS or ENOSPC.
        """
        volume, inner = self._volume(self._walk(path, not isinstance(node, Link)))
        if volume.read_only:
            raise os_error(errno.EROFS, path)
        volume.put(inner, node)

    def install(self, path: str, node: Node) -> None:
        """Set a node and make its parent directories: how images lay out their files."""
        self.mkdir(posixpath.dirname(posixpath.normpath(path)) or "/", parents=True)
        self.put(path, node)

    def mkdir(self, path: str, *, parents: bool = False) -> None:
        """Make a directory; with `parents` also those above it, and an existing one is no error.

        Raises:
            OSError: EEXIST, ENOENT, ENOTDIR, EROFS.
        """
        relative = self._walk(path, True)
        if parents:
            for parent in _parents(relative):
                self._make(parent, path, exist_ok=True)
        else:
            self._need_directory(posixpath.dirname(relative), path)
        self._make(relative, path, exist_ok=parents)

    def remove(self, path: str) -> None:
        """Remove a node and everything below it.

        Raises:
            OSError: ENOENT, EROFS, EBUSY (a mount point).
        """
        relative = self._walk(path, False)
        if self._at(relative) is None:
            raise os_error(errno.ENOENT, path)
        if any(mount[0] == relative for mount in self._mounts):
            raise os_error(errno.EBUSY, path)
        volume, inner = self._volume(relative)
        if volume.read_only:
            raise os_error(errno.EROFS, path)
        volume.drop(inner)

    def chmod(self, path: str, mode: int) -> None:
        """Change a node's permission bits."""
        node = self.stat(path)
        self.put(path, replace(node, mode=mode))

    def touch(self, path: str) -> None:
        """Set a node's time to now, creating an empty file where there is none."""
        if self.exists(path):
            self.put(path, replace(self.stat(path), mtime=self._clock()))
        else:
            self.write(path, b"")

    def list(self, path: str) -> list[str]:
        """Names in a directory, sorted.

        Raises:
            OSError: ENOENT or ENOTDIR.
        """
        if not isinstance(self.stat(path), Directory):
            raise os_error(errno.ENOTDIR, path)
        volume, inner = self._volume(self._walk(path, True))
        return volume.children(inner)

    def in_memory(self, path: str) -> bool:
        """Whether a path is on a mounted volume, which is a tmpfs, and not on the root layer."""
        return self._volume(self._walk(path, False))[0] is not self._mounts[0][1]

    def walk(self, path: str) -> Iterator[tuple[str, Node]]:
        """Every node from a path down, parents first, links not followed."""
        node = self.stat(path, follow=False)
        yield path, node
        if isinstance(node, Directory):
            for name in self.list(path):
                yield from self.walk(posixpath.join(path, name))

    def _make(self, relative: str, path: str, *, exist_ok: bool) -> None:
        node = self._at(relative)
        if node is not None:
            if exist_ok and isinstance(node, Directory):
                return
            raise os_error(errno.EEXIST, path)
        volume, inner = self._volume(relative)
        if volume.read_only:
            raise os_error(errno.EROFS, path)
        volume.put(inner, Directory(mtime=self._clock()))

    def _need_directory(self, relative: str, path: str) -> None:
        node = self._at(relative)
        if not isinstance(node, Directory):
            raise os_error(errno.ENOENT if node is None else errno.ENOTDIR, path)

    def _at(self, relative: str) -> Node | None:
        volume, inner = self._volume(relative)
        return volume.get(inner)

    def _volume(self, relative: str) -> tuple[Volume, str]:
        best = self._mounts[0]
        for mount in self._mounts[1:]:
            point = mount[0]
            if len(point) >= len(best[0]) and (relative == point or relative.startswith(point + "/")):
                best = mount
        point, volume, sub_path = best
        inner = relative[len(point) :].lstrip("/") if point else relative
        return volume, "/".join(part for part in (sub_path, inner) if part)

    def _walk(self, path: str, follow: bool) -> str:
        parts = [part for part in path.split("/") if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            node = self._at("/".join((*done, part)))
            if isinstance(node, Link) and (parts or follow):
                links += 1
                if links > MAX_LINKS:
                    raise os_error(errno.ELOOP, path)
                target = [piece for piece in node.target.split("/") if piece not in ("", ".")]
                parts = target + parts
                done = [] if node.target.startswith("/") else done
                continue
            done.append(part)
        return "/".join(done)
