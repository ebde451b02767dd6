from __future__ import annotations

from io import StringIO

from labctl.events import CheckDone, Level, Notice, StepDone, StepFailed, StepProgress, StepStarted
from labctl.report.live import PlainSink
from tests.unit.report.reports import CANARY, FAILED


def lines(verbose: bool) -> list[str]:
    stream = StringIO()
    sink = PlainSink(stream, verbose=verbose)
    for event in (
        StepStarted("a", "Apply", "canary"),
        StepProgress("a", 1, 2, "Service x"),
        StepDone("a", "2 objects"),
        StepStarted("b", "Again"),
        StepDone("b", "nothing to do", changed=False),
        StepStarted("c", "Broken"),
        StepFailed("c", "why"),
        Notice("mind this", Level.WARNING, "do that"),
        CheckDone("c1", "canary", CANARY),
        CheckDone("c2", "path", FAILED),
    ):
        sink(event)
    return stream.getvalue().splitlines()


def test_a_pipe_gets_one_line_per_finished_thing() -> None:
    assert lines(verbose=False) == [
        "✔ canary: Apply: 2 objects",
        "= Again: nothing to do",
        "✘ Broken: why",
        "warning: mind this (do that)",
        "✔ canary/weight-10: 1000 requests at weight 10",
        '✘ path/admin: status 503 for 7 of 197 answers & "more" <here>',
    ]


def test_verbose_also_shows_beginnings_and_progress() -> None:
    shown = lines(verbose=True)
    assert shown[:2] == ["… canary: Apply", "  canary: Apply 1/2 Service x"]
