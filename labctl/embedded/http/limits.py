"""How long a request head may be: nginx's buffers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.embedded.http.refusal import Refusal

_URI = Refusal(414, "client sent too long URI")
_LINE = Refusal(494, "client sent too long header line")


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """nginx's `client_header_buffer_size` and `large_client_header_buffers`, in bytes and pieces.

    A line lies in one buffer: one that does not fit into what is left of the current buffer moves to the next.
    """

    first: int = 1024
    size: int = 8192
    number: int = 4

    def check(self, lines: Iterable[int], partial: int = -1) -> Refusal | None:
        """Whether lines of these lengths (line ends included) fit.

        Args:
            lines: Lengths of the whole lines, the request line first.
            partial: Length of a line that is not yet whole; -1 without one.
        """
        left, used, request_line = self.first, 0, True
        for length, whole in [*((length, True) for length in lines), *([(partial, False)] if partial >= 0 else [])]:
            if length > left or (length == left and not whole):
                used += 1
                left = self.size
                if used > self.number or length > left or (length == left and not whole):
                    return _URI if request_line else _LINE
            left -= length
            request_line = False
        return None


NGINX_LIMITS = HeadLimits()
"""nginx's defaults."""
