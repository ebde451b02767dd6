"""The thorough transport: libcurl itself, for TLS, HTTP/2, cookies and all that is not plain HTTP/1.1."""

from __future__ import annotations

import selectors
import ssl
from collections import deque
from pathlib import Path

import pycurl

from labctl import __version__
from labctl.model.probe import Connection, ProbePlan
from labctl.probe import codes, descriptors
from labctl.probe.codes import probe_error
from labctl.probe.pace import Pace
from labctl.probe.recorder import BODY_KEPT, Recorder
from labctl.probe.schedule import Schedule

USER_AGENT = f"labctl/{__version__}"
VERSION = str(pycurl.version)
"""libcurl's own line about itself: its version, and those of the libraries it uses."""
_TURN_SECONDS = 0.05


def send(plan: ProbePlan, recorder: Recorder, pace: Pace) -> None:
    """Send the plan's requests and record how each ended; returns early when the caller wants to stop.

    With a cookie jar the first request goes alone, so that all others carry the cookies that it brought. Simulated
    users (`plan.users`) each have a handle of their own, whose cookies nobody else sees.

    Raises:
        LabctlError: Not one connection can be opened (file descriptors).
    """
    loop = _Loop(plan, recorder, pace)
    limit, notice = descriptors.affordable(min(plan.users or plan.concurrency, loop.schedule.count))
    if notice:
        recorder.notices.append(notice)
    try:
        if plan.request.cookie_jar and not plan.users:
            loop.run(limit=1, first_only=True)
        loop.run(limit=limit)
    finally:
        loop.close()


class _Transfer:
    """One easy handle and what the request on it has brought so far."""

    __slots__ = ("begun", "body", "handle", "head", "index", "sent", "size")

    def __init__(self, handle: pycurl.Curl) -> None:
        self.handle = handle
        self.index = 0
        self.begun = 0.0
        self.sent = 0.0
        self.head = b""
        self.body = b""
        self.size = 0

    def start(self, index: int, begun: float, sent: float) -> None:
        """Forget the last request; this one was to begin at `begun`, and does at `sent`."""
        self.index, self.begun, self.sent, self.head, self.body, self.size = index, begun, sent, b"", b"", 0

    def on_header(self, line: bytes) -> None:
        """A header line came; a status line begins a new head (after 100 Continue), trailers are left out."""
        if line.startswith(b"HTTP/"):
            self.head = line
        elif not self.whole:
            self.head += line

    @property
    def whole(self) -> bool:
        """Whether the head has its blank line: libcurl takes a connection closed within the head for an answer."""
        return self.head.endswith((b"\n\r\n", b"\n\n"))

    def on_body(self, data: bytes) -> None:
        """A piece of the body came."""
        self.size += len(data)
        if len(self.body) < BODY_KEPT:
            self.body = (self.body + data)[:BODY_KEPT]


