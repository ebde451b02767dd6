"""Listening sockets: ones that hand over what they accept, and ones that swallow it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from typing import cast

from labctl.embedded.network.holders import who_listens
from labctl.errors import ClusterError

BACKLOG = 4096
"""Connections that may wait to be accepted (the kernel caps it at net.core.somaxconn)."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Accepted = Callable[[asyncio.Transport], asyncio.BaseProtocol | None]
"""Chooses who serves an accepted connection; None: it has been dealt with."""


class PortUnavailableError(ClusterError):
    """A port cannot be bound: somebody else has it, or this user may not."""


class PortInUseError(PortUnavailableError):
    """Somebody else has the port; it may become free."""


def bound_socket(address: str, port: int) -> socket.socket:
    """A TCP socket bound to an address, not listening yet.

    Raises:
        PortUnavailableError: With the process that holds the port, or what would allow to bind it.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0))
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise _unavailable(address, port, error) from error
    bound.setblocking(False)
    return bound


def _unavailable(address: str, port: int, error: OSError) -> PortUnavailableError:
    if error.errno == errno.EADDRINUSE:
        holder = who_listens(address, port)
        by = f"in use by {holder}" if holder else "in use"
        return PortInUseError(f"{address}:{port} is {by}", hint="stop that process, or choose another port")
    if error.errno == errno.EACCES:
        return PortUnavailableError(
            f"this user may not bind {address}:{port} (ports below 1024 are privileged)",
            hint=f"sudo sysctl net.ipv4.ip_unprivileged_port_start={port}",
        )
    return PortUnavailableError(f"{address}:{port} cannot be bound: {error.strerror}")


class Listener:
    """Accepts connections and hands each to the protocol that `accepted` makes for it.

    Args:
        bound: A bound socket; it listens at once, so no connection is refused from here on.
        accepted: Called with the transport of each new connection.
    """

    def __init__(self, bound: socket.socket, accepted: Accepted) -> None:
        bound.listen(BACKLOG)
        self._socket = bound
        self._accepted = accepted
        self._server: asyncio.AbstractServer | None = None
        self._starting: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._entry, sock=self._socket, backlog=BACKLOG)
        self._starting = None

    def _entry(self) -> Entry:
        return Entry(self._accepted)

    def close(self) -> None:
        """Stop listening; connections that are open go on."""
        if self._starting is not None:
            self._starting.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()


class Entry(asyncio.Protocol):
    """First protocol of an accepted connection: finds the one that serves it, and steps aside."""

    __slots__ = ("_accepted",)

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the transport to whoever serves it."""
        connection = cast(asyncio.Transport, transport)
        protocol = self._accepted(connection)
        if protocol is not None:
            connection.set_protocol(protocol)
            protocol.connection_made(connection)


class Blackhole:
    """A port whose connections never come about: to the client it looks like a dropped SYN (iptables' DROP).

    Its accept queue is kept full and nobody accepts, so the kernel drops every further SYN (tcp(7), listen(2)).

    Args:
        bound: A bound socket.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        bound.listen(0)  # room for one connection (listen(2)): this one
        self._filler = socket.socket()
        self._filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._filler.connect(bound.getsockname())

    def close(self) -> None:
        """Stop swallowing: connections are refused from here on."""
        self._filler.close()
        self._socket.close()


def reset(transport: asyncio.Transport) -> None:
    """End a connection as a refusing peer would: with RST rather than FIN."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
