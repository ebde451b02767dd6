"""`labctl probe URL`: the loop alone, on any URL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.labs import finish
from labctl.cli.session import check_output_file, session

_LOAD, _HTTP, _JUDGE, _PLACE = "Load", "Request", "Judgement", "Where from"


def probe(
    url: Annotated[str, typer.Argument(help="Absolute http or https URL.")],
    requests: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--requests",
            min=1,
            help="Requests to send (default: 100).",
            show_default=False,
            rich_help_panel=_LOAD,
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "-c",
            "--concurrency",
            min=1,
            help="Most requests in flight (default: 16; with --rate 512).",
            show_default=False,
            rich_help_panel=_LOAD,
        ),
    ] = None,
    duration: Annotated[
        float,
        typer.Option(
            "-z", "--duration", min=0.0, help="Seconds to send for, instead of a number.", rich_help_panel=_LOAD
        ),
    ] = 0.0,
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            min=0.0,
            help="Requests per second that begin whatever the server does; latency counts from when they were due.",
            rich_help_panel=_LOAD,
        ),
    ] = 0.0,
    ramp: Annotated[
        float,
        typer.Option("--ramp", min=0.0, help="Seconds in which rate or concurrency grows.", rich_help_panel=_LOAD),
    ] = 0.0,
    warm_up: Annotated[
        float, typer.Option("--warm-up", min=0.0, help="Seconds beforehand that do not count.", rich_help_panel=_LOAD)
    ] = 0.0,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=256, help="Sending processes.", rich_help_panel=_LOAD)
    ] = 1,
    users: Annotated[
        int,
        typer.Option(
            "--users",
            min=0,
            help="Simulated users: each has cookies of its own and one request in flight.",
            rich_help_panel=_LOAD,
        ),
    ] = 0,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="WEIGHT=URL",
            help="Another URL; the first has weight 1 (repeatable).",
            show_default=False,
            rich_help_panel=_LOAD,
        ),
    ] = None,
    during: Annotated[
        str,
        typer.Option(
            "--during",
            metavar="COMMAND",
            help="Send while this runs, a second before and after: what was lost, when (100/s unless --rate or -c).",
            show_default=False,
            rich_help_panel=_LOAD,
        ),
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            "-H", "--header", help="Header `Name: value` (repeatable).", show_default=False, rich_help_panel=_HTTP
        ),
    ] = None,
    method: Annotated[str, typer.Option("-X", "--method", help="HTTP method.", rich_help_panel=_HTTP)] = "GET",
    data: Annotated[
        str, typer.Option("-d", "--data", help="Request body.", show_default=False, rich_help_panel=_HTTP)
    ] = "",
    resolve: Annotated[
        list[str] | None,
        typer.Option(
            "--resolve",
            help="HOST:PORT:ADDRESS, as curl's (repeatable).",
            show_default=False,
            rich_help_panel=_HTTP,
        ),
    ] = None,
    cacert: Annotated[
        Path | None, typer.Option("--cacert", help="PEM file to trust.", show_default=False, rich_help_panel=_HTTP)
    ] = None,
    insecure: Annotated[
        bool, typer.Option("-k", "--insecure", help="Do not verify the certificate.", rich_help_panel=_HTTP)
    ] = False,
    keep_alive: Annotated[
        bool, typer.Option("--keep-alive", help="Use connections again.", rich_help_panel=_HTTP)
    ] = False,
    http2: Annotated[bool, typer.Option("--http2", help="Speak HTTP/2.", rich_help_panel=_HTTP)] = False,
    tls_sessions: Annotated[
        bool,
        typer.Option("--tls-sessions", help="New connections resume TLS sessions.", rich_help_panel=_HTTP),
    ] = False,
    cookie_jar: Annotated[
        bool, typer.Option("--cookie-jar", help="Keep cookies between the requests.", rich_help_panel=_HTTP)
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.01, help="Seconds for one request.", rich_help_panel=_HTTP)
    ] = 10.0,
    by: Annotated[
        str,
        typer.Option(
            "--by", help="Count by pod, version, status or header:NAME.", metavar="KEY", rich_help_panel=_JUDGE
        ),
    ] = "pod",
    version_pattern: Annotated[
        list[str] | None,
        typer.Option(
            "--version-pattern",
            metavar="NAME=REGEX",
            help="What tells a version in the body, for --by version (repeatable).",
            show_default=False,
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            help="What must hold: 200, round-robin, sticky, random, or KEY=WEIGHT,KEY=WEIGHT (repeatable).",
            show_default=False,
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    detect: Annotated[
        str,
        typer.Option(
            "--detect",
            metavar="SHARE",
            help="As many requests as it takes to find a share wrong by this much, e.g. 5%.",
            show_default=False,
            rich_help_panel=_JUDGE,
        ),
    ] = "",
    until_sure: Annotated[
        bool,
        typer.Option(
            "--until-sure",
            help="Send until it is decided (to within --detect, 5% by default); -n is the most.",
            rich_help_panel=_JUDGE,
        ),
    ] = False,
    confidence: options.Confidence = 0.999,
    source_address: Annotated[
        str,
        typer.Option(
            "--source-address", help="Local address to send from.", show_default=False, rich_help_panel=_PLACE
        ),
    ] = "",
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Send by curl from pod:NAMESPACE/NAME, node:NAME, or from Jobs on the cluster.",
            show_default=False,
            rich_help_panel=_PLACE,
        ),
    ] = "",
    job_workers: Annotated[
        int, typer.Option("--workers", min=1, max=1000, help="Pods of --from cluster.", rich_help_panel=_PLACE)
    ] = 1,
    image: Annotated[
        str, typer.Option("--image", help="Image with sh and curl, for --from cluster.", rich_help_panel=_PLACE)
    ] = "docker.io/curlimages/curl:8.10.1",
    file: options.File = None,
    output: options.OutputFormat = options.Output.TABLE,
    output_file: options.OutputFile = None,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Send requests and show who answered; no cluster is needed, unless the requests come from there."""
    from labctl.model.probe import Load
    from labctl.workflows.probe import probe_url
    from labctl.workflows.probeplan import ProbeOptions

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
        versions=tuple(version_pattern or ()),
        expect=tuple(expect or ()),
        confidence=confidence,
        timeout=timeout,
        targets=tuple(target or ()),
        load=Load(rate, duration, ramp, warm_up),
        http2=http2,
        tls_sessions=tls_sessions,
        source_address=source_address,
        users=users,
        processes=processes,
        during=during,
        detect=detect,
        until_sure=until_sure,
        origin=origin,
        workers=job_workers,
    )
    check_output_file(output_file)
    with session(file if origin else None, quiet=quiet, no_color=no_color) as s:
        sender = None
        if origin:
            from labctl.workflows.origin import sender_from

            sender = sender_from(origin, s.provider, s.env, workers=job_workers, image=image)
        report = probe_url(wanted, env=s.env, sink=s.sink, sender=sender)
    return finish(s, report, output, output_file, no_color)
