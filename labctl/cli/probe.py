"""`labctl probe URL`: the loop alone, on any URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.labs import finish
from labctl.cli.session import check_output_file, session


def probe(
    url: Annotated[str, typer.Argument(help="Absolute http or https URL.")],
    requests: Annotated[int, typer.Option("-n", "--requests", min=1, help="Requests to send.")] = 100,
    concurrency: Annotated[int, typer.Option("-c", "--concurrency", min=1, help="Most requests in flight.")] = 16,
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", help="Header `Name: value` (repeatable).", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option("-X", "--method", help="HTTP method.")] = "GET",
    data: Annotated[str, typer.Option("-d", "--data", help="Request body.", show_default=False)] = "",
    resolve: Annotated[
        list[str] | None,
        typer.Option("--resolve", help="HOST:PORT:ADDRESS, as curl's (repeatable).", show_default=False),
    ] = None,
    cacert: Annotated[Path | None, typer.Option("--cacert", help="PEM file to trust.", show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("-k", "--insecure", help="Do not verify the certificate.")] = False,
    keep_alive: Annotated[bool, typer.Option("--keep-alive", help="Use connections again.")] = False,
    cookie_jar: Annotated[bool, typer.Option("--cookie-jar", help="Keep cookies between the requests.")] = False,
    by: Annotated[
        str, typer.Option("--by", help="Count by pod, version, status or header:NAME.", metavar="KEY")
    ] = "pod",
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            help="What must hold: 200, round-robin, sticky, random, or KEY=WEIGHT,KEY=WEIGHT (repeatable).",
            show_default=False,
        ),
    ] = None,
    confidence: options.Confidence = 0.999,
    timeout: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds for one request.")] = 10.0,
    output: options.OutputFormat = options.Output.TABLE,
    output_file: options.OutputFile = None,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Send requests and show who answered; no cluster is needed."""
    from labctl.workflows.probe import ProbeOptions, probe_url

    wanted = ProbeOptions(
        url=url,
        requests=requests,
        concurrency=concurrency,
        headers=tuple(header or ()),
        method=method,
        body=data.encode(),
        resolve=tuple(resolve or ()),
        ca_file=cacert,
        insecure=insecure,
        keep_alive=keep_alive,
        cookie_jar=cookie_jar,
        by=by,
        expect=tuple(expect or ()),
        confidence=confidence,
        timeout=timeout,
    )
    check_output_file(output_file)
    with session(None, quiet=quiet, no_color=no_color) as s:
        report = probe_url(wanted, env=s.env, sink=s.sink)
    return finish(s, report, output, output_file, no_color)
