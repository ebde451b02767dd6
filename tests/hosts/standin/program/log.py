"""Log lines as k3s writes them (logrus's text format), so that they read alike in the journal."""

from __future__ import annotations

import sys
from datetime import UTC, datetime


class FatalError(Exception):
    """k3s gives up: logged with level fatal, exit code 1."""


def write(level: str, message: str) -> None:
    """One line."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    escaped = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    print(f'time="{now}" level={level} msg="{escaped}"', file=sys.stderr, flush=True)


def info(message: str) -> None:
    """What happens."""
    write("info", message)


def error(message: str) -> None:
    """What fails, and is tried again."""
    write("error", message)
