"""A server whose behaviour is known: weights, delays and bursts of errors, by the number of the request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.unit.probe.servers import answer, read_request, serve

Behaviour = Callable[[int], bytes]
"""Number of the request, from 0 → the answer's bytes; none at all closes the connection."""


@dataclass(slots=True)
class Known:
    """What has been asked so far."""

    port: int = 0
    asked: int = 0
    requests: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def known_server(behaviour: Behaviour) -> Iterator[Known]:
    """Serve requests, on kept connections too, by number."""
    state = Known()

    def handle(connection: socket.socket) -> None:
        while request := read_request(connection):
            with state.lock:
                number = state.asked
                state.asked += 1
                state.requests.append(request)
            data = behaviour(number)
            if not data:
                return
            connection.sendall(data)
            if b"Connection: close" in request:
                return

    with serve(handle) as state.port:
        yield state


def pod(name: str) -> bytes:
    return answer(f"Hostname: {name}\n".encode())


def one_in_ten(number: int) -> bytes:
    return pod("dp-v2-a" if number % 10 == 9 else "dp-v1-a")
