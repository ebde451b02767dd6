"""Which process listens on an address: the answer to "address already in use"."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
"""TCP_LISTEN in the `st` column of /proc/net/tcp (include/net/tcp_states.h)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens.

    Attributes:
        address: The address it listens on: the one asked for, or a wildcard that covers it.
        port: TCP port.
        pid: Its process id; 0 when this user may not see whose socket it is.
        command: Its command name; empty when unknown.
        arguments: Its command line; empty when unknown.
    """

    address: str
    port: int
    pid: int = 0
    command: str = ""
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.address}:{self.port}"
        if not self.pid:
            return f"another user's process (on {where})"
        return f"{self.command or 'a process'} (process {self.pid}, on {where})"


def who_listens(address: str, port: int, *, likely: int = 0, proc: Path = Path("/proc")) -> Holder | None:
    """The process that holds a TCP port of an address, or None when there is none (or no way to know: not Linux).

    Args:
        address: IPv4 address.
        port: TCP port.
        likely: A process that probably has it: it is looked at first, which saves looking at all others.
        proc: Where procfs is mounted.
    """
    for bound, inode in _listeners(proc, address, port):
        pid = _owner(proc, inode, likely)
        if not pid:
            return Holder(bound, port)
        return Holder(bound, port, pid, _command(proc, pid), _arguments(proc, pid))
    return None


def _listeners(proc: Path, address: str, port: int) -> Iterator[tuple[str, str]]:
    """(address, socket inode) of the listening sockets that cover the address; exact ones first."""
    found = [
        (bound, inode)
        for table in ("tcp", "tcp6")
        for bound, bound_port, inode in _table(proc / "net" / table)
        if bound_port == port and bound in (address, "0.0.0.0", "::", f"::ffff:{address}")  # noqa: S104 - compared
    ]
    yield from sorted(found, key=lambda row: row[0] != address)


def _table(path: Path) -> Iterator[tuple[str, int, str]]:
    """Rows of /proc/net/tcp or tcp6 in state LISTEN: address, port, inode (proc(5))."""
    try:
        lines = path.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            host, _, port = fields[1].partition(":")
            yield _address(host), int(port, 16), fields[9]


def _address(text: str) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's byte order, in hexadecimal."""
    words = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    packed = b"".join(words)
    if len(packed) == 4:
        return socket.inet_ntoa(packed)
    address = ipaddress.IPv6Address(packed)
    return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)


def _owner(proc: Path, inode: str, likely: int) -> int:
    """The process that has the socket open; 0 when none that this user may look into has."""
    wanted = f"socket:[{inode}]"
    if likely and _has_open(proc / str(likely) / "fd", wanted):
        return likely
    for process in proc.iterdir():
        if process.name.isdigit() and _has_open(process / "fd", wanted):
            return int(process.name)
    return 0


def _has_open(descriptors: Path, wanted: str) -> bool:
    try:
        links = list(descriptors.iterdir())
    except OSError:  # it ended in between, or belongs to another user
        return False
    for link in links:
        with contextlib.suppress(OSError):  # closed in between
            if str(link.readlink()) == wanted:
                return True
    return False


def _command(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _arguments(proc: Path, pid: int) -> tuple[str, ...]:
    try:
        raw = (proc / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode(errors="replace") for part in raw.split(b"\0") if part)
