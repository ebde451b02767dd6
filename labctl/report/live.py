"""Events as they come: a live view on a terminal, plain lines in a pipe. Always on stderr."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from labctl.env import Env
from labctl.events import (
    CheckDone,
    Event,
    EventSink,
    LabDone,
    Level,
    Notice,
    StepDone,
    StepFailed,
    StepProgress,
    StepStarted,
)
from labctl.model.report import Report
from labctl.report.marks import MARKS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


@contextmanager
def event_sink(env: Env, *, quiet: bool, verbose: bool, color: bool) -> Iterator[EventSink]:
    """The sink that fits stderr; closed at the end."""
    if quiet:
        yield _ignore
    elif env.stderr.isatty():
        from rich.console import Console

        console = Console(file=env.stderr, no_color=not color, highlight=False)
        with console.status("") as status:
            yield LiveSink(console, status, verbose=verbose)
    else:
        yield PlainSink(env.stderr, verbose=verbose)


def _ignore(event: Event) -> None:
    """Quiet: events go nowhere."""


@dataclass(slots=True)
class PlainSink:
    """One line per finished thing; nothing moves. Safe to call from several threads."""

    stream: TextIO
    verbose: bool = False
    titles: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Write the event's line, if it has one."""
        with self.lock:
            line = self._line(event)
            if line:
                self.stream.write(line + "\n")
                self.stream.flush()

    def _line(self, event: Event) -> str:
        if isinstance(event, StepStarted):
            self.titles[event.id] = f"{event.group}: {event.title}" if event.group else event.title
            return f"… {self.titles[event.id]}" if self.verbose else ""
        if isinstance(event, StepProgress) and not self.verbose:
            return ""
        return event_line(event, self.titles)


def event_line(event: Event, titles: dict[str, str]) -> str:
    """An event in one line of plain text; empty for those that only move a live view."""
    match event:
        case StepProgress():
            count = f" {event.done}/{event.total}" if event.total else ""
            return f"  {titles.get(event.id, event.id)}{count} {event.note}".rstrip()
        case StepDone():
            sign = "✔" if event.changed else "="
            return f"{sign} {titles.get(event.id, event.id)}" + (f": {event.note}" if event.note else "")
        case StepFailed():
            return f"✘ {titles.get(event.id, event.id)}: {event.reason}"
        case Notice():
            word = "warning: " if event.level is Level.WARNING else ""
            return f"{word}{event.text}" + (f" ({event.hint})" if event.hint else "")
        case CheckDone():
            check = event.check
            words = check.verdict.reason if check.verdict and not check.verdict.passed else check.title
            return f"{MARKS[check.result]} {event.lab}/{check.name}" + (f": {words}" if words else "")
        case LabDone():
            report = event.report
            return f"{MARKS[report.result]} {report.name}: {report.reason}" if report.reason else ""
        case _:
            return ""


@dataclass(slots=True)
class LiveSink:
    """What is done stays above; what is being done turns below."""

    console: Console
    status: Status
    verbose: bool = False
    titles: dict[str, str] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        """Update the view."""
        with self.lock:
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case StepStarted():
                self.titles[event.id] = f"{event.group}: {event.title}" if event.group else event.title
                self.running[event.id] = ""
            case StepProgress():
                count = f" {event.done}/{event.total}" if event.total else ""
                self.running[event.id] = f"{count} {event.note}".rstrip()
            case StepDone() | StepFailed() | CheckDone():
                self.running.pop(event.id, None)
        if not isinstance(event, StepProgress):
            line = event_line(event, self.titles)
            if line:
                self.console.print(line, style=_style(event), markup=False)
        lines = [f"{self.titles.get(step, step)}{note}" for step, note in self.running.items()]
        self.status.update("\n".join(line[: self.console.width - 4] for line in lines))


def _style(event: Event) -> str:
    match event:
        case StepFailed():
            return "red"
        case Notice(level=Level.WARNING):
            return "yellow"
        case StepDone(changed=False):
            return "dim"
        case _:
            return ""


@contextmanager
def board(env: Env, *, color: bool) -> Iterator[Callable[[Report], None]]:
    """Shows one report after another in the same place of a terminal."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from labctl.report.tables import report_view

    console = Console(file=env.stdout, no_color=not color, highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def show(report: Report) -> None:
            when = f"{env.clock.now().astimezone():%H:%M:%S}  (again on changes; Ctrl-C ends)"
            live.update(Group(Text(when, "dim"), report_view(report, console.width)), refresh=True)

        yield show
