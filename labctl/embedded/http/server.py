"""Serves an App: what is shared by all of its connections."""

from __future__ import annotations

from labctl.embedded.cni import PodPort
from labctl.embedded.http.connection import Connection, flow_of
from labctl.embedded.http.messages import App, Flow
from labctl.embedded.http.options import DEFAULT_OPTIONS, HttpOptions
from labctl.embedded.http.sweeper import Sweeper

__all__ = ["HttpOptions", "HttpServer", "flow_of", "http_port", "http_protocol"]


class HttpServer:
    """Makes the protocol for each connection to one App; all of them share one timer.

    Args:
        app: What answers.
        options: Limits.
    """

    def __init__(self, app: App, options: HttpOptions = DEFAULT_OPTIONS) -> None:
        self.app = app
        self.options = options
        self.sweeper = Sweeper()

    def __call__(self, flow: Flow | None = None) -> Connection:
        """A protocol for one connection; without a flow it is read off the transport."""
        return Connection(self.app, self.options, self.sweeper, flow)

    def drain(self) -> None:
        """Close every connection as soon as what is being answered on it has been answered."""
        for connection in self.sweeper.watched():
            connection.drain()


def http_protocol(app: App, flow: Flow | None = None, options: HttpOptions = DEFAULT_OPTIONS) -> Connection:
    """A protocol for a single connection."""
    return HttpServer(app, options)(flow)


def http_port(app: App, options: HttpOptions = DEFAULT_OPTIONS) -> PodPort:
    """An App as a pod's port."""
    return PodPort(connected=HttpServer(app, options), app=app)
