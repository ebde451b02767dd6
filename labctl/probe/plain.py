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
from labctl.probe.exchange import CONNECT_ERRORS, BindError, Exchange
from labctl.probe.http1 import AnswerError, AnswerReader, request_bytes
from labctl.probe.pace import Pace
from labctl.probe.recorder import Recorder
from labctl.probe.schedule import Schedule
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
        and not plan.users
        and not plan.http2
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
    for index in range(plan.count):
        if pace.stopped(recorder.done):
            return
        recorder.failed(index, pace.clock() - pace.begun, 0.0, error)


class _Loop:
    """All connections of one run.

    `_open` maps descriptors to the exchanges in flight, `_idle` to kept connections that wait for a request to be due.
    """

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
        self._method = plan.request.method
        self._keep_alive = plan.connection is Connection.KEEP_ALIVE
        self._schedule = Schedule(plan)
        self._limit, notice = descriptors.affordable(min(plan.concurrency, self._schedule.count))
        if notice:
            recorder.notices.append(notice)
        self._open: dict[int, Exchange] = {}
        self._idle: dict[int, Exchange] = {}
        self._next = 0
        self._next_sweep = 0.0

    def run(self) -> None:
        """Keep the wanted number of requests in flight until all are done."""
        poll, opened, schedule = self._poll, self._open, self._schedule
        while not self._stopped():
            self._fill()
            if not opened and self._next >= schedule.count:
                return
            for fd, _ in poll.poll(self._wait()):
                exchange = opened.get(fd)
                if exchange is not None:
                    self._serve(exchange)
                elif fd in self._idle:  # The server closed a connection that waited for its next request.
                    self._idle.pop(fd).socket.close()
            self._sweep()

    def close(self) -> None:
        """Close what is still open."""
        for exchange in (*self._open.values(), *self._idle.values()):
            exchange.socket.close()
        self._open.clear()
        self._idle.clear()

    def _stopped(self) -> bool:
        """Whether to stop at once; a run with an open end lets end what is in flight."""
        if not self._pace.stopped(self._recorder.done):
            return False
        if self._plan.load.open_end:
            self._schedule.end(self._clock() - self._pace.begun, self._next)
        return not self._plan.load.open_end

    def _wait(self) -> float:
        """Seconds to wait for the network; what an open loop waits for by the clock is waited for here.

        epoll's timeout is in whole milliseconds, by which requests would begin late; select's is in microseconds.
        """
        if not self._schedule.open:
            return _TURN_SECONDS if self._open else 0
        if self._next >= self._schedule.count or len(self._open) >= self._limit:
            return _TURN_SECONDS
        wait = self._pace.begun + self._schedule.due(self._next) - self._clock()
        if wait > 0:
            select.select([self._poll], [], [], min(wait, _TURN_SECONDS))
        return 0

    def _fill(self) -> None:
        """Begin requests until enough are in flight."""
        failed_before = self._recorder.done
        while len(self._open) < self._limit:
            begun = self._due(self._clock())
            if begun is None:
                return
            self._begin(begun)
            if self._recorder.done - failed_before > 64:
                return  # Requests fail as they begin: let the caller stop that.

    def _due(self, now: float) -> float | None:
        """When the next request was to begin; None where none is due."""
        if self._next >= self._schedule.count:
            return None
        if not self._schedule.open:
            if not self._plan.load.ramp:
                return now
            return now if len(self._open) < self._schedule.limit(now - self._pace.begun) else None
        due = self._pace.begun + self._schedule.due(self._next)
        return due if due <= now else None

    def _begin(self, begun: float) -> None:
        """The next request begins: on a connection that waits for one, else on a new one."""
        index = self._next
        self._next += 1
        if not self._idle:
            self._connect(index, begun, self._target)
            return
        fd, exchange = self._idle.popitem()
        self._open[fd] = exchange
        self._resend(exchange, index, begun)

    def _resend(self, exchange: Exchange, index: int, begun: float) -> None:
        now = begun if not self._schedule.open else self._clock()
        exchange.again(index, begun, now, AnswerReader(self._method))
        self._send(exchange, self._request)

    def _connect(self, index: int, begun: float, target: int) -> None:
        """Open a connection to one of the addresses and send the request on it at once."""
        address = self._targets[target]
        try:
            connection = self._socket(address)
        except OSError as error:
            self._no_socket(index, begun, error)
            return
        exchange = Exchange(connection, index, begun, AnswerReader(self._method), target)
        exchange.sent = self._clock()
        code = connection.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            self._unreachable(exchange, code)
            return
        self._open[exchange.fd] = exchange
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
                raise BindError(error.errno, os.strerror(error.errno or 0)) from error
        if self._plan.request.body:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _no_socket(self, index: int, begun: float, error: OSError) -> None:
        """No socket could be made: go on with fewer at once where descriptors ran out."""
        if isinstance(error, BindError):
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

    def _send(self, exchange: Exchange, data: bytes | memoryview, *, register: bool = False) -> None:
        """Send as much as fits now; what is left goes when the connection is writable."""
        try:
            sent = exchange.socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken(exchange, error, sending=True)
            return
        if sent and not exchange.connected:
            exchange.connected = self._clock()
            self._recorder.phase("connect", exchange.connected - exchange.sent)
        exchange.unsent = memoryview(data)[sent:] if sent < len(data) else b""
        if register:
            self._poll.register(exchange.fd, select.EPOLLIN | select.EPOLLOUT if exchange.unsent else select.EPOLLIN)
        elif exchange.unsent:
            self._poll.modify(exchange.fd, select.EPOLLIN | select.EPOLLOUT)

    def _serve(self, exchange: Exchange) -> None:
        """Something happened on a connection."""
        if exchange.unsent:
            self._send(exchange, exchange.unsent)
            if self._open.get(exchange.fd) is not exchange:
                return  # it failed
            if not exchange.unsent:
                self._poll.modify(exchange.fd, select.EPOLLIN)
        self._receive(exchange)

    def _receive(self, exchange: Exchange) -> None:
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
        elif not exchange.first:
            exchange.first = self._clock()  # most answers come in one piece, whose time _finish takes

    def _finish(self, exchange: Exchange, *, closed: bool) -> None:
        """Record an answer, and send the next request."""
        now = self._clock()
        begun, reader = exchange.begun, exchange.reader
        self._recorder.answered(
            exchange.index, begun - self._pace.begun, now - begun, reader.status, reader.head, reader.body
        )
        self._recorder.phase("first byte", (exchange.first or now) - exchange.connected)
        fd = exchange.fd
        self._open.pop(fd, None)
        due = self._due(now) if len(self._open) < self._limit else None
        if not (self._keep_alive and reader.reusable and not closed and not exchange.unsent):
            exchange.socket.close()
            if due is not None:
                self._begin(due)
        elif due is not None:
            self._open[fd] = exchange
            self._next += 1
            self._resend(exchange, self._next - 1, due)
        elif self._next < self._schedule.count:
            self._idle[fd] = exchange
        else:
            exchange.socket.close()

    def _failed_answer(self, exchange: Exchange, error: ProbeError, *, closed: bool) -> None:
        """What came is no answer; a kept connection that the server closed meanwhile is tried anew, as curl does."""
        if closed and exchange.reused and exchange.reader.untouched:
            self._again(exchange, self._target)
        else:
            self._fail(exchange, error)

    def _broken(self, exchange: Exchange, error: OSError, *, sending: bool) -> None:
        """The connection failed."""
        code = error.errno or 0
        if exchange.reused and exchange.reader.untouched:
            self._again(exchange, self._target)
        elif not exchange.reused and exchange.unsent in (b"", self._request) and code in CONNECT_ERRORS:
            self._unreachable(exchange, code)
        elif sending:
            self._fail(exchange, probe_error(codes.SEND_ERROR, f"Send failure: {os.strerror(code)}"))
        else:
            self._fail(exchange, probe_error(codes.RECV_ERROR, f"Recv failure: {os.strerror(code)}"))

    def _unreachable(self, exchange: Exchange, code: int) -> None:
        """An address refuses: try the next one, and begin there from now on when it answers no more."""
        following = exchange.target + 1
        if following < len(self._targets):
            self._target = max(self._target, following)
            self._again(exchange, following)
        else:
            self._fail(exchange, self._not_connected(exchange, code))

    def _again(self, exchange: Exchange, target: int) -> None:
        self._drop(exchange)
        self._connect(exchange.index, exchange.begun, target)

    def _not_connected(self, exchange: Exchange, code: int) -> ProbeError:
        host, port = host_and_port(self._plan.request.url)
        spent = round((self._clock() - exchange.sent) * 1000)
        why = "Could not connect to server" if code == errno.ECONNREFUSED else os.strerror(code)
        return probe_error(codes.COULDNT_CONNECT, f"Failed to connect to {host} port {port} after {spent} ms: {why}")

    def _fail(self, exchange: Exchange, error: ProbeError) -> None:
        self._drop(exchange)
        self._record_failure(exchange.index, exchange.begun, error)

    def _record_failure(self, index: int, begun: float, error: ProbeError) -> None:
        self._recorder.failed(index, begun - self._pace.begun, self._clock() - begun, error)

    def _drop(self, exchange: Exchange) -> None:
        self._open.pop(exchange.fd, None)
        exchange.socket.close()

    def _sweep(self) -> None:
        """Fail what has taken too long; looked at now and then only, as all are alike."""
        now = self._clock()
        if now < self._next_sweep:
            return
        self._next_sweep = now + min(_TURN_SECONDS, self._plan.timeout / 10)
        self._schedule.expire(now - self._pace.begun, self._next)
        if len(self._targets) > 1:
            self._sweep_connecting(now)
        oldest = now - self._plan.timeout
        for exchange in [each for each in self._open.values() if each.sent <= oldest]:
            self._fail(exchange, probe_error(codes.OPERATION_TIMEDOUT, exchange.timeout_words(self._request, now)))

    def _sweep_connecting(self, now: float) -> None:
        """Try the next address where one does not answer at all: what curl's "happy eyeballs" come to (RFC 8305)."""
        last = len(self._targets) - 1
        for exchange in [each for each in self._open.values() if each.target < last]:
            waited = now - exchange.sent
            if exchange.unsent == self._request and waited > _NEXT_ADDRESS_SECONDS * (exchange.target + 1):
                self._unreachable(exchange, errno.ETIMEDOUT)
