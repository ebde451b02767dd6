"""`labctl compare`: two reports side by side."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import emit, plain_output, session
from labctl.status import ExitStatus


def compare(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="A report written with -o json.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Another.")],
    confidence: options.Confidence = 0.999,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when something changed beyond chance.")] = False,
    output: options.OutputFormat = options.Output.TABLE,
    output_file: options.OutputFile = None,
    no_color: options.NoColor = False,
) -> int:
    """Compare two runs: shares, statuses, errors and latency, and what changed beyond chance."""
    from labctl.report.comparison import comparison_view
    from labctl.report.values import structured
    from labctl.report.write import console_width, render
    from labctl.workflows.compare import compare_reports

    form = plain_output(output).value
    found = compare_reports(first, second, confidence)
    with session(None, quiet=True, no_color=no_color) as s:
        if form == "table":
            only = (found.only_first, found.only_second)
            names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
            view = comparison_view(found.differences, found.results, only, names)
            text = render(view, s.env.stdout, color=not no_color, width=console_width(s.env.stdout))
        else:
            text = structured({"schema": "labctl.comparison/v1", **json.loads(json.dumps(asdict(found)))}, form)
        emit(s, text, output_file)
    return ExitStatus.EXPECTATION if strict and found.changed else ExitStatus.OK
