"""`labctl ingress …`: the ingress controller installed, changed, removed, looked into."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import ingress_routes, options
from labctl.cli.session import Session, emit, plain_output, session
from labctl.status import ExitStatus

if TYPE_CHECKING:
    from labctl.workflows.ingress import IngressOptions

ingress_app = typer.Typer(
    name="ingress",
    help="Install ingress-nginx with Helm values, change it, and look inside it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Method(StrEnum):
    """Ways to install."""

    AUTO = "auto"
    HELM = "helm"
    MANIFESTS = "manifests"


class Controllers(StrEnum):
    """Controllers that can be installed."""

    NGINX = "ingress-nginx"
    TRAEFIK = "traefik"


Values = Annotated[
    list[Path] | None,
    typer.Option("--values", help="A file with Helm values, over cluster.yaml's (repeatable).", show_default=False),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One value, as Helm reads it (repeatable).", show_default=False),
]
Strings = Annotated[
    list[str] | None,
    typer.Option("--set-string", metavar="KEY=VALUE", help="The same, always text (repeatable).", show_default=False),
]
Via = Annotated[
    Method,
    typer.Option("--via", help="helm: a real release. manifests: labctl renders the same objects, without Helm."),
]
Chart = Annotated[
    Path | None,
    typer.Option("--chart", help="The chart as a folder or .tgz, for Helm without the internet.", show_default=False),
]
Version = Annotated[
    str, typer.Option("--version", help="Version of the chart (default: cluster.yaml's).", show_default=False)
]
ControllerOption = Annotated[Controllers, typer.Option("--controller", help="Which controller.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Replace what was installed or changed by hand.")]


@ingress_app.command("install")
def install(
    file: options.File = None,
    values: Values = None,
    sets: Sets = None,
    strings: Strings = None,
    via: Via = Method.AUTO,
    chart: Chart = None,
    version: Version = "",
    controller: ControllerOption = Controllers.NGINX,
    yes: Yes = False,
    timeout: options.Timeout = 120.0,
    dry_run: options.DryRun = False,
    output: options.OutputFormat = options.Output.TABLE,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Install the ingress controller, and wait until it runs. --dry-run shows what would change."""
    wanted = _options(values, sets, strings, via, chart, version, controller, yes, timeout)
    with session(file, quiet=quiet, verbose=verbose, no_color=no_color) as s:
        return _apply(s, wanted, dry_run=dry_run, output=output, upgrade=False)


