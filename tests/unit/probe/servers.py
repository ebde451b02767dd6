"""Servers whose behaviour is known to the byte, on loopback sockets, for the request engine's tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket], None]
"""Serves one accepted connection; the connection is closed when it returns."""


@contextmanager
def serve(handler: Handler, *, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """A server with one thread per connection; yields its port and leaves no thread behind."""
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            handler(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            thread = threading.Thread(target=one, args=(connection,))
            threads.append(thread)
            thread.start()

    listener = socket.create_server(
        ("::1" if family is socket.AF_INET6 else "127.0.0.1", 0), family=family, backlog=256
    )
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    """One request without a body; empty when the client closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


def replying(*pieces: bytes) -> Handler:
    """Answer the first request with these pieces, each sent on its own, and close."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return handle


def answer(body: bytes, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    """A whole answer with Content-Length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def keeping(reply: Callable[[bytes], bytes], most: int = 1_000_000) -> Handler:
    """Answer up to `most` requests on each connection, then close it."""

    def handle(connection: socket.socket) -> None:
        for _ in range(most):
            request = read_request(connection)
            if not request:
                return
            connection.sendall(reply(request))

    return handle
