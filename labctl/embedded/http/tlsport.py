"""HTTPS: TLS on a connection, with the HTTP server's protocol behind it.

What a client gets that does not speak TLS, and one whose certificate does not verify, is as Go's net/http has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import cast

from OpenSSL import SSL

from labctl.embedded.http.connection import Connection, flow_of
from labctl.embedded.http.messages import Flow
from labctl.embedded.http.server import HttpServer
from labctl.embedded.http.tls import VerifyingTls

_READ = 65536
_HANDSHAKE = 0x16
_HTTP = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")
"""How a client begins that speaks HTTP to a TLS port (tlsRecordHeaderLooksLikeHTTP of Go's net/http)."""
_PLAIN = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class TlsPort:
    """Makes the protocol for each connection to an HTTPS server.

    Args:
        server: What is behind TLS.
        context: See `tls.verifying_context`.
    """

    def __init__(self, server: HttpServer, context: SSL.Context) -> None:
        self.server = server
        self.context = context

    def __call__(self) -> TlsConnection:
        """A protocol for one connection."""
        return TlsConnection(self)


class TlsConnection(asyncio.Protocol):
    """One client's connection: records in, requests to a `Connection`.

    Attributes:
        deadline: When the handshake must be done (the loop's time).
    """

    __slots__ = ("_inner", "_paused", "_port", "_raw", "_start", "_tls", "deadline")

    def __init__(self, port: TlsPort) -> None:
        self._port = port
        self._tls = VerifyingTls(port.context)
        self._inner: Connection | None = None
        self._start = b""
        self._paused = False
        self.deadline = float("inf")

    # -- asyncio.Protocol, towards the client ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake, but not for ever."""
        self._raw = cast(asyncio.Transport, transport)
        self.deadline = asyncio.get_running_loop().time() + self._port.server.options.head_timeout
        self._port.server.sweeper.watch(self)

    def data_received(self, data: bytes) -> None:
        """Records, or whatever else a client sends."""
        if len(self._start) < 5:
            self._start += data[:5]
            if self._start[0] != _HANDSHAKE:
                self._refuse_plain()
                return
        self._tls.feed(data)
        if self._inner is not None or self._handshake():
            self.read()

    def eof_received(self) -> bool:
        """The client sends no more: there is no half-closed connection in TLS."""
        return self._inner.eof_received() if self._inner is not None else False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._port.server.sweeper.forget(self)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._inner is not None:
            self._inner.resume_writing()

    # -- the sweeper's -----------------------------------------------------------------------------------------------

    def timed_out(self) -> None:
        """The handshake took too long."""
        self._raw.abort()

    def drain(self) -> None:
        """Close a connection on which nothing has been asked."""
        self._raw.close()

    # -- handshake ---------------------------------------------------------------------------------------------------

    def _refuse_plain(self) -> None:
        if len(self._start) < 5 and any(begin.startswith(self._start) for begin in _HTTP):
            return  # more of it must come to tell
        if self._start.startswith(_HTTP):
            self._raw.write(_PLAIN)
        self._raw.close()

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return False
        except ssl.SSLError:
            self.flush()
            self._raw.close()
            return False
        self.flush()
        self._port.server.sweeper.forget(self)
        addresses = flow_of(self._raw)
        certificate = b"" if self._tls.problem else self._tls.getpeercert(binary_form=True)
        flow = Flow(addresses.client, addresses.server, "", certificate, secure=True)
        self._inner = self._port.server(flow)
        self._inner.connection_made(_TlsTransport(self, self._raw, self._tls))
        return True

    # -- between the two ---------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Give the server what has been decrypted, as long as it takes it."""
        inner = self._inner
        assert inner is not None
        while not self._paused and not self._raw.is_closing():
            try:
                data = self._tls.read(_READ)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError:
                self._raw.abort()
                return
            if not data:
                inner.eof_received()
                self._raw.close()
                return
            inner.data_received(data)
        self.flush()

    def flush(self) -> None:
        """Send the records that have been made."""
        data = self._tls.drain()
        if data and not self._raw.is_closing():
            self._raw.write(data)

    def pause(self, paused: bool) -> None:
        """Deliver nothing while paused."""
        if paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._raw.pause_reading()
        else:
            self._raw.resume_reading()
            asyncio.get_running_loop().call_soon(self.read)


class _TlsTransport(asyncio.Transport):
    """What the HTTP server writes to."""

    def __init__(self, connection: TlsConnection, raw: asyncio.Transport, tls: VerifyingTls) -> None:
        super().__init__()
        self._connection = connection
        self._raw = raw
        self._tls = tls
        self.is_closing: Callable[[], bool] = raw.is_closing
        self.abort: Callable[[], None] = raw.abort

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if not self._raw.is_closing():
            self._tls.write(bytes(data))
            self._connection.flush()

    def can_write_eof(self) -> bool:
        """Never: TLS has no half-closed connections."""
        return False

    def pause_reading(self) -> None:
        """Deliver nothing until resumed."""
        self._connection.pause(True)

    def resume_reading(self) -> None:
        """Deliver again."""
        if not self._raw.is_closing():
            self._connection.pause(False)

    def close(self) -> None:
        """Say goodbye, and close when all is sent."""
        if not self._raw.is_closing():
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._connection.flush()
            self._raw.close()
