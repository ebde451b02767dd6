"""What the controller tells: its log, and events in the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.controllers.recorder import EventRecorder, reference
from labctl.embedded.controllers.wanted import Note
from labctl.embedded.ingress.log import LogLine, klog_line, quote

COMPONENT = "nginx-ingress-controller"
_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_GO_NAMES = ("Kind", "Namespace", "Name", "UID", "APIVersion", "ResourceVersion", "FieldPath")


class Journal:
    """Writes log lines at once, and events a moment later: an event may be due while a change is being delivered.

    Args:
        output: Gets the log, line by line.
        clientset: Where events go.
        verbosity: `--v`.
    """

    def __init__(self, output: Callable[[str], None], clientset: Clientset, verbosity: int) -> None:
        self._output = output
        self._recorder = EventRecorder(clientset)
        self._verbosity = verbosity
        self._events: list[tuple[Obj, Note]] = []

    def log(self, line: LogLine) -> None:
        """Write a line, if `--v` is high enough for it."""
        if line.verbosity <= self._verbosity:
            for text in klog_line(line, datetime.now(UTC)).split("\n"):
                self._output(text)

    def log_all(self, lines: Iterable[LogLine]) -> None:
        """Write several lines."""
        for line in lines:
            self.log(line)

    def event(self, about: Obj, reason: str, message: str, kind: str = "Normal") -> None:
        """Record an event, and log it as client-go's broadcaster does."""
        found = reference(about)
        shown = ", ".join(
            f"{go}:{quote(str(found.get(name, '')))}" for go, name in zip(_GO_NAMES, _FIELDS, strict=True)
        )
        text = f"Event(v1.ObjectReference{{{shown}}}): type: '{kind}' reason: '{reason}' {message}"
        self.log(LogLine("I", "event.go:377", text))
        if not self._events:
            asyncio.get_running_loop().call_soon(self.flush)
        self._events.append((about, Note(reason, message, kind)))

    def flush(self) -> None:
        """Write the events that are due."""
        events, self._events = self._events, []
        for about, note in events:
            self._recorder.record(about, note, time.time(), component=COMPONENT)