class _Loop:
    def __init__(self, plan: ProbePlan, recorder: Recorder, pace: Pace) -> None:
        self._plan = plan
        self._recorder = recorder
        self._pace = pace
        self._next = 0
        self._idle: deque[_Transfer] = deque()
        self._busy: dict[pycurl.Curl, _Transfer] = {}
        self.schedule = Schedule(plan)
        self._share = _share(plan)
        self._multi = pycurl.CurlMulti()
        self._sockets = _Sockets(self._multi, pace)
        # No multiplexing: requests at once are connections at once, with HTTP/2 as with HTTP/1.1.
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)
        self._multi.setopt(pycurl.M_MAXCONNECTS, plan.concurrency)

    def run(self, *, limit: int, first_only: bool = False) -> None:
        """Keep up to `limit` requests in flight until all have ended (or the first has)."""
        while not self._stopped():
            self._fill(limit, first_only=first_only)
            if not self._busy and (first_only or self._next >= self.schedule.count):
                return
            self._sockets.turn(self._wait(limit))
            self._collect()
            self.schedule.expire(self._now(), self._next)

    def _now(self) -> float:
        """Seconds since the run began."""
        return self._pace.clock() - self._pace.begun

    def _stopped(self) -> bool:
        """Whether to stop at once; a run with an open end lets end what is in flight."""
        if not self._pace.stopped(self._recorder.done):
            return False
        if self._plan.load.open_end:
            self.schedule.end(self._now(), self._next)
        return not self._plan.load.open_end

    def _wait(self, limit: int) -> float:
        """Longest wait, in seconds, until a request is due or the caller's wish to stop is looked at."""
        if not self.schedule.open or self._next >= self.schedule.count or len(self._busy) >= limit:
            return _TURN_SECONDS
        return min(_TURN_SECONDS, max(0.0, self.schedule.due(self._next) - self._now()))

    def _fill(self, limit: int, *, first_only: bool) -> None:
        """Begin the requests that are due."""
        while len(self._busy) < limit and self._next < (1 if first_only else self.schedule.count):
            now = self._now()
            due = self.schedule.due(self._next) if self.schedule.open else now
            if due > now or len(self._busy) >= self.schedule.limit(now):
                return
            self._begin(due)

    def close(self) -> None:
        """Close every connection."""
        for transfer in self._busy.values():
            self._multi.remove_handle(transfer.handle)
        for transfer in (*self._busy.values(), *self._idle):
            transfer.handle.close()
        self._multi.close()
        self._sockets.close()
        if self._share is not None:
            self._share.close()

    def _begin(self, due: float) -> None:
        transfer = self._idle.popleft() if self._idle else self._new_transfer()
        transfer.start(self._next, self._pace.begun + due, self._pace.clock())
        self._next += 1
        self._busy[transfer.handle] = transfer
        self._multi.add_handle(transfer.handle)

    def _new_transfer(self) -> _Transfer:
        handle = pycurl.Curl()
        transfer = _Transfer(handle)
        _set_up(handle, self._plan)
        handle.setopt(pycurl.HEADERFUNCTION, transfer.on_header)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.on_body)
        if self._share is not None:
            handle.setopt(pycurl.SHARE, self._share)
        if self._plan.request.cookie_jar or self._plan.users:
            handle.setopt(pycurl.COOKIEFILE, "")
        return transfer

    def _collect(self) -> None:
        """Record every request that has ended."""
        queued = 1
        while queued:
            queued, good, bad = self._multi.info_read()
            for handle in good:
                self._end(handle, 0, "")
            for handle, code, message in bad:
                self._end(handle, code, message)

    def _end(self, handle: pycurl.Curl, code: int, message: str) -> None:
        now = self._pace.clock()
        transfer = self._busy.pop(handle)
        started, elapsed = transfer.begun - self._pace.begun, now - transfer.begun
        if not code and not transfer.whole:
            code, message = codes.GOT_NOTHING, "Empty reply from server"
        if code:
            words = message or handle.errstr() or codes.NAMES.get(code, "")
            self._recorder.failed(transfer.index, started, elapsed, probe_error(code, words))
        else:
            status = handle.getinfo(pycurl.RESPONSE_CODE)
            self._phases(handle)
            self._recorder.answered(transfer.index, started, elapsed, status, transfer.head, transfer.body)
        self._multi.remove_handle(handle)
        self._idle.append(transfer)

    def _phases(self, handle: pycurl.Curl) -> None:
        """How long the parts took, by curl's marks, which all count from the start; a reused connection has no more."""
        found, connected, secured, first = (
            handle.getinfo(mark)
            for mark in (pycurl.NAMELOOKUP_TIME, pycurl.CONNECT_TIME, pycurl.APPCONNECT_TIME, pycurl.STARTTRANSFER_TIME)
        )
        if handle.getinfo(pycurl.NUM_CONNECTS):
            self._recorder.phase("lookup", found)
            self._recorder.phase("connect", connected - found)
            if secured:
                self._recorder.phase("tls", secured - connected)
        self._recorder.phase("first byte", first - max(connected, secured))


class _Sockets:
    """The sockets that libcurl waits for, watched by the system's best means (select's would end at 1024 of them)."""

    def __init__(self, multi: pycurl.CurlMulti, pace: Pace) -> None:
        self._multi = multi
        self._clock = pace.clock
        self._selector = selectors.DefaultSelector()
        self._due: float | None = None
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def turn(self, longest: float) -> None:
        """Wait for one thing to happen, or `longest` seconds, and let libcurl act on it."""
        wait = longest if self._due is None else min(longest, max(0.0, self._due - self._clock()))
        for key, events in self._selector.select(wait):
            self._multi.socket_action(key.fd, _CURL_EVENTS[events])
        if self._due is not None and self._due <= self._clock():
            self._due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def close(self) -> None:
        """Stop watching."""
        self._selector.close()

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        known = fd in self._selector.get_map()
        if what == pycurl.POLL_REMOVE:
            if known:
                self._selector.unregister(fd)
        elif known:
            self._selector.modify(fd, _SELECTOR_EVENTS[what])
        else:
            self._selector.register(fd, _SELECTOR_EVENTS[what])

    def _on_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else self._clock() + milliseconds / 1000


