"""Files that only the user can read."""

from __future__ import annotations

import os
from pathlib import Path

from labctl.errors import UsageError


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; never readable by others, not even for a moment.

    Raises:
        UsageError: It cannot be written; what was there is left as it was.
    """
    partial = path.with_name(f".{path.name}.labctl-partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
