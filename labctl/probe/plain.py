"""The quick transport: plain HTTP/1.1 over non-blocking sockets and epoll, nothing in between.

Why there is one besides libcurl: measured here on two cores against one nginx worker, 16 at once, a new connection for
each request, wrk reached 21,300/s, hey 15,900/s, pycurl's multi interface 14,300/s and a loop like this one 21,700/s;
kept alive, pycurl 49,000/s and this 145,000/s (`python -m tests.benchmarks.bench_probe` measures again). With libcurl
the callbacks of the multi interface into Python cost more than the request; here a request is six system calls. All
that is not plain HTTP (TLS, HTTP/2, cookies, …) stays libcurl's.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from urllib.parse import urlsplit

from labctl import __version__
from labctl.errors import LabctlError
from labctl.model.probe import Connection, ProbeError, ProbePlan
from labctl.probe import codes, descriptors
from labctl.probe.codes import probe_error
from labctl.probe.http1 import AnswerError, AnswerReader, request_bytes
from labctl.probe.pace import Pace
from labctl.probe.recorder import Recorder
from labctl.probe.target import Address, addresses, host_and_port

USER_AGENT = f"labctl/{__version__}"
_READ = 64 * 1024
_TURN_SECONDS = 0.05
"""Longest wait for the network until timeouts and the caller's wish to stop are looked at."""
_NEXT_ADDRESS_SECONDS = 0.2
"""How long one of several addresses of a name may leave a connection open-ended (curl's default)."""
_LIBCURLS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"}
)
"""Request headers that change how the exchange itself goes on."""
_BIND_ADDRESS_NO_PORT = 24
"""Linux' IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect, which has more of them to choose from."""


def suits(plan: ProbePlan) -> bool:
    """Whether this transport can send the plan's request exactly as libcurl would."""
    request = plan.request
    parts = urlsplit(request.url)
    plain_url = request.url.isascii() and request.url.isprintable() and " " not in request.url and not parts.username
    return (
        hasattr(select, "epoll")
        and parts.scheme == "http"
        and plain_url
        and not request.cookie_jar
        and request.method != "CONNECT"
        and not any(name.lower() in _LIBCURLS for name, _ in request.headers)
    )


def send(plan: ProbePlan, recorder: Recorder, pace: Pace) -> None:
    """Send the plan's requests and record how each ended; returns early when the caller wants to stop.

    Raises:
        LabctlError: Not one connection can be opened (file descriptors).
    """
    try:
        targets = addresses(plan)
    except AnswerError as error:
        _fail_all(plan, recorder, pace, error.error)
        return
    with select.epoll() as poll:
        loop = _Loop(plan, recorder, pace, targets, poll)
        try:
            loop.run()
        finally:
            loop.close()


def _fail_all(plan: ProbePlan, recorder: Recorder, pace: Pace, error: ProbeError) -> None:
    now = pace.clock() - pace.begun
    for index in range(plan.count):
        if pace.stopped(recorder.done):
            return
        recorder.failed(index, now, 0.0, error)


class _Exchange:
    """One connection and the request that is on its way on it."""

    __slots__ = ("begun", "index", "reader", "reused", "socket", "target", "unsent")

    def __init__(self, connection: socket.socket, index: int, begun: float, reader: AnswerReader, target: int) -> None:
        self.socket = connection
        self.index = index
        self.begun = begun
        self.reader = reader
        self.target = target
        self.unsent: bytes | memoryview = b""
        self.reused = False


