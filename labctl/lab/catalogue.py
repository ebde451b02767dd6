"""Where the labs are: those that ship with labctl, and the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from labctl.config.data import data_dir
from labctl.config.decode import did_you_mean
from labctl.config.lab import LAB_FILE
from labctl.errors import UsageError

ORDER_FILE = "ORDER"
"""In a folder of labs: their names in the order in which they are meant to be done, one a line."""

__all__ = ["ORDER_FILE", "data_dir", "find_labs", "lab_directory"]


def find_labs(paths: Sequence[Path]) -> Mapping[str, Path]:
    """Every lab by name, in the order in which they are meant to be done.

    Args:
        paths: Folders with the user's own labs, besides the labs that ship with labctl. One that does not exist is
            passed over; a folder that is itself a lab stands for that lab.

    Raises:
        UsageError: Two labs have one name.
    """
    found: dict[str, Path] = {}
    for folder in dict.fromkeys(path.resolve() for path in (data_dir("labs"), *paths)):
        for lab in _labs_in(folder):
            other = found.get(lab.name)
            if other is not None and other != lab:
                raise UsageError(
                    f"there are two labs named {lab.name!r}: {other} and {lab}",
                    hint="rename one of the folders: a lab is called by its folder's name",
                )
            found[lab.name] = lab
    return found


def lab_directory(found: Mapping[str, Path], name: str) -> Path:
    """The folder of a lab.

    Raises:
        UsageError: There is no such lab.
    """
    if name in found:
        return found[name]
    near = did_you_mean(name, found)
    hint = f"did you mean {near!r}? " if near else ""
    raise UsageError(f"there is no lab named {name!r}", hint=f"{hint}labs: {', '.join(found)}")


def _labs_in(folder: Path) -> Iterable[Path]:
    if (folder / LAB_FILE).is_file():
        return [folder]
    if not folder.is_dir():
        return []
    labs = {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{LAB_FILE}"))}
    order = folder / ORDER_FILE
    first = order.read_text(encoding="utf-8").split() if order.is_file() else []
    return [labs[name] for name in dict.fromkeys((*first, *labs)) if name in labs]
