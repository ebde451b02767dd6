"""HTTP/2 towards clients: each stream is a request of its own, served as one of HTTP/1 is.

The frames are the h2 library's business; what is refused and how is nginx's.
Source: src/http/v2/ngx_http_v2.c and ngx_http_v2_filter_module.c of nginx 1.25.5.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame, SettingsFrame

from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.proxy.http2_stream import Http2Stream

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.client import Wire
    from labctl.embedded.ingress.proxy.plane import DataPlane, Generation
    from labctl.embedded.ingress.proxy.tls import TlsSession
    from labctl.embedded.ingress.proxy.worker import Worker

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_CONFIGURATION = H2Configuration(
    client_side=False,
    header_encoding="latin-1",
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
_WINDOW = 65536
_MAX_FRAME = (1 << 24) - 1
_CONNECTION_WINDOW = (1 << 31) - 1
_DEFAULT_WINDOW = 65535


class Http2Connection(asyncio.Protocol):
    """One connection of a client.

    Attributes:
        deadline: When it is given up while idle (`time.monotonic()`), looked at once a second.
        streams: Requests under way, by stream id.
    """

    def __init__(self, plane: DataPlane, flow: Flow, server_port: int, tls: TlsSession | None = None) -> None:
        self.plane = plane
        self.generation: Generation = plane.generation
        self.worker: Worker = plane.generation.pick_worker()
        self.flow = flow
        self.server_port = server_port
        self.tls = tls
        self.deadline = float("inf")
        self.streams: dict[int, Http2Stream] = {}
        self.h2 = H2Connection(_CONFIGURATION)
        self._wire: Wire | None = None
        self._requests = 0
        self._ending = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self.attach(cast("Wire", transport))

    def attach(self, wire: Wire) -> None:
        """Begin to serve on a wire: nginx's own preface, byte by byte."""
        self._wire = wire
        self.plane.opened(self)
        settings: dict[SettingCodes, int] = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self.generation.settings.http2_max_concurrent_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
            SettingCodes.MAX_FRAME_SIZE: _MAX_FRAME,
        }
        self.h2.local_settings = Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.h2.clear_outbound_data_buffer()
        wire.write(SettingsFrame(0, {int(key): value for key, value in settings.items()}).serialize())
        self.h2.increment_flow_control_window(_CONNECTION_WINDOW - _DEFAULT_WINDOW)
        self.flush()
        self._idle()
        self.plane.deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        try:
            events = self.h2.receive_data(data)
        except H2Error as error:
            self._fail(getattr(error, "error_code", ErrorCodes.PROTOCOL_ERROR))
            return
        for event in events:
            if isinstance(event, RequestReceived):
                self._request(event)
            elif isinstance(event, DataReceived):
                self._data(event)
            elif isinstance(event, StreamEnded):
                self._ended(event.stream_id or 0)
            elif isinstance(event, StreamReset):
                self._reset(event.stream_id or 0)
            elif isinstance(event, WindowUpdated):
                self._window(event.stream_id or 0)
            elif isinstance(event, ConnectionTerminated):
                self._ending = True
        self.flush()
        self._close_when_done()

    def eof_received(self) -> bool:
        """The client sends no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self.plane.closed(self)
        self.plane.deadlines.forget(self)
        self._wire = None
        for stream in list(self.streams.values()):
            stream.gone()
        self.streams.clear()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        for stream in self.streams.values():
            stream.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        for stream in self.streams.values():
            stream.resume()

    def timed_out(self) -> None:
        """Called by the sweeper after the deadline."""
        if not self.streams:
            self._say_goodbye()

    def retire(self) -> None:
        """After a reload: no further streams; close when those there are have been served."""
        self._say_goodbye()

    def cut_off(self) -> None:
        """Close at once."""
        if self._wire is not None:
            self._wire.abort()

    # Events

    def _request(self, event: RequestReceived) -> None:
        stream_id = event.stream_id or 0
        if self._ending:
            return
        self._requests += 1
        fields = [(str(name), str(value)) for name, value in event.headers or ()]
        stream = self.streams[stream_id] = Http2Stream(self, stream_id)
        self.deadline = float("inf")
        stream.begin_request(fields)
        if self._requests >= self.generation.settings.keep_alive_requests:
            self._say_goodbye()

    def _data(self, event: DataReceived) -> None:
        stream_id = event.stream_id or 0
        length = event.flow_controlled_length or 0
        if length:
            with contextlib.suppress(H2Error):
                self.h2.acknowledge_received_data(length, stream_id)
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.data_received(event.data or b"")

    def _ended(self, stream_id: int) -> None:
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.ended()

    def _reset(self, stream_id: int) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.gone()
            self._idle()

    def _window(self, stream_id: int) -> None:
        waiting = [self.streams[stream_id]] if stream_id in self.streams else []
        for stream in waiting if stream_id else list(self.streams.values()):
            stream.send_pending()

    # Towards the client

    def flush(self) -> None:
        """Send what the library has written."""
        data = self.h2.data_to_send()
        if data and self._wire is not None:
            self._wire.write(data)

    def done(self, stream_id: int) -> None:
        """A stream has been answered."""
        self.streams.pop(stream_id, None)
        self.flush()
        self._idle()
        self._close_when_done()

    def _idle(self) -> None:
        if not self.streams:
            self.deadline = time.monotonic() + self.generation.settings.keep_alive

    def _say_goodbye(self) -> None:
        if not self._ending and self._wire is not None:
            self._ending = True
            last = self.h2.highest_inbound_stream_id
            self._wire.write(GoAwayFrame(0, last_stream_id=last, error_code=ErrorCodes.NO_ERROR).serialize())
        self._close_when_done()

    def _fail(self, code: ErrorCodes) -> None:
        """The client does not keep to the protocol: nginx says so, and closes."""
        if self._wire is None:
            return
        data = self.h2.data_to_send()
        if not data:
            last = self.h2.highest_inbound_stream_id
            data = GoAwayFrame(0, last_stream_id=last, error_code=code).serialize()
        self._wire.write(data)
        self._ending = True
        for stream in list(self.streams.values()):
            stream.gone()
        self.streams.clear()
        self._close_when_done()

    def _close_when_done(self) -> None:
        if self._ending and not self.streams and self._wire is not None:
            self._wire.close()


def is_preface(data: bytes) -> bool | None:
    """Whether bytes begin a connection with HTTP/2; None while that is not known."""
    size = min(len(data), len(PREFACE))
    if data[:size] != PREFACE[:size]:
        return False
    return True if size == len(PREFACE) else None
