"""`labctl list | show | run | verify | clean`."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.arguments import LabNames, RunArguments, VerifyArguments, command_of
from labctl.cli.session import Session, check_output_file, emit, lab_folders, load_labs, plain_output, session
from labctl.cli.watch import keep_watching
from labctl.events import EventSink
from labctl.model.report import Report, Result
from labctl.status import ExitStatus

_EXIT = {
    Result.PASSED: ExitStatus.OK,
    Result.SKIPPED: ExitStatus.OK,
    Result.FAILED: ExitStatus.EXPECTATION,
    Result.ERROR: ExitStatus.UNREACHABLE,
}


def list_labs(
    labs: options.Labs = None,
    output: options.OutputFormat = options.Output.TABLE,
    no_color: options.NoColor = False,
) -> int:
    """List the labs, with what each one teaches."""
    from labctl.report.values import labs_text

    with session(None, no_color=no_color) as s:
        emit(s, labs_text(load_labs(s.env, [], labs, all_labs=True, broken=s.sink), plain_output(output)), None)
    return ExitStatus.OK


def show(
    lab: Annotated[str, typer.Argument(help="Name of the lab.")],
    file: options.File = None,
    labs: options.Labs = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of the guide: en or ko (default: the locale's).")] = "",
    no_color: options.NoColor = False,
) -> int:
    """Show a lab's guide: what to look at, the commands by hand, and what happens in the network.

    The packet's way is drawn for the cluster that is up, else for the nodes of cluster.yaml.
    """
    from labctl.lab.guide import guide_text
    from labctl.report.values import guide_view
    from labctl.workflows.way import packets_way

    with session(file, quiet=True, no_color=no_color) as s:
        (found,) = load_labs(s.env, [lab], labs, all_labs=False)
        language = lang or s.env.environ.get("LC_ALL") or s.env.environ.get("LANG") or "en"
        way = packets_way(found, s.provider, s.inventory, s.env)
        emit(s, guide_view(guide_text(found.directory, language) + way, s.env, color=not no_color), None)
    return ExitStatus.OK


def _run(given: RunArguments) -> int:
    """Perform labs: apply the manifests, send the requests, show who answered, judge it, and clean up.

    With the embedded provider and no cluster up, it is started first.
    """
    from labctl.workflows.run import run_labs

    check_output_file(given.output_file)
    with session(given.file, quiet=given.quiet, verbose=given.verbose, no_color=given.no_color) as s:
        chosen = load_labs(s.env, given.names or [], given.labs, all_labs=given.all_labs)
        wanted = given.lab_options(keep=given.keep)
        report = run_labs(chosen, s.provider, s.inventory, env=s.env, sink=s.sink, options=wanted)
    return finish(s, report, given.output, given.output_file, given.no_color)


def _verify(given: VerifyArguments) -> int:
    """Check labs as they stand on the cluster; nothing is changed. Without names: those that are applied."""
    from labctl.workflows.verify import verify_labs

    check_output_file(given.output_file)
    with session(given.file, quiet=given.quiet, verbose=given.verbose, no_color=given.no_color) as s:
        only_applied = not given.names and not given.all_labs
        broken = s.sink if only_applied else None
        every = given.all_labs or only_applied
        chosen = load_labs(s.env, given.names or [], given.labs, all_labs=every, broken=broken)

        def check(sink: EventSink) -> Report:
            return verify_labs(
                chosen,
                s.provider,
                s.inventory,
                env=s.env,
                sink=sink,
                options=given.lab_options(),
                only_applied=only_applied,
            )

        if not given.watch:
            report = check(s.sink)
    if given.watch:
        return keep_watching(
            s, check, given.output, given.output_file, interval=given.interval, no_color=given.no_color
        )
    return finish(s, report, given.output, given.output_file, given.no_color)


run = command_of(RunArguments, _run)
verify = command_of(VerifyArguments, _verify)


def clean(
    names: LabNames = None,
    all_labs: options.All = False,
    file: options.File = None,
    labs: options.Labs = None,
    timeout: options.Timeout = 60.0,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> int:
    """Remove what labs have applied."""
    from labctl.lab.catalogue import lab_directory
    from labctl.workflows.clean import clean_labs

    with session(file, quiet=quiet, no_color=no_color) as s:
        found = lab_folders(s.env, names or [], labs, all_labs=all_labs)
        chosen = list(found) if all_labs else [lab_directory(found, name).name for name in names or []]
        clean_labs(chosen, s.provider, env=s.env, sink=s.sink, timeout=timeout, dry_run=dry_run)
    return ExitStatus.OK


def finish(s: Session, report: Report, output: options.Output, output_file: options.OutputFile, no_color: bool) -> int:
    """Write the report, and turn it into an exit status."""
    from labctl.report.write import write_report

    write_report(report, output.value, output_file, s.env, color=not no_color)
    return ExitStatus.INTERRUPTED if report.partial else _EXIT[report.result]
