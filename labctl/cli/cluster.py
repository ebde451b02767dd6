"""`labctl up | status | down | doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import emit, plain_output, session
from labctl.status import ExitStatus


def up(
    file: options.File = None,
    artifacts: options.Artifacts = None,
    node_downloads: options.NodeDownloads = False,
    timeout: options.Timeout = 120.0,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Bring the cluster up, with ingress-nginx. A second `up` changes nothing and says so."""
    from labctl.report.values import cluster_text
    from labctl.workflows.up import bring_up, plan_up

    with session(
        file, quiet=quiet, verbose=verbose, no_color=no_color, artifacts=artifacts, node_downloads=node_downloads
    ) as s:
        if dry_run:
            emit(s, "\n".join(plan_up(s.inventory, s.provider, s.sink)) + "\n", None)
            return ExitStatus.OK
        cluster = bring_up(s.provider, s.inventory, env=s.env, sink=s.sink, timeout=timeout)
    emit(s, cluster_text(cluster, "table"), None)
    return ExitStatus.OK


def status(
    file: options.File = None,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """Show the cluster: version, nodes, where ingress answers, and what limits it."""
    from labctl.report.values import cluster_text
    from labctl.workflows.status import cluster_status

    with session(file, no_color=no_color) as s:
        found = cluster_status(s.provider, s.inventory)
    emit(s, cluster_text(found.cluster, plain_output(output), found.warnings, found.hosts), None)
    return ExitStatus.OK


def down(
    file: options.File = None,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Stop it, but keep its objects.")] = False,
    timeout: options.Timeout = 30.0,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Stop the cluster and remove what `up` made."""
    with session(file, quiet=quiet, no_color=no_color) as s:
        s.provider.down(s.sink, timeout=timeout, keep_data=keep_data)
    return ExitStatus.OK


def doctor(
    file: options.File = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend on the hosts what is safe to mend, then look again.")
    ] = False,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """Check what the cluster needs on this machine, each with its evidence and what mends it."""
    from labctl.report.values import findings_text
    from labctl.workflows.doctor import examine, healthy, mend

    with session(file, no_color=no_color) as s:
        findings = examine(s.inventory, s.env, s.sink)
        if fix and mend(findings, s.inventory, s.env, s.sink):
            findings = examine(s.inventory, s.env, s.sink)
    emit(s, findings_text(findings, plain_output(output)), None)
    return ExitStatus.OK if healthy(findings) else ExitStatus.UNREACHABLE