class _Loop:
    """All connections of one run. `_open` maps descriptors to the exchanges in flight."""

    def __init__(
        self, plan: ProbePlan, recorder: Recorder, pace: Pace, targets: tuple[Address, ...], poll: select.epoll
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._pace = pace
        self._clock = pace.clock
        self._targets = targets
        self._target = 0
        self._poll = poll
        self._request = request_bytes(plan, USER_AGENT)
        self._keep_alive = plan.connection is Connection.KEEP_ALIVE
        self._limit, notice = descriptors.affordable(min(plan.concurrency, plan.count))
        if notice:
            recorder.notices.append(notice)
        self._open: dict[int, _Exchange] = {}
        self._next = 0
        self._next_sweep = 0.0

    def run(self) -> None:
        """Keep the wanted number of requests in flight until all are done."""
        plan, pace, recorder, poll, opened = self._plan, self._pace, self._recorder, self._poll, self._open
        while not pace.stopped(recorder.done):
            self._fill()
            if not opened:
                if self._next >= plan.count:
                    return
                continue
            for fd, event in poll.poll(_TURN_SECONDS):
                exchange = opened.get(fd)
                if exchange is not None:
                    self._serve(exchange, event)
            self._sweep()

    def close(self) -> None:
        """Close what is still open."""
        for exchange in self._open.values():
            exchange.socket.close()
        self._open.clear()

    def _fill(self) -> None:
        """Begin requests until enough are in flight."""
        count, opened = self._plan.count, self._open
        failed_before = self._recorder.done
        while len(opened) < self._limit and self._next < count:
            self._next += 1
            self._connect(self._next - 1, self._clock(), self._target)
            if self._recorder.done - failed_before > 64:
                return  # Requests fail as they begin: let the caller stop that.

    def _connect(self, index: int, begun: float, target: int) -> None:
        """Open a connection to one of the addresses and send the request on it at once."""
        address = self._targets[target]
        try:
            connection = self._socket(address)
        except OSError as error:
            self._no_socket(index, begun, error)
            return
        exchange = _Exchange(connection, index, begun, AnswerReader(self._plan.request.method), target)
        code = connection.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            self._unreachable(exchange, code)
            return
        fd = connection.fileno()
        self._open[fd] = exchange
        # On a quick network the handshake is over by now, and waiting for that would cost a turn.
        self._send(exchange, self._request, register=True)

    def _socket(self, address: Address) -> socket.socket:
        # socket.SocketType is the plain C class: a third of the cost of socket.socket, and all that is needed.
        connection: socket.socket = socket.SocketType(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)  # type: ignore[assignment]  # its base class
        if self._plan.source_address:
            connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            try:
                connection.bind((self._plan.source_address, 0))
            except OSError as error:
                connection.close()
                raise _BindError(error.errno, os.strerror(error.errno or 0)) from error
        if self._plan.request.body:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _no_socket(self, index: int, begun: float, error: OSError) -> None:
        """No socket could be made: go on with fewer at once where descriptors ran out."""
        if isinstance(error, _BindError):
            words = f"bind failed with errno {error.errno}: {error.strerror}"
            self._record_failure(index, begun, probe_error(codes.INTERFACE_FAILED, words))
        elif error.errno in (errno.EMFILE, errno.ENFILE):
            if not self._open:
                raise LabctlError("no file descriptor is left for a connection", hint=descriptors.HINT) from error
            self._next -= 1
            self._recorder.notices.append(descriptors.reduced(self._limit, len(self._open)))
            self._limit = len(self._open)
        else:
            self._record_failure(index, begun, probe_error(codes.COULDNT_CONNECT, str(error.strerror)))

    def _send(self, exchange: _Exchange, data: bytes | memoryview, *, register: bool = False) -> None:
        """Send as much as fits now; what is left goes when the connection is writable."""
        try:
            sent = exchange.socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken(exchange, error, sending=True)
            return
        exchange.unsent = memoryview(data)[sent:] if sent < len(data) else b""
        fd = exchange.socket.fileno()
        wanted = select.EPOLLIN | (select.EPOLLOUT if exchange.unsent else 0)
        if register:
            self._poll.register(fd, wanted)
        elif exchange.unsent or not sent:
            self._poll.modify(fd, wanted)

    def _serve(self, exchange: _Exchange, event: int) -> None:
        """Something happened on a connection."""
        if event & select.EPOLLOUT and exchange.unsent:
            self._send(exchange, exchange.unsent)
            if not exchange.unsent and exchange.socket.fileno() in self._open:
                self._poll.modify(exchange.socket.fileno(), select.EPOLLIN)
        if event & ~select.EPOLLOUT and exchange.socket.fileno() in self._open:
            self._receive(exchange)

    def _receive(self, exchange: _Exchange) -> None:
        try:
            data = exchange.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(exchange, error, sending=False)
            return
        reader = exchange.reader
        try:
            complete = reader.feed(data) if data else reader.end()
        except AnswerError as error:
            self._failed_answer(exchange, error.error, closed=not data)
            return
        if complete:
            self._finish(exchange, closed=not data)

    def _finish(self, exchange: _Exchange, *, closed: bool) -> None:
        """Record an answer, and send the next request."""
        now = self._clock()
        begun, reader = exchange.begun, exchange.reader
        self._recorder.answered(
            exchange.index, begun - self._pace.begun, now - begun, reader.status, reader.head, reader.body
        )
        more = self._next < self._plan.count
        if more and self._keep_alive and reader.reusable and not closed and not exchange.unsent:
            exchange.index, exchange.begun = self._next, now
            exchange.reader, exchange.reused = AnswerReader(self._plan.request.method), True
            self._next += 1
            self._send(exchange, self._request)
            return
        self._drop(exchange)
        if more and len(self._open) < self._limit:
            self._next += 1
            self._connect(self._next - 1, now, self._target)

    def _failed_answer(self, exchange: _Exchange, error: ProbeError, *, closed: bool) -> None:
        """What came is no answer; a kept connection that the server closed meanwhile is tried anew, as curl does."""
        if closed and exchange.reused and exchange.reader.untouched:
            self._again(exchange, self._target)
        else:
            self._fail(exchange, error)

    def _broken(self, exchange: _Exchange, error: OSError, *, sending: bool) -> None:
        """The connection failed."""
        code = error.errno or 0
        if exchange.reused and exchange.reader.untouched:
            self._again(exchange, self._target)
        elif not exchange.reused and exchange.unsent in (b"", self._request) and code in _CONNECT_ERRORS:
            self._unreachable(exchange, code)
        elif sending:
            self._fail(exchange, probe_error(codes.SEND_ERROR, f"Send failure: {os.strerror(code)}"))
        else:
            self._fail(exchange, probe_error(codes.RECV_ERROR, f"Recv failure: {os.strerror(code)}"))

    def _unreachable(self, exchange: _Exchange, code: int) -> None:
        """An address refuses: try the next one, and begin there from now on when it answers no more."""
        following = exchange.target + 1
        if following < len(self._targets):
            self._target = max(self._target, following)
            self._again(exchange, following)
        else:
            self._fail(exchange, self._not_connected(exchange, code))

    def _again(self, exchange: _Exchange, target: int) -> None:
        self._drop(exchange)
        self._connect(exchange.index, exchange.begun, target)

    def _not_connected(self, exchange: _Exchange, code: int) -> ProbeError:
        host, port = host_and_port(self._plan.request.url)
        spent = round((self._clock() - exchange.begun) * 1000)
        why = "Could not connect to server" if code == errno.ECONNREFUSED else os.strerror(code)
        return probe_error(codes.COULDNT_CONNECT, f"Failed to connect to {host} port {port} after {spent} ms: {why}")

    def _fail(self, exchange: _Exchange, error: ProbeError) -> None:
        self._drop(exchange)
        self._record_failure(exchange.index, exchange.begun, error)

    def _record_failure(self, index: int, begun: float, error: ProbeError) -> None:
        self._recorder.failed(index, begun - self._pace.begun, self._clock() - begun, error)

    def _drop(self, exchange: _Exchange) -> None:
        self._open.pop(exchange.socket.fileno(), None)
        exchange.socket.close()

    def _sweep(self) -> None:
        """Fail what has taken too long; looked at now and then only, as all are alike."""
        now = self._clock()
        if now < self._next_sweep:
            return
        self._next_sweep = now + min(_TURN_SECONDS, self._plan.timeout / 10)
        if len(self._targets) > 1:
            self._sweep_connecting(now)
        oldest = now - self._plan.timeout
        for exchange in [each for each in self._open.values() if each.begun <= oldest]:
            self._fail(exchange, probe_error(codes.OPERATION_TIMEDOUT, self._timeout_words(exchange, now)))

    def _sweep_connecting(self, now: float) -> None:
        """Try the next address where one does not answer at all: what curl's "happy eyeballs" come to (RFC 8305)."""
        last = len(self._targets) - 1
        for exchange in [each for each in self._open.values() if each.target < last]:
            waited = now - exchange.begun
            if exchange.unsent == self._request and waited > _NEXT_ADDRESS_SECONDS * (exchange.target + 1):
                self._unreachable(exchange, errno.ETIMEDOUT)

    def _timeout_words(self, exchange: _Exchange, now: float) -> str:
        spent = round((now - exchange.begun) * 1000)
        if exchange.unsent == self._request:
            return f"Connection timed out after {spent} milliseconds"
        reader = exchange.reader
        size = f"{reader.size} out of {reader.length}" if reader.length and reader.size else f"{reader.size}"
        return f"Operation timed out after {spent} milliseconds with {size} bytes received"


class _BindError(OSError):
    """The source address cannot be used."""


_CONNECT_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.ETIMEDOUT,
    }
)
"""Failures that only a connection not yet made can end with."""
