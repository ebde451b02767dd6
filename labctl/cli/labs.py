"""`labctl list | show | run | verify | clean`."""

from __future__ import annotations

from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import Session, check_output_file, emit, load_labs, plain_output, session
from labctl.model.report import Report, Result
from labctl.status import ExitStatus

LabNames = Annotated[list[str] | None, typer.Argument(metavar="[LAB]...", help="Names of labs.", show_default=False)]

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

    with session(None, quiet=True, no_color=no_color) as s:
        emit(s, labs_text(load_labs(s.env, [], labs, all_labs=True), plain_output(output)), None)
    return ExitStatus.OK


def show(
    lab: Annotated[str, typer.Argument(help="Name of the lab.")],
    labs: options.Labs = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of the guide: en or ko (default: the locale's).")] = "",
    no_color: options.NoColor = False,
) -> int:
    """Show a lab's guide: what to look at, the commands by hand, and what happens in the network."""
    from labctl.lab.guide import guide_text
    from labctl.report.values import guide_view

    with session(None, quiet=True, no_color=no_color) as s:
        (found,) = load_labs(s.env, [lab], labs, all_labs=False)
        language = lang or s.env.environ.get("LC_ALL") or s.env.environ.get("LANG") or "en"
        emit(s, guide_view(guide_text(found.directory, language), s.env, color=not no_color), None)
    return ExitStatus.OK


def run(
    names: LabNames = None,
    all_labs: options.All = False,
    file: options.File = None,
    labs: options.Labs = None,
    requests: options.Count = None,
    concurrency: options.Concurrency = None,
    confidence: options.Confidence = 0.999,
    ingress_class: options.IngressClass = None,
    timeout: options.Timeout = 60.0,
    output: options.OutputFormat = options.Output.TABLE,
    output_file: options.OutputFile = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Perform labs: apply the manifests, send the requests, show who answered, and judge it.

    With the embedded provider and no cluster up, it is started first.
    """
    from labctl.workflows.labs import LabOptions
    from labctl.workflows.run import run_labs

    check_output_file(output_file)
    with session(file, quiet=quiet, verbose=verbose, no_color=no_color) as s:
        chosen = load_labs(s.env, names or [], labs, all_labs=all_labs)
        wanted = LabOptions(requests, concurrency, confidence, ingress_class, timeout)
        report = run_labs(chosen, s.provider, s.inventory, env=s.env, sink=s.sink, options=wanted)
    return finish(s, report, output, output_file, no_color)


def verify(
    names: LabNames = None,
    all_labs: options.All = False,
    file: options.File = None,
    labs: options.Labs = None,
    requests: options.Count = None,
    concurrency: options.Concurrency = None,
    confidence: options.Confidence = 0.999,
    ingress_class: options.IngressClass = None,
    timeout: options.Timeout = 60.0,
    output: options.OutputFormat = options.Output.TABLE,
    output_file: options.OutputFile = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> int:
    """Check labs as they stand on the cluster; nothing is changed. Without names: those that are applied."""
    from labctl.workflows.labs import LabOptions
    from labctl.workflows.verify import verify_labs

    check_output_file(output_file)
    with session(file, quiet=quiet, verbose=verbose, no_color=no_color) as s:
        chosen = load_labs(s.env, names or [], labs, all_labs=all_labs or not names)
        wanted = LabOptions(requests, concurrency, confidence, ingress_class, timeout)
        only_applied = not names and not all_labs
        report = verify_labs(chosen, s.provider, env=s.env, sink=s.sink, options=wanted, only_applied=only_applied)
    return finish(s, report, output, output_file, no_color)


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
    from labctl.workflows.clean import clean_labs

    with session(file, quiet=quiet, no_color=no_color) as s:
        chosen = load_labs(s.env, names or [], labs, all_labs=all_labs)
        clean_labs(chosen, s.provider, env=s.env, sink=s.sink, timeout=timeout, dry_run=dry_run)
    return ExitStatus.OK


def finish(s: Session, report: Report, output: options.Output, output_file: options.OutputFile, no_color: bool) -> int:
    """Write the report, and turn it into an exit status."""
    from labctl.report.write import write_report

    write_report(report, output.value, output_file, s.env, color=not no_color)
    return ExitStatus.INTERRUPTED if report.partial else _EXIT[report.result]
