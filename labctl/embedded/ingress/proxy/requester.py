"""What serves a request needs of the client that sent it, whichever protocol it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.forward import Forwarder
    from labctl.embedded.ingress.proxy.plane import Generation
    from labctl.embedded.ingress.proxy.response import ResponseWriter
    from labctl.embedded.ingress.proxy.upstream import UpstreamConnection


class Requester(Protocol):
    """A connection with HTTP/1, or one stream of a connection with HTTP/2."""

    def read_body(self, forwarder: Forwarder, limit: int) -> None:
        """Read the body for its forwarder; `limit` in bytes, 0 for none."""

    def writer(self, exchange: Exchange, generation: Generation) -> ResponseWriter:
        """What writes the response in the client's protocol."""

    def write(self, data: bytes) -> None:
        """Send to the client."""

    def stays_open(self, exchange: Exchange) -> bool:
        """Whether the connection serves further requests after this one."""

    def finished(self) -> None:
        """The response is complete."""

    def cut_off(self) -> None:
        """The response cannot be completed."""

    def tunnel(self, connection: UpstreamConnection) -> None:
        """After 101: bytes go both ways until one side ends."""


class Connection(Protocol):
    """A client's connection, as the data plane keeps count of it."""

    deadline: float

    def retire(self) -> None:
        """After a reload: close when idle; requests under way are finished first."""

    def cut_off(self) -> None:
        """Close at once."""

    def timed_out(self) -> None:
        """The deadline has passed."""
