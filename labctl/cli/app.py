"""The command line's table of contents."""

from __future__ import annotations

from collections.abc import Callable

import typer

from labctl.cli import cluster, compare, conformance, explain, files, ingress, labs, node, own_labs, probe

app = typer.Typer(
    name="labctl",
    help="Build a k3s + ingress-nginx lab cluster, run the routing labs, and see which pod answered.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS: dict[str, dict[str, Callable[..., int]]] = {
    "Cluster": {
        "up": cluster.up,
        "status": cluster.status,
        "down": cluster.down,
        "doctor": cluster.doctor,
        "upgrade": node.upgrade,
    },
    "Labs": {
        "list": labs.list_labs,
        "show": labs.show,
        "run": labs.run,
        "verify": labs.verify,
        "clean": labs.clean,
        "probe": probe.probe,
        "compare": compare.compare,
    },
    "Ingress": {"explain": explain.explain, "conformance": conformance.conformance},
    "Files and facts": {
        "init": files.init,
        "kubeconfig": files.kubeconfig,
        "hosts": files.hosts,
        "version": files.version,
    },
}

for panel, commands in _PANELS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(own_labs.lab_app, name="lab", rich_help_panel="Labs")
app.add_typer(ingress.ingress_app, rich_help_panel="Ingress")
app.add_typer(node.node_app, rich_help_panel="Cluster")
app.add_typer(node.snapshot_app, rich_help_panel="Cluster")
