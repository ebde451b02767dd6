"""Command-line options of the small programs."""

from __future__ import annotations

import getopt
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

from labctl.embedded.images.process import Exit, Process


@dataclass(slots=True)
class Options:
    """Options and operands.

    Attributes:
        values: Option (without dashes) → its value, empty for a flag; the last one wins.
        operands: The rest.
        every: All options in order, for those that may be repeated.
    """

    values: dict[str, str] = field(default_factory=dict)
    operands: list[str] = field(default_factory=list)
    every: list[tuple[str, str]] = field(default_factory=list)

    def __contains__(self, option: str) -> bool:
        return option in self.values

    def any(self, *options: str) -> bool:
        """Whether one of them was given."""
        return any(option in self.values for option in options)

    def number(self, option: str, default: int) -> int:
        """The value of an option as a number."""
        text = self.values.get(option)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError as error:
            raise Exit(1, f"invalid number '{text}'\n") from error

    def all(self, *options: str) -> list[str]:
        """All values of an option that may be repeated."""
        return [value for option, value in self.every if option in options]


def parse_options(
    process: Process, short: str, long: Sequence[str] = (), *, permute: bool = True, status: int = 1
) -> Options:
    """Read a program's arguments.

    Args:
        process: The program's process.
        short: As for getopt(3).
        long: Long names; a trailing `=` takes a value.
        permute: Whether options may follow operands.
        status: Exit code on an unknown option.

    Raises:
        Exit: An option that the program does not know here; says which.
    """
    read = getopt.gnu_getopt if permute else getopt.getopt
    name = posixpath.basename(process.argv[0])
    try:
        given, operands = read(list(process.argv[1:]), short, list(long))
    except getopt.GetoptError as error:
        raise Exit(status, f"{name}: {_complaint(error)}\n") from error
    every = [(option.lstrip("-"), value) for option, value in given]
    return Options(dict(every), operands, every)


def _complaint(error: getopt.GetoptError) -> str:
    if "requires argument" in error.msg:
        return f"option requires an argument: {error.opt}"
    dashes = "--" if len(error.opt) > 1 else "-"
    return f"option {dashes}{error.opt} is not known in the embedded cluster"
