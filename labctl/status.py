"""Exit codes: the contract with shells and CI jobs (documented in docs/exit-codes.md)."""

from enum import IntEnum, unique


@unique
class ExitStatus(IntEnum):
    """What the process's exit code means."""

    OK = 0
    """Done, and every expectation held."""
    INTERNAL = 1
    """labctl's own fault: please report it."""
    USAGE = 2
    """The command line or a file is wrong; nothing was changed."""
    EXPECTATION = 3
    """An expectation did not hold."""
    UNREACHABLE = 4
    """A host or the cluster could not be reached, or refused."""
    DEADLINE = 5
    """A deadline passed."""
    INTERRUPTED = 130
    """Ctrl-C."""
