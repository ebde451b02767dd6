"""Log lines as klog writes them: the controller's own words, with the severity and source file of the real one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the controller's log, before it has a time.

    Attributes:
        severity: `I`, `W`, `E` or `F`.
        source: File and line of ingress-nginx 1.11.2 that writes it, for example `controller.go:1075`.
        message: The text after the closing bracket.
        verbosity: The `--v` level from which it shows; 0 shows always.
    """

    severity: str
    source: str
    message: str
    verbosity: int = 0


def klog_line(line: LogLine, now: datetime, pid: int = 7) -> str:
    """Format as klog does: `I1012 03:21:29.189148       7 controller.go:1075] message`.

    Args:
        line: What to write.
        now: Its time, UTC.
        pid: The process id klog shows; 7 is what the official image's controller has.
    """
    return f"{line.severity}{now:%m%d %H:%M:%S}.{now.microsecond:06d} {pid:7d} {line.source}] {line.message}"


def quote(text: str) -> str:
    """A string as Go's `%q` prints it (for the texts that occur here)."""
    return json.dumps(text, ensure_ascii=False)


def structured(message: str, **fields: str) -> str:
    """A structured klog message: `"message" key="value" …`; multi-line errors get klog's `=<` block."""
    parts = [quote(message)]
    for key, value in fields.items():
        if "\n" in value:
            body = "\n".join("\t" + text for text in value.split("\n"))
            parts.append(f"{key}=<\n{body}\n >")
        else:
            parts.append(f"{key}={quote(value)}")
    return " ".join(parts)
