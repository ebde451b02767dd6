"""`labctl ingress routes | conf`: the routing table, and the file behind it."""

from __future__ import annotations

from labctl.cli import options
from labctl.cli.session import emit, plain_output, session, use_color
from labctl.status import ExitStatus


def routes(
    file: options.File = None,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """List every host and path with the Ingress that wrote it, its backend and its canaries."""
    from labctl.report.routing import routes_text
    from labctl.workflows.routing import routing_table

    form = plain_output(output)
    with session(file, no_color=no_color) as s:
        table, facts = routing_table(s.provider.find())
    emit(s, routes_text(table, facts, form.value, s.env, color=use_color(s.env, no_color)), None)
    return ExitStatus.OK


def conf(file: options.File = None, output_file: options.OutputFile = None) -> int:
    """Print the controller's nginx.conf."""
    from labctl.cli.session import check_output_file
    from labctl.workflows.routing import nginx_conf

    check_output_file(output_file)
    with session(file) as s:
        text = nginx_conf(s.provider.find())
    emit(s, text, output_file)
    return ExitStatus.OK
