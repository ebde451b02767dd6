"""`labctl conformance`: does an ingress controller behave as ingress-nginx was recorded to behave?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import check_output_file, emit, session, use_color
from labctl.status import ExitStatus


class Form(StrEnum):
    """Forms of the difference report."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


def conformance(
    corpus: Annotated[Path, typer.Option("--corpus", help="Directory with recorded cases (<group>.json[.gz]).")],
    target: Annotated[
        str, typer.Option("--target", help="What to compare: embedded, or kubeconfig:PATH[#context].")
    ] = "embedded",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Cases with this in their name, or of this group.", show_default=False),
    ] = None,
    ingress_class: Annotated[
        str, typer.Option("--ingress-class", help="Class of the controller to compare (kubeconfig).")
    ] = "nginx",
    http: Annotated[
        str, typer.Option("--http", help="ADDRESS:PORT where it answers http (kubeconfig).", show_default=False)
    ] = "",
    https: Annotated[
        str, typer.Option("--https", help="ADDRESS:PORT where it answers https (kubeconfig).", show_default=False)
    ] = "",
    echo_image: Annotated[
        str,
        typer.Option(
            "--echo-image",
            help="Image of the backend pods, a copy of registry.k8s.io/echoserver (kubeconfig).",
            show_default=False,
        ),
    ] = "",
    timeout: options.Timeout = 120.0,
    output: Annotated[Form, typer.Option("-o", "--output", help="Form of the report.")] = Form.TABLE,
    output_file: options.OutputFile = None,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Compare an ingress controller with recordings of a real ingress-nginx, request by request."""
    from labctl.report.conformance import render_conformance
    from labctl.workflows.conformance import ConformanceOptions, run_conformance

    check_output_file(output_file)
    wanted = ConformanceOptions(
        corpus,
        target,
        tuple(only or ()),
        ingress_class,
        echo_image,
        timeout,
        http,
        https,
    )
    with session(None, quiet=quiet, no_color=no_color) as s:
        report = run_conformance(wanted, env=s.env, sink=s.sink)
    color = use_color(s.env, no_color) and output_file is None
    emit(s, render_conformance(report, output.value, s.env, color=color), output_file)
    if report.partial:
        return ExitStatus.INTERRUPTED
    return ExitStatus.EXPECTATION if report.failed else ExitStatus.OK
