"""The real sockets of virtual addresses, and the list of those that could not be had."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

from labctl.embedded.network.listener import (
    Accepted,
    Blackhole,
    Listener,
    PortInUseError,
    PortUnavailableError,
    bound_socket,
)
from labctl.embedded.network.settings import NetworkSettings, socket_address

RETRY_INTERVAL = 5.0
"""Seconds after which a port that somebody else had is tried again."""

Place = tuple[str, int]
"""An address and a TCP port of the cluster."""

_Opener = Callable[[socket.socket], Listener | Blackhole]


@dataclass(frozen=True, slots=True)
class Unbound:
    """An address and port of the cluster that has no socket of its own on this machine.

    Attributes:
        address: Address in the cluster.
        port: Port.
        what: Whose it is, in words: `NodePort of Service default/web`.
        reason: Why.
        hint: How to allow it; empty when there is no way.
    """

    address: str
    port: int
    what: str
    reason: str
    hint: str = ""


class Sockets:
    """Opens and closes the sockets behind virtual addresses.

    Args:
        settings: The address plan.
        bind: Makes a bound socket.
    """

    def __init__(self, settings: NetworkSettings, bind: Callable[[str, int], socket.socket] = bound_socket) -> None:
        self._settings = settings
        self._bind = bind
        self._open: dict[Place, Listener | Blackhole] = {}
        self._unbound: dict[Place, Unbound] = {}
        self._waiting: dict[Place, _Opener] = {}
        self._timer: asyncio.TimerHandle | None = None

    def listen(self, place: Place, what: str, accepted: Accepted) -> None:
        """Accept connections there; remembered as unbound when the place cannot have a socket."""
        self._start(place, what, lambda bound: Listener(bound, accepted))

    def swallow(self, place: Place, what: str) -> None:
        """Let connections there time out; remembered as unbound when the place cannot have a socket."""
        self._start(place, what, Blackhole)

    def bind_datagram(self, place: Place, what: str) -> socket.socket | None:
        """A bound UDP socket, which the caller closes; None, and remembered, when the place cannot have one."""
        where = self._where(place, what)
        if where is None:
            return None
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.bind(where)
        except OSError as error:
            bound.close()
            self._unbound[place] = Unbound(*place, what, f"{where[0]}:{where[1]}/udp: {error.strerror}")
            return None
        bound.setblocking(False)
        return bound

    def close(self, place: Place) -> None:
        """Refuse connections there; open ones go on."""
        self._unbound.pop(place, None)
        self._waiting.pop(place, None)
        opened = self._open.pop(place, None)
        if opened is not None:
            opened.close()

    def close_all(self) -> None:
        """Refuse all new connections."""
        for place in [*self._open, *self._waiting]:
            self.close(place)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def unbound(self) -> list[Unbound]:
        """Every wanted address that has no socket, in order."""
        return sorted(self._unbound.values(), key=lambda entry: (socket.inet_aton(entry.address), entry.port))

    def _start(self, place: Place, what: str, opener: _Opener) -> None:
        self.close(place)
        where = self._where(place, what)
        if where is None:
            return
        try:
            self._open[place] = opener(self._bind(*where))
        except PortUnavailableError as error:
            self._unbound[place] = Unbound(*place, what, error.message, error.hint)
            if isinstance(error, PortInUseError):
                self._waiting[place] = opener
                self._retry_later()

    def _where(self, place: Place, what: str) -> Place | None:
        where = socket_address(self._settings, *place)
        if where is None:
            reason = f"{place[0]} is no address of this machine: reachable inside the cluster only"
            self._unbound[place] = Unbound(*place, what, reason)
        return where

    def _retry_later(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(RETRY_INTERVAL, self._retry)

    def _retry(self) -> None:
        """Try the ports that somebody else had."""
        self._timer = None
        for place, opener in list(self._waiting.items()):
            with contextlib.suppress(OSError):
                where = socket_address(self._settings, *place)
                assert where is not None
                with socket.socket() as probe:  # quietly: who has it is known already
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(where)
                    probe.listen()
                what = self._unbound[place].what
                self._start(place, what, opener)
        self._retry_later()
