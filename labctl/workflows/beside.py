"""A command that runs while requests are sent."""

from __future__ import annotations

import subprocess
import time

BEFORE_SECONDS = 1.0
"""Requests are sent so long before the command begins, to see what is usual."""
AFTER_SECONDS = 1.0
"""And so long after it has ended, to see what it leaves."""


class Beside:
    """The command, begun and watched by being asked whether it is over.

    Attributes:
        warnings: That it failed, or was not over when the requests ended.
        title: What it was and how long it took.
    """

    def __init__(self, command: str) -> None:
        self.warnings: tuple[str, ...] = ()
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_first = 0.0
        self._begun = 0.0
        self._ended = 0.0

    def over(self) -> bool:
        """Begin the command when it is time to; whether it ended a while ago."""
        now = time.monotonic()
        self._asked_first = self._asked_first or now
        if self._process is None:
            if now - self._asked_first >= BEFORE_SECONDS:
                self._begun = now
                # The user's own command line, for the shell that it is written for; its output is not the result's.
                self._process = subprocess.Popen(self._command, shell=True, stdin=subprocess.DEVNULL, stdout=2)  # noqa: S602
            return False
        if not self._ended and self._process.poll() is not None:
            self._ended = now
        return bool(self._ended) and now - self._ended >= AFTER_SECONDS

    def end(self) -> None:
        """Take the command's end; one that is still running is asked to stop."""
        if self._process is None:
            self.warnings = (f"{self._command!r} was never begun",)
            return
        if self._process.poll() is None:
            self._process.terminate()
            self.warnings = (f"{self._command!r} was not over and was stopped",)
        code = self._process.wait()
        self._ended = self._ended or time.monotonic()
        if code > 0:
            self.warnings = (f"{self._command!r} ended with status {code}",)

    @property
    def title(self) -> str:
        """What ran, and when, on the run's clock."""
        if not self._begun:
            return f"during {self._command!r}"
        begin, end = self._begun - self._asked_first, self._ended - self._asked_first
        return f"during {self._command!r}, which ran from {begin:.1f} s to {end:.1f} s"
