"""File descriptors: each request in flight takes one, and a process may have only so many."""

from __future__ import annotations

import os
import resource

from labctl.errors import LabctlError

SPARE = 32
"""Descriptors left for everything else: epoll, name resolution, certificates, logs."""
HINT = "raise the limit of open files (`ulimit -n 65536`) or lower the concurrency"


def affordable(wanted: int) -> tuple[int, str]:
    """How many of `wanted` connections can be open at once; raises the soft limit where that is needed and allowed.

    Returns:
        The number, and what to tell the user when it is less than wanted (else empty).

    Raises:
        LabctlError: Not even one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _open_now() + SPARE + wanted
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return wanted, ""
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError):
            allowed = soft
    fit = wanted - (needed - max(allowed, soft))
    if fit < 1:
        raise LabctlError(f"no file descriptor is left for a connection (limit {soft})", hint=HINT)
    return fit, reduced(wanted, fit) if fit < wanted else ""


def reduced(wanted: int, fit: int) -> str:
    """The notice that fewer connections are open at once than asked for."""
    return f"out of file descriptors: {fit} requests at once instead of {wanted}; {HINT}"


def _open_now() -> int:
    """How many descriptors this process has open."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))  # noqa: PTH208 - only counted, names do not matter
        except OSError:
            continue
    return 64
