"""`labctl init | kubeconfig | hosts | version`: files and facts for other programs."""

from __future__ import annotations

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
) -> int:
    """Write a commented cluster.yaml to start from."""
    from labctl.config.template import cluster_yaml

    if path.exists() and not force:
        raise UsageError(f"{path} exists already", hint="--force replaces it")
    path.write_text(cluster_yaml(provider, name=name), encoding="utf-8")
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
