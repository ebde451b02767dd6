"""Why a message is not accepted, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served, or (status 502) why an upstream's response is not believed.

    Attributes:
        status: What nginx answers; 494 and 497, which it logs but sends as 400 with a page of their own.
        reason: nginx's own words for its error log.
        simple: The request was HTTP/0.9: the answer is the body alone.
    """

    status: int
    reason: str
    simple: bool = False

    @property
    def sent_status(self) -> int:
        """The status on the wire."""
        return 400 if 494 <= self.status <= 497 else self.status
