"""`labctl init | kubeconfig | hosts | version`: files and facts for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import emit, session
from labctl.errors import UsageError
from labctl.model.inventory import Provider
from labctl.status import ExitStatus


def init(
    provider: Annotated[Provider, typer.Option("--provider", help="Where the cluster comes from.")] = Provider.EMBEDDED,
    name: Annotated[str, typer.Option("--name", help="The cluster's name.")] = "study",
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("cluster.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    server: Annotated[
        list[str] | None,
        typer.Option("--server", help="A server, NAME=ADDRESS (repeatable; provider ssh).", show_default=False),
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", help="An agent, NAME=ADDRESS (repeatable).", show_default=False)
    ] = None,
    ssh_config: Annotated[
        Path | None,
        typer.Option(
            "--ssh-config",
            help="Take hosts and how they are reached from this ssh_config; `-` reads standard input "
            "(vagrant ssh-config | labctl init --ssh-config -).",
            show_default=False,
        ),
    ] = None,
    user: Annotated[str, typer.Option("--user", help="Login name (provider ssh).")] = "ubuntu",
) -> int:
    """Write a commented cluster.yaml to start from."""
    from labctl.config.positions import read_text
    from labctl.config.template import cluster_yaml
    from labctl.workflows.init import from_hosts, hosts_of, nodes_of

    if path.exists() and not force:
        raise UsageError(f"{path} exists already", hint="--force replaces it")
    if server or agent or ssh_config is not None:
        provider = Provider.SSH
    text = ""
    if ssh_config is not None:
        text = sys.stdin.read() if str(ssh_config) == "-" else read_text(ssh_config)
    nodes, node_ssh = from_hosts(nodes_of(server or [], agent or []), hosts_of(text, Path.home()))
    path.write_text(cluster_yaml(provider, name, nodes=nodes, user=user, node_ssh=node_ssh), encoding="utf-8")
    typer.echo(f"wrote {path}; `labctl up` uses it")
    return ExitStatus.OK


def kubeconfig(
    file: options.File = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="Write it to this file (0600) instead of stdout.", show_default=False)
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge it into $KUBECONFIG or ~/.kube/config, and make it current.")
    ] = False,
) -> int:
    """Print the cluster's kubeconfig, or write or merge it."""
    from labctl.workflows.kubeconfig import kubeconfig_text, merge_kubeconfig, write_kubeconfig

    with session(file, quiet=True) as s:
        cluster = s.provider.find()
        if merge:
            target, context = merge_kubeconfig(cluster, s.env)
            typer.echo(f"merged into {target}; the current context is {context}")
        elif write is not None:
            write_kubeconfig(cluster, write)
            typer.echo(f"wrote {write}")
        else:
            emit(s, kubeconfig_text(cluster), None)
    return ExitStatus.OK


def hosts(file: options.File = None, labs: options.Labs = None) -> int:
    """Print /etc/hosts lines for the labs' host names (for a browser; labctl itself does not need them)."""
    from labctl.cli.session import load_labs
    from labctl.workflows.hosts import hosts_lines

    with session(file, quiet=True) as s:
        cluster = s.provider.find()
        emit(s, hosts_lines(cluster, load_labs(s.env, [], labs, all_labs=True)), None)
    return ExitStatus.OK


def version() -> int:
    """Print labctl's version."""
    from labctl import __version__

    typer.echo(f"labctl {__version__}")
    return ExitStatus.OK
