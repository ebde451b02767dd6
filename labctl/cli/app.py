"""The command line's table of contents."""

from __future__ import annotations

import typer
from typer.exceptions import TyperException

from labctl.cli import cluster, files, labs, probe

app = typer.Typer(
    name="labctl",
    help="Build a k3s + ingress-nginx lab cluster, run the routing labs, and see which pod answered.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (cluster.up, cluster.status, cluster.down, cluster.doctor):
    app.command(rich_help_panel="Cluster")(command)
app.command("list", rich_help_panel="Labs")(labs.list_labs)
for command in (labs.show, labs.run, labs.verify, labs.clean):
    app.command(rich_help_panel="Labs")(command)
app.command(rich_help_panel="Labs")(probe.probe)
for command in (files.init, files.kubeconfig, files.hosts, files.version):
    app.command(rich_help_panel="Files and facts")(command)


def usage_errors() -> type[Exception]:
    """What Typer raises for a command line that it cannot parse."""
    return TyperException
