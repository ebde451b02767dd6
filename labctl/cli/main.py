"""From arguments to exit status: the only place where errors become text and numbers."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from labctl.errors import ConfigError, LabctlError, Problem
from labctl.status import ExitStatus


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the process's exit code (labctl.status.ExitStatus)."""
    from typer.exceptions import TyperException

    from labctl.cli.app import app

    try:
        status = app(args=list(arguments), prog_name="labctl", standalone_mode=False)
        if status == ExitStatus.INTERRUPTED:
            sys.stderr.write("interrupted; `labctl status` tells how far things are\n")
        return int(status) if isinstance(status, int) else ExitStatus.OK
    except TyperException as error:  # a command line that cannot be parsed
        return _show_usage_error(error)
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("interrupted\n")
        return ExitStatus.INTERRUPTED
    except LabctlError as error:
        show_error(error, sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        return _reader_went_away()
    except Exception as error:  # noqa: BLE001 - the entry point: whatever comes here is labctl's own fault
        if type(error).__name__ == "Abort":
            sys.stderr.write("interrupted\n")
            return ExitStatus.INTERRUPTED
        traceback.print_exc()
        sys.stderr.write("this is a fault of labctl itself: please report it with the lines above\n")
        return ExitStatus.INTERNAL


def show_error(error: LabctlError, stream: TextIO) -> None:
    """What happened, where, and what to do next."""
    stream.write(f"error: {error.message}\n")
    if isinstance(error, ConfigError):
        for problem in error.problems:
            stream.write(_problem_text(problem))
    if error.hint:
        stream.write(f"hint: {error.hint}\n")


def _show_usage_error(error: Exception) -> int:
    show = getattr(error, "show", None)  # Typer's own form, with the usage line, where it has one
    if callable(show):
        show()
    else:
        sys.stderr.write(f"error: {error}\n")
    return ExitStatus.USAGE


def _problem_text(problem: Problem) -> str:
    text = f"{problem.position}: {problem.message}\n"
    if problem.line_text:
        text += f"    {problem.line_text.rstrip()}\n    {' ' * (problem.position.column - 1)}^\n"
    if problem.hint:
        text += f"    hint: {problem.hint}\n"
    return text


def _reader_went_away() -> int:
    """`labctl … | head`: not an error; keep the interpreter from complaining when it flushes at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.OK
