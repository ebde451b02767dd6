"""`verify --watch`: one report after another, in place on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labctl.cli.options import Output
from labctl.cli.session import Session
from labctl.events import Event, EventSink
from labctl.model.report import Report, Result
from labctl.status import ExitStatus


def keep_watching(
    s: Session,
    check: Callable[[EventSink], Report],
    output: Output,
    output_file: Path | None,
    *,
    interval: float,
    no_color: bool,
) -> int:
    """Show reports until Ctrl-C, which is how this ends; the exit status is the last whole report's."""
    from labctl.report.live import board
    from labctl.report.write import write_report
    from labctl.workflows.watch import watched

    last = Result.SKIPPED
    reports = watched(lambda: check(_quiet), s.provider, s.env, interval)
    in_place = output is Output.TABLE and output_file is None and s.env.stdout.isatty()
    try:
        if in_place:
            with board(s.env, color=not no_color) as show:
                for report in reports:
                    show(report)
                    last = last if report.partial else report.result
        else:
            for report in reports:
                write_report(report, output.value, output_file, s.env, color=not no_color)
                last = last if report.partial else report.result
    except KeyboardInterrupt:
        pass
    if last is Result.ERROR:
        return ExitStatus.UNREACHABLE
    return ExitStatus.EXPECTATION if last is Result.FAILED else ExitStatus.OK


def _quiet(event: Event) -> None:
    """The reports say everything: events go nowhere."""