_SELECTOR_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_CURL_EVENTS = {
    selectors.EVENT_READ: pycurl.CSELECT_IN,
    selectors.EVENT_WRITE: pycurl.CSELECT_OUT,
    selectors.EVENT_READ | selectors.EVENT_WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


def _share(plan: ProbePlan) -> pycurl.CurlShare | None:
    """What the handles have in common: cookies of one jar, TLS sessions; None where that is nothing."""
    shared = [pycurl.LOCK_DATA_COOKIE] if plan.request.cookie_jar and not plan.users else []
    if plan.tls.sessions:
        shared.append(pycurl.LOCK_DATA_SSL_SESSION)
    if not shared:
        return None
    share = pycurl.CurlShare()
    for what in shared:
        share.setopt(pycurl.SH_SHARE, what)
    return share


def _set_up(handle: pycurl.Curl, plan: ProbePlan) -> None:
    """Everything about the request that stays the same from one to the next."""
    request = plan.request
    handle.setopt(pycurl.URL, request.url)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PATH_AS_IS, 1)
    handle.setopt(pycurl.PROXY, "")
    handle.setopt(pycurl.USERAGENT, USER_AGENT)
    handle.setopt(pycurl.TIMEOUT_MS, max(1, round(plan.timeout * 1000)))
    handle.setopt(pycurl.RESOLVE, [str(entry) for entry in plan.resolve])
    if plan.source_address:
        handle.setopt(pycurl.INTERFACE, f"host!{plan.source_address}")
    if plan.connection is Connection.NEW:
        handle.setopt(pycurl.FRESH_CONNECT, 1)
        handle.setopt(pycurl.FORBID_REUSE, 1)
        handle.setopt(pycurl.SSL_SESSIONID_CACHE, int(plan.tls.sessions))
    if plan.http2:
        tls = request.url.startswith("https:")
        version = pycurl.CURL_HTTP_VERSION_2TLS if tls else pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
        handle.setopt(pycurl.HTTP_VERSION, version)
    _set_method(handle, plan)
    _set_tls(handle, plan)


def _set_method(handle: pycurl.Curl, plan: ProbePlan) -> None:
    request = plan.request
    headers = [f"{name}: {value}" if value else f"{name};" for name, value in request.headers]
    given = {name.lower() for name, _ in request.headers}
    if request.body:
        handle.setopt(pycurl.POSTFIELDS, request.body)
        headers += [f"{name}:" for name in ("Content-Type", "Expect") if name.lower() not in given]
    if (
        plan.connection is Connection.NEW
        and not plan.http2
        and request.url.startswith("http:")
        and "connection" not in given
    ):
        headers.append("Connection: close")
    if request.method == "HEAD":
        handle.setopt(pycurl.NOBODY, 1)
    elif request.body or request.method != "GET":
        handle.setopt(pycurl.CUSTOMREQUEST, request.method)
    handle.setopt(pycurl.HTTPHEADER, headers)


def _set_tls(handle: pycurl.Curl, plan: ProbePlan) -> None:
    handle.setopt(pycurl.SSL_VERIFYPEER, int(plan.tls.verify))
    handle.setopt(pycurl.SSL_VERIFYHOST, 2 if plan.tls.verify else 0)
    if plan.tls.ca_file is not None:
        handle.setopt(pycurl.CAINFO, str(plan.tls.ca_file))
        handle.setopt(pycurl.CAPATH, "")
    else:
        bundle = system_ca_file()
        if bundle is not None:
            handle.setopt(pycurl.CAINFO, str(bundle))


def system_ca_file() -> Path | None:
    """The system's bundle of CAs: a pycurl wheel's libcurl does not know where this system keeps it."""
    paths = ssl.get_default_verify_paths()
    candidates = (paths.cafile, paths.openssl_cafile, *_BUNDLES)
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)


_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Debian; Red Hat; SUSE; Alpine, BSD and macOS."""
