"""Every server test runs on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from labctl.embedded.http.messages import App
from labctl.embedded.http.server import HttpOptions, HttpServer
from tests.unit.embedded_http.bed import Bed, Body, Serve, until


@pytest.fixture(params=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest) -> Serve:
    def run(app: App, body: Body, options: HttpOptions | None = None) -> None:
        async def main() -> None:
            server = HttpServer(app, options) if options else HttpServer(app)
            listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
            bed = Bed(server, listening.sockets[0].getsockname()[1])
            asyncio.get_running_loop().set_exception_handler(lambda _, c: bed.complaints.append(c["message"]))
            try:
                await body(bed)
            finally:
                listening.close()
                server.drain()
                await until(lambda: not server.sweeper.watched())

        if request.param == "uvloop":
            uvloop.run(main())
        else:
            asyncio.run(main())

    return run
