"""`labctl ingress …`: the ingress-nginx controller."""

from __future__ import annotations

import typer

from labctl.cli import ingress_routes

ingress_app = typer.Typer(name="ingress", help="The ingress-nginx controller.", no_args_is_help=True)
ingress_app.command("routes")(ingress_routes.routes)
ingress_app.command("conf")(ingress_routes.conf)
