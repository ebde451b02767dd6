"""`labctl node list | add | remove | ssh | logs`, `labctl upgrade`, `labctl snapshot …`: life after `up` on hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import Session, emit, plain_output, session
from labctl.status import ExitStatus

node_app = typer.Typer(name="node", help="The cluster's nodes, one at a time.", no_args_is_help=True)
snapshot_app = typer.Typer(name="snapshot", help="Snapshots of the cluster's datastore.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A node of cluster.yaml.", metavar="NODE")]
NoDrain = Annotated[bool, typer.Option("--no-drain", help="Do not move the pods away first.")]


@node_app.command("list")
def node_list(
    file: options.File = None,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """List the nodes as the API reports them."""
    from labctl.report.values import nodes_text

    with session(file, no_color=no_color) as s:
        cluster = s.provider.find()
    emit(s, nodes_text(cluster.nodes, plain_output(output).value), None)
    return ExitStatus.OK


@node_app.command("add")
def node_add(
    name: Name,
    file: options.File = None,
    artifacts: options.Artifacts = None,
    node_downloads: options.NodeDownloads = False,
    timeout: options.Timeout = 120.0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Bring one node of cluster.yaml into the cluster."""
    from labctl.workflows.nodes import add_node, ssh_provider

    with session(
        file, quiet=quiet, verbose=verbose, no_color=no_color, artifacts=artifacts, node_downloads=node_downloads
    ) as s:
        add_node(ssh_provider(s.provider), s.inventory, name, s.sink, timeout=timeout)
    return ExitStatus.OK


@node_app.command("remove")
def node_remove(
    name: Name,
    file: options.File = None,
    no_drain: NoDrain = False,
    timeout: options.Timeout = 120.0,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Drain a node, delete it from the cluster, and take k3s off its host."""
    from labctl.workflows.nodes import remove_node, ssh_provider

    with session(file, quiet=quiet, no_color=no_color) as s:
        provider = ssh_provider(s.provider)
        remove_node(provider, s.inventory, name, s.env, s.sink, draining=not no_drain, timeout=timeout)
    return ExitStatus.OK


@node_app.command("ssh", context_settings={"ignore_unknown_options": True})
def node_ssh(
    name: Name,
    command: Annotated[list[str] | None, typer.Argument(help="A command; none opens a shell.")] = None,
    file: options.File = None,
) -> int:
    """Log in to a node's machine as labctl does, with your own ssh."""
    from labctl.workflows.login import log_in

    with session(file, quiet=True) as s:
        inventory, env = s.inventory, s.env
    return log_in(inventory, env, name, command or [])


@node_app.command("logs")
def node_logs(
    name: Name,
    follow: Annotated[bool, typer.Option("-F", "--follow", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="Lines to begin with.")] = 50,
    file: options.File = None,
) -> int:
    """Show k3s's own log on a node."""
    from labctl.workflows.login import node_log

    with session(file, quiet=True) as s:
        return node_log(s.provider, s.inventory, name, lines, follow, write=lambda text: _write(s, text))


def _write(s: Session, text: str) -> None:
    s.env.stdout.write(text)
    s.env.stdout.flush()


def upgrade(
    version: Annotated[
        str, typer.Option("--version", help="Release, for example v1.31.4+k3s1.", show_default=False)
    ] = "",
    file: options.File = None,
    artifacts: options.Artifacts = None,
    node_downloads: options.NodeDownloads = False,
    no_drain: NoDrain = False,
    timeout: options.Timeout = 180.0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Replace k3s by another release: servers one by one, then the agents."""
    from labctl.report.values import cluster_text
    from labctl.workflows.nodes import ssh_provider
    from labctl.workflows.upgrade import upgrade as perform

    with session(
        file,
        quiet=quiet,
        verbose=verbose,
        no_color=no_color,
        artifacts=artifacts,
        node_downloads=node_downloads,
        k3s_version=version,
    ) as s:
        provider = ssh_provider(s.provider)
        cluster = perform(provider, s.inventory, s.env, s.sink, draining=not no_drain, timeout=timeout)
    emit(s, cluster_text(cluster, "table"), None)
    return ExitStatus.OK


@snapshot_app.command("save")
def snapshot_save(
    name: Annotated[str, typer.Argument(help="Its name; the time when left out.")] = "",
    file: options.File = None,
    timeout: options.Timeout = 120.0,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Save a snapshot on the first server."""
    from labctl.report.values import snapshots_text
    from labctl.workflows.nodes import ssh_provider
    from labctl.workflows.snapshots import save_snapshot

    with session(file, quiet=quiet, no_color=no_color) as s:
        made = save_snapshot(ssh_provider(s.provider), s.inventory, s.env, s.sink, name, timeout=timeout)
    emit(s, snapshots_text([made], "table"), None)
    return ExitStatus.OK


@snapshot_app.command("list")
def snapshot_list(
    file: options.File = None,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """List the snapshots on every server."""
    from labctl.report.values import snapshots_text
    from labctl.workflows.nodes import ssh_provider
    from labctl.workflows.snapshots import list_snapshots

    with session(file, quiet=True, no_color=no_color) as s:
        found = list_snapshots(ssh_provider(s.provider), s.inventory, s.sink)
    emit(s, snapshots_text(found, plain_output(output).value), None)
    return ExitStatus.OK


@snapshot_app.command("restore")
def snapshot_restore(
    name: Annotated[str, typer.Argument(help="The snapshot's name, as `list` shows it.")],
    file: options.File = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout: options.Timeout = 180.0,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Put the cluster's state back to a snapshot; what was made since is lost."""
    from labctl.errors import UsageError
    from labctl.workflows.nodes import ssh_provider
    from labctl.workflows.snapshots import restore_snapshot

    with session(file, quiet=quiet, no_color=no_color) as s:
        provider = ssh_provider(s.provider)
        if not yes:
            raise UsageError(
                f"restoring {name} loses everything made since, and stops the API for a while", hint="--yes does it"
            )
        restore_snapshot(provider, s.inventory, s.env, s.sink, name, timeout=timeout)
    return ExitStatus.OK
