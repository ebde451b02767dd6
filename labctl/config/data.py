"""Where the data that ships with labctl is: labs and manifests."""

from __future__ import annotations

from pathlib import Path

import labctl


def data_dir(name: str) -> Path:
    """The folder of shipped data, `labs` or `manifests`: in the installed package, else in the source tree."""
    package = Path(labctl.__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
