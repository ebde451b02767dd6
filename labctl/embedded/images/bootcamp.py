"""gcr.io/google-samples/kubernetes-bootcamp: a small Node.js server that says in which pod it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Headers, Request, Response
from labctl.embedded.images.catalogue import Content
from labctl.embedded.images.container import CommandImage, HttpPort, Server
from labctl.embedded.images.filesystem import Executable, File
from labctl.embedded.images.process import Process
from labctl.embedded.images.programs.layers import debian_layer

PORT = 8080
TAGS = ("v1", "v2")

_HEADERS: Headers = [("Content-Type", "text/plain")]


class BootcampApp:
    """The HTTP application of one container: the same answer to every request."""

    def __init__(
        self, version: str, hostname: str, log: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._body = f"Hello Kubernetes bootcamp! | Running on: {hostname} | v={version}\n".encode()
        self._hostname = hostname
        self._log = log
        self._clock = clock
        self._started = clock()
        self._requests = 0
        log(f"Kubernetes Bootcamp App Started At: {_iso(self._started)} | Running On:  {hostname} ")
        log("")

    def __call__(self, request: Request) -> Response:
        """Answer."""
        self._requests += 1
        now = self._clock()
        self._log(
            f"Running On: {self._hostname} | Total Requests: {self._requests} | "
            f"App Uptime: {now - self._started:.3f} seconds | Log Time: {_iso(now)}"
        )
        return Response(200, _HEADERS.copy(), b"" if request.method == "HEAD" else self._body)


def _iso(timestamp: float) -> str:
    moment = datetime.fromtimestamp(timestamp, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def content(tag: str, http_port: HttpPort) -> Content:
    """What one tag of the image holds."""

    def ports(process: Process) -> Mapping[int, PodPort]:
        hostname = process.env.get("HOSTNAME", "undefined")
        return {PORT: http_port(BootcampApp(tag.removeprefix("v"), hostname, process.system.context.log))}

    rootfs = debian_layer(
        {
            "/usr/local/bin/node": Executable(Server(ports)),
            "/server.js": File(b"// served by labctl's embedded kubernetes-bootcamp\n"),
        }
    )
    return Content(CommandImage(cmd=("/usr/local/bin/node", "server.js")), rootfs)
