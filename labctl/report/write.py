"""From a value to the place where the user wants it: the only writer of results."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from labctl.env import Env
from labctl.errors import UsageError
from labctl.model.report import Report

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPE_WIDTH = 120
"""Columns of tables that do not go to a terminal."""


def write_report(report: Report, form: str, output_file: Path | None, env: Env, *, color: bool) -> None:
    """Render a report and write it to stdout or a file.

    Raises:
        UsageError: The file cannot be written; the report is then printed to stdout, so that nothing is lost.
    """
    text = render_report(report, form, env, color=color and output_file is None)
    write_text(text, output_file, env.stdout)


def render_report(report: Report, form: str, env: Env, *, color: bool) -> str:
    """A report as text in one of the forms table, json, yaml, junit, markdown, html."""
    if form == "table":
        from labctl.report.tables import report_view

        width = console_width(env.stdout)
        return render(report_view(report, width), env.stdout, color=color, width=width)
    if form in ("json", "yaml"):
        from labctl.report.document import report_json, report_yaml

        return report_json(report) if form == "json" else report_yaml(report)
    if form == "junit":
        from labctl.report.junit import report_junit

        return report_junit(report)
    if form == "markdown":
        from labctl.report.markdown import report_markdown

        return report_markdown(report)
    from labctl.report.html import report_html

    return report_html(report)


def console_width(stream: TextIO) -> int:
    """Columns of the terminal behind a stream; a pipe gets a fixed width, so that its output is reproducible."""
    if not stream.isatty():
        return PIPE_WIDTH
    from rich.console import Console

    return Console(file=stream).width


def render(view: RenderableType, stream: TextIO, *, color: bool, width: int) -> str:
    """A rich renderable as text; with colours only when the stream is a terminal that has them."""
    from io import StringIO

    from rich.console import Console

    terminal = color and stream.isatty()
    buffer = StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=terminal, color_system="auto" if terminal else None, highlight=False
    )
    console.print(view)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def write_text(text: str, output_file: Path | None, stdout: TextIO) -> None:
    """Write to stdout, or whole and in one step into a file.

    Raises:
        UsageError: The file cannot be written; the text was printed instead.
    """
    if output_file is None:
        stdout.write(text)
        stdout.flush()
        return
    try:
        _replace(output_file, text)
    except OSError as error:
        stdout.write(text)
        stdout.flush()
        raise UsageError(f"cannot write {output_file}: {error.strerror}; the result was printed instead") from error


def _replace(path: Path, text: str) -> None:
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(partial).chmod(0o666 & ~mask)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
