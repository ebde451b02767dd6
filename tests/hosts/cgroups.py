"""Control groups of their own for the test hosts, below those of whoever makes them; nothing else is touched.

systemd in a host needs a group to put its services in, and a kubelet needs the controllers. On a machine with the
version 1 hierarchies (hybrid), each host gets a child of our own group in every hierarchy. On a machine with the unified
hierarchy alone, a group with processes may have no children with controllers: there it is a child of the root.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path


def groups(name: str) -> list[Path]:
    """The directories of one host's groups, one for each hierarchy; not made yet."""
    mounts = _mounts()
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mount = mounts.get(controllers or "unified")
        if mount is not None:
            unified_alone = not controllers and len(mounts) == 1
            found.append(mount / ("" if unified_alone else path.lstrip("/")) / name)
    return found


def _mounts() -> dict[str, Path]:
    """Where each hierarchy is mounted, by its controllers as /proc/self/cgroup writes them."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        front, _, back = line.partition(" - ")
        kind, _, options = back.split(" ", 2)
        place = Path(front.split()[4])
        if kind == "cgroup2":
            mounts["unified"] = place
        elif kind == "cgroup":
            flags = {"rw", "ro", "noprefix", "clone_children", "xattr", "none"}
            controllers = [part for part in options.split(",") if part not in flags and "release_agent" not in part]
            mounts[",".join(controllers)] = place
    return mounts


def make(directories: Sequence[Path]) -> None:
    """Make the groups, ready to take processes."""
    for directory in directories:
        directory.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # a new version 1 cpuset is empty, and takes no process
            if (directory / "cgroup.clone_children").exists() and (directory / file).exists():
                (directory / file).write_text((directory.parent / file).read_text())


def members(directories: Sequence[Path]) -> set[int]:
    """Process ids of everything in the groups: what was started there and all that came of it."""
    found: set[int] = set()
    for directory in directories:
        for file in directory.glob("**/cgroup.procs"):
            with contextlib.suppress(OSError):  # a group that goes while we look
                found.update(map(int, file.read_text().split()))
    return found - {0}


def remove(directories: Sequence[Path], timeout: float = 5.0) -> None:
    """Remove the groups and those that were made in them; the kernel takes a moment to see that one is empty.

    Raises:
        TimeoutError: A group still has processes.
    """
    deadline = time.monotonic() + timeout
    while left := [directory for directory in directories if directory.exists()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{left[0]} still has processes")
        for directory in left:
            for path in sorted(directory.glob("**/"), key=lambda path: len(path.parts), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
        time.sleep(0.02)
