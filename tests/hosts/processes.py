"""Processes by number and start time, so that nobody ends a process that took over a number."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def spawn(command: Sequence[str], environ: Mapping[str, str], log: Path) -> int:
    """Start a program that outlives this one; its process id. What it prints goes to the log."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(command[0], list(command), dict(environ), file_actions=files, setsid=True)


def started(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    state, *fields = text.rpartition(")")[2].split()
    return 0 if state == "Z" else int(fields[18])


def end(pid: int, start: int, timeout: float = 10.0) -> None:
    """Kill the process that has this number and start time, and wait until it is gone.

    Raises:
        TimeoutError: It did not go.
    """
    if started(pid) != start or not start:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], timeout)[0]:
            raise TimeoutError(f"process {pid} did not end within {timeout:g} s")
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
        with contextlib.suppress(ChildProcessError):  # not our child, when another process started it
            os.waitpid(pid, os.WNOHANG)


def first_in_namespace(ancestor: int) -> int:
    """The descendant that is process 1 of its own process namespace; 0 when there is none (yet)."""
    for pid in _descendants(ancestor):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
        if len(numbers) > 1 and numbers[-1] == "1":
            return pid
    return 0


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)