@ingress_app.command("upgrade")
def upgrade(
    file: options.File = None,
    values: Values = None,
    sets: Sets = None,
    strings: Strings = None,
    via: Via = Method.AUTO,
    chart: Chart = None,
    version: Version = "",
    controller: ControllerOption = Controllers.NGINX,
    yes: Yes = False,
    timeout: options.Timeout = 120.0,
    dry_run: options.DryRun = False,
    output: options.OutputFormat = options.Output.TABLE,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Change the installed controller to these values, and wait until it runs.

    The values are the study's, cluster.yaml's and the flags' of this call; those of earlier calls do not stay.
    """
    wanted = _options(values, sets, strings, via, chart, version, controller, yes, timeout)
    with session(file, quiet=quiet, verbose=verbose, no_color=no_color) as s:
        return _apply(s, wanted, dry_run=dry_run, output=output, upgrade=True)


@ingress_app.command("uninstall")
def uninstall(
    file: options.File = None,
    controller: ControllerOption = Controllers.NGINX,
    yes: Yes = False,
    timeout: options.Timeout = 60.0,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Remove the controller; its namespace stays."""
    from labctl.workflows.ingress import uninstall_ingress

    wanted = _options(None, None, None, Method.AUTO, None, "", controller, yes, timeout)
    with session(file, quiet=quiet, no_color=no_color) as s:
        uninstall_ingress(s.provider.find(), s.inventory, wanted, env=s.env, sink=s.sink)
    return ExitStatus.OK


@ingress_app.command("status")
def status(
    file: options.File = None,
    controller: ControllerOption = Controllers.NGINX,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """Show the controller: version, replicas, leader, addresses, reloads, classes, and where cluster.yaml differs."""
    from labctl.ingress.controllers import ControllerName
    from labctl.report.ingress import ingress_status_text
    from labctl.workflows.ingress_status import ingress_status, status_document

    with session(file, quiet=True, no_color=no_color) as s:
        found = ingress_status(s.provider.find(), s.inventory, ControllerName(controller.value))
    emit(s, ingress_status_text(status_document(found), plain_output(output)), None)
    return ExitStatus.OK if found.is_well else ExitStatus.UNREACHABLE


@ingress_app.command("values")
def show_values(
    file: options.File = None,
    values: Values = None,
    sets: Sets = None,
    strings: Strings = None,
    via: Via = Method.AUTO,
    chart: Chart = None,
    version: Version = "",
    controller: ControllerOption = Controllers.NGINX,
    every: Annotated[bool, typer.Option("--all", help="The chart's own values too.")] = False,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """Show the values that `install` would use, and where each comes from; no cluster is needed."""
    from labctl.report.ingress import values_text
    from labctl.workflows.ingress_values import ingress_values

    wanted = _options(values, sets, strings, via, chart, version, controller, False, 60.0)
    with session(file, quiet=True, no_color=no_color) as s:
        found, rows = ingress_values(s.inventory, wanted, every=every, env=s.env, sink=s.sink)
    emit(s, values_text(found, rows, plain_output(output)), None)
    return ExitStatus.OK


@ingress_app.command("logs")
def logs(
    file: options.File = None,
    pod: Annotated[str, typer.Option("--pod", help="Which pod (default: the leader).", show_default=False)] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the log grows, until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="The last lines only.", show_default=False)] = None,
    previous: Annotated[bool, typer.Option("--previous", help="The log of the container before this one.")] = False,
    controller: ControllerOption = Controllers.NGINX,
) -> int:
    """Print the controller's log, private keys masked. With `--set controller.extraArgs.v=3` it shows endpoints."""
    from labctl.ingress.controllers import CONTROLLERS, ControllerName
    from labctl.kube.logs import LogOptions
    from labctl.workflows.ingress_status import controller_log

    wanted = LogOptions(tail=tail, previous=previous)
    with session(file, quiet=True) as s:
        found = CONTROLLERS[ControllerName(controller.value)]
        for line in controller_log(s.provider.find(), s.inventory, found, wanted, pod=pod, follow=follow):
            s.env.stdout.write(f"{line}\n")
            s.env.stdout.flush()
    return ExitStatus.OK


ingress_app.command("routes")(ingress_routes.routes)
ingress_app.command("conf")(ingress_routes.conf)


def _options(
    values: Values,
    sets: Sets,
    strings: Strings,
    via: Method,
    chart: Chart,
    version: str,
    controller: Controllers,
    yes: bool,
    timeout: float,
) -> IngressOptions:
    from labctl.ingress.controllers import ControllerName
    from labctl.ingress.install import ValueFlags
    from labctl.ingress.installed import Via as ViaName
    from labctl.workflows.ingress import IngressOptions

    return IngressOptions(
        flags=ValueFlags(tuple(values or ()), tuple(sets or ()), tuple(strings or ())),
        via=ViaName(via.value),
        chart=chart,
        version=version,
        controller=ControllerName(controller.value),
        yes=yes,
        timeout=timeout,
    )


def _apply(s: Session, wanted: IngressOptions, *, dry_run: bool, output: options.Output, upgrade: bool) -> int:
    from labctl.report.ingress import changes_text
    from labctl.workflows.ingress import install_ingress, preview_ingress

    cluster = s.provider.find()
    if not dry_run:
        install_ingress(cluster, s.inventory, wanted, env=s.env, sink=s.sink, upgrade=upgrade)
        return ExitStatus.OK
    plan = preview_ingress(cluster, s.inventory, wanted, env=s.env, sink=s.sink)
    title = f"{plan.controller.name} (chart {plan.version}) via {plan.way.via}: {plan.why}"
    changes = [(change.change.value, change.name, change.lines) for change in plan.changes]
    emit(s, changes_text(title, changes, plain_output(output)), None)
    return ExitStatus.OK
