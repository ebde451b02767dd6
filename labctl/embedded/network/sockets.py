"""Listening sockets of the embedded cluster, by place; what cannot be bound is remembered with its reason."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

from labctl.embedded.network.holders import who_listens
from labctl.embedded.network.plan import Place

BACKLOG = 1024


class Sockets:
    """Opens and closes listening sockets on the running loop."""

    def __init__(self) -> None:
        self._servers: dict[Place, asyncio.Task[asyncio.Server]] = {}
        self._silent: dict[Place, list[socket.socket]] = {}
        self.unbound: dict[Place, str] = {}

    def listen(self, place: Place, factory: Callable[[], asyncio.BaseProtocol]) -> bool:
        """Accept connections there; False when the system does not let us (see `unbound`)."""
        listener = self._bind(place, BACKLOG)
        if listener is None:
            return False
        loop = asyncio.get_running_loop()
        self._servers[place] = loop.create_task(loop.create_server(factory, sock=listener, backlog=BACKLOG))
        return True

    def silence(self, place: Place) -> bool:
        """Let connection attempts there time out, as dropped packets do.

        A listener that never accepts and whose queue is full makes the kernel drop every further SYN.
        """
        listener = self._bind(place, 0)
        if listener is None:
            return False
        fillers = [listener]
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(place)
            fillers.append(filler)
        self._silent[place] = fillers
        return True

    def close(self, place: Place) -> None:
        """Stop listening there; open connections go on."""
        self.unbound.pop(place, None)
        for filler in self._silent.pop(place, ()):
            filler.close()
        task = self._servers.pop(place, None)
        if task is not None:
            task.add_done_callback(_close_server)

    def close_all(self) -> None:
        """Stop listening everywhere."""
        for place in [*self._servers, *self._silent]:
            self.close(place)

    def _bind(self, place: Place, backlog: int) -> socket.socket | None:
        listener = socket.socket()
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen(backlog)
        except OSError as error:
            listener.close()
            self.unbound[place] = _reason(error, place)
            return None
        self.unbound.pop(place, None)
        return listener


def _close_server(task: asyncio.Task[asyncio.Server]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _reason(error: OSError, place: Place) -> str:
    if error.errno == errno.EACCES:
        return "this user may not bind ports below 1024"
    if error.errno == errno.EADDRINUSE:
        holder = who_listens(*place)
        return f"in use by {holder}" if holder else "in use by another process"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this system does not have that address"
    return error.strerror or str(error)
