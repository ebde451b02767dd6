"""Run a parser over bytes and say what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.http.parser import END, Head, HeadLimits, Refusal, RequestParser
from labctl.embedded.http.responses import ResponseHead, ResponseParser

Message = tuple[Head | ResponseHead | None, bytes, Refusal | str]
"""A head, its body, and how it ended: "complete", "open" or why it was refused."""


def requests(pieces: Iterable[bytes], limits: HeadLimits | None = None) -> list[Message]:
    """Every request that the pieces, fed one after the other, make."""
    parser = RequestParser(limits) if limits else RequestParser()
    found: list[Message] = []
    head: Head | None = None
    body = b""
    for piece in pieces:
        parser.feed(piece)
        while (event := parser.next()) is not None:
            if isinstance(event, Refusal):
                return [*found, (None, b"", event)]  # how much came before depends on how the bytes came
            if isinstance(event, Head):
                head, body = event, b""
            elif isinstance(event, bytes):
                body += event
            if event is END or (isinstance(event, Head) and event.length == 0):
                found.append((head, body, "complete"))
                head, body = None, b""
    return [*found, (head, body, "open")] if head else found


def response(pieces: Iterable[bytes], method: str = "GET", *, closed: bool = True, max_head: int = 4096) -> Message:
    """The response that the pieces make."""
    parser = ResponseParser(method, max_head)
    head: ResponseHead | None = None
    body = b""
    for piece in [*pieces, None]:
        if piece is not None:
            parser.feed(piece)
        elif closed:
            parser.feed_eof()
        while (event := parser.next()) is not None:
            if event is END:
                return head, body, "complete"
            if isinstance(event, Refusal):
                return head, body, event
            if isinstance(event, ResponseHead):
                head = event
            else:
                body += event
    return head, body, "open"


def status_of(message: Message) -> int:
    """200 for a complete request, the refusal's status, or 0 for one that is still open."""
    ended = message[2]
    if isinstance(ended, Refusal):
        return ended.status
    return 200 if ended == "complete" else 0
