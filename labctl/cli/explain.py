"""`labctl explain URL`: which server, location, Ingress and upstream would answer, and why the others do not."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import emit, plain_output, session, use_color
from labctl.status import ExitStatus


def explain(
    url: Annotated[str, typer.Argument(help="Absolute http or https URL.")],
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", help="Header `Name: value` (repeatable).", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option("-X", "--method", help="HTTP method.")] = "GET",
    file: options.File = None,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """Tell which Ingress, Service and pods would answer a request, and why; nothing is sent."""
    from labctl.report.routing import explanation_text
    from labctl.workflows.routing import explain_url

    form = plain_output(output)
    with session(file, no_color=no_color) as s:
        told, facts = explain_url(s.provider.find(), url, method=method, headers=header or ())
    emit(s, explanation_text(url, told, facts, form.value, s.env, color=use_color(s.env, no_color)), None)
    return ExitStatus.OK
