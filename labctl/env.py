"""The process's surroundings as one value: streams, terminal, clock, environment, paths.

Built once in the composition root and passed down; never a default argument, never read at import time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as it passes (`monotonic`, seconds), as it is (`now`, UTC), and a way to let it pass (`sleep`)."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Env:
    """Everything a command takes from the outside.

    Attributes:
        stdout: Results go here.
        stderr: Everything else.
        environ: Environment variables.
        home: The user's home directory.
        cwd: Working directory.
        state_dir: Where labctl keeps what it must not lose (one folder per cluster).
        cache_dir: Where labctl keeps what it can fetch again.
        clock: Time.
    """

    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    home: Path
    cwd: Path
    state_dir: Path
    cache_dir: Path
    clock: Clock = field(default_factory=Clock)


def system_env() -> Env:
    """The real surroundings. `LABCTL_STATE_DIR` and `LABCTL_CACHE_DIR` override the platform's folders."""
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("labctl", appauthor=False)
    environ = dict(os.environ)
    return Env(
        stdout=sys.stdout,
        stderr=sys.stderr,
        environ=environ,
        home=Path.home(),
        cwd=Path.cwd(),
        state_dir=Path(environ.get("LABCTL_STATE_DIR") or dirs.user_state_dir),
        cache_dir=Path(environ.get("LABCTL_CACHE_DIR") or dirs.user_cache_dir),
    )
