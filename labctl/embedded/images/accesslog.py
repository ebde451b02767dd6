"""nginx's access log lines, at the cost of one string join per request."""

from __future__ import annotations

import time
from collections.abc import Callable


class LocalTime:
    """`$time_local` (`21/Nov/2026:02:48:44 +0000`), formatted once per second."""

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        """The time now, in UTC as containers have it."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._text = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
        return self._text


def http_date(timestamp: float) -> str:
    """An IMF-fixdate: `Wed, 16 Apr 2025 12:01:11 GMT`."""
    moment = time.gmtime(timestamp)
    # strftime's names follow the locale; HTTP's do not.
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.tm_wday]
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][moment.tm_mon - 1]
    return time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", moment)
