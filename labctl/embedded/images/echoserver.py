"""registry.k8s.io/echoserver: nginx with Lua that answers with what it was sent.

The body follows template.lua of kubernetes/ingress-nginx's echoheaders image, as the study's 1.5 and 1.6 show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Headers, Request, Response
from labctl.embedded.images.accesslog import LocalTime
from labctl.embedded.images.catalogue import Content
from labctl.embedded.images.container import CommandImage, HttpPort, Server
from labctl.embedded.images.filesystem import Executable
from labctl.embedded.images.process import Process
from labctl.embedded.images.programs.layers import debian_layer

PORT = 8080

NGINX_VERSIONS: Mapping[str, str] = {
    "1.4": "1.10.0",
    "1.5": "1.13.0",
    "1.6": "1.13.1",
    "1.7": "1.13.2",
    "1.8": "1.13.3",
    "1.9": "1.13.3",
    "1.10": "1.13.3",
}
"""Tag → the nginx it reports. 1.5 and 1.6 from the study, 1.8 and later from minikube's documentation."""

WITH_SCHEME = ("1.8", "1.9", "1.10")
"""Tags whose answer has a `request_scheme=` line."""

_HEADERS: Headers = [("Server", "echoserver"), ("Content-Type", "text/plain")]


def pod_information(env: Mapping[str, str]) -> str:
    """The `Pod Information` lines: from POD_NAME and its like, when the spec sets them from the downward API."""
    if "POD_NAME" not in env:
        return "\t-no pod information available-\n"
    rows = (("node name", "NODE_NAME"), ("pod name", "POD_NAME"), ("pod namespace", "POD_NAMESPACE"))
    lines = [f"\t{label}:\t{env.get(key, 'N/A')}\n" for label, key in (*rows, ("pod IP", "POD_IP"))]
    return "".join(lines)


class EchoApp:
    """The HTTP application of one container."""

    def __init__(self, tag: str, hostname: str, env: Mapping[str, str], log: Callable[[str], None]) -> None:
        self._head = (
            f"\n\nHostname: {hostname}\n\nPod Information:\n{pod_information(env)}\n"
            f"Server values:\n\tserver_version=nginx: {NGINX_VERSIONS[tag]} - lua: 10008\n\n"
            "Request Information:\n\tclient_address="
        )
        self._with_scheme = tag in WITH_SCHEME
        self._log = log
        self._now = LocalTime()

    def __call__(self, request: Request) -> Response:
        """Echo one request."""
        flow = request.flow
        target = request.target
        host, lines, agent, referer = self._read_headers(request)
        scheme = "https" if flow.secure else "http"
        scheme_line = f"\trequest_scheme={scheme}\n" if self._with_scheme else ""
        text = (
            f"{self._head}{flow.client[0]}\n\tmethod={request.method}\n\treal path={target}\n"
            f"\tquery={target.partition('?')[2]}\n\trequest_version={request.version}\n{scheme_line}"
            f"\trequest_uri={scheme}://{host}:{flow.server[1]}{target}\n\nRequest Headers:\n{lines}\nRequest Body:\n"
        )
        payload = request.body.decode("latin-1") if request.body else "\t-no body in request-"
        body = f"{text}{payload}\n\n".encode("latin-1")
        self._log(
            f'{flow.client[0]} - - [{self._now()}] "{request.method} {target} HTTP/{request.version}" 200 '
            f'{len(body)} "{referer}" "{agent}"'
        )
        return Response(200, _HEADERS.copy(), b"" if request.method == "HEAD" else body)

    def _read_headers(self, request: Request) -> tuple[str, str, str, str]:
        """Host without port, the header lines sorted as Lua's table.sort does, User-Agent and Referer."""
        # ngx.req.get_headers() gives lower-case names, and values of repeated fields in order.
        fields = sorted([(name.lower(), at, value) for at, (name, value) in enumerate(request.headers)])
        host, agent, referer = "", "-", "-"
        for name, _, value in fields:
            if name == "host":
                host = value
            elif name == "user-agent":
                agent = value
            elif name == "referer":
                referer = value
        bare = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        lines = "".join([f"\t{name}={value}\n" for name, _, value in fields])
        return (bare.lower() or request.flow.server[0]), lines, agent, referer


class LegacyEchoApp:
    """echoserver 1.4, whose answer has another form (CLIENT VALUES, SERVER VALUES, HEADERS RECEIVED)."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._now = LocalTime()

    def __call__(self, request: Request) -> Response:
        """Echo one request."""
        client, target = request.flow.client[0], request.target
        fields = sorted((name.lower(), value) for name, value in request.headers)
        host = dict(fields).get("host", "").rpartition(":")[0] or dict(fields).get("host", "")
        headers = "".join(f"{name}={value}\n" for name, value in fields)
        text = (
            f"CLIENT VALUES:\nclient_address={client}\ncommand={request.method}\nreal path={target}\n"
            f"query={target.partition('?')[2] or 'nil'}\nrequest_version={request.version}\n"
            f"request_uri=http://{host}:{request.flow.server[1]}{target}\n\n"
            f"SERVER VALUES:\nserver_version=nginx: 1.10.0 - lua: 10001\n\nHEADERS RECEIVED:\n{headers}BODY:\n"
        )
        body = text.encode("latin-1") + (request.body or b"-no body in request-")
        self._log(
            f'{client} - - [{self._now()}] "{request.method} {target} HTTP/{request.version}" 200 {len(body)} "-" "-"'
        )
        return Response(200, [("Server", "nginx/1.10.0"), ("Content-Type", "text/plain")], body)


def content(tag: str, http_port: HttpPort) -> Content:
    """What one tag of the image holds."""

    def ports(process: Process) -> Mapping[int, PodPort]:
        context = process.system.context
        if tag == "1.4":
            return {PORT: http_port(LegacyEchoApp(context.log))}
        return {PORT: http_port(EchoApp(tag, process.env.get("HOSTNAME", "N/A"), process.env, context.log))}

    rootfs = debian_layer({"/usr/local/bin/run.sh": Executable(Server(ports))})
    return Content(CommandImage(entrypoint=("/usr/local/bin/run.sh",)), rootfs)
