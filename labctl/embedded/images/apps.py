"""Small web applications of the study's notes, which say who answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import App, Headers, Request, Response
from labctl.embedded.images.catalogue import Content, Entry
from labctl.embedded.images.container import CommandImage, HttpPort, Server
from labctl.embedded.images.filesystem import Executable
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.layers import debian_layer
from labctl.embedded.images.programs.resolving import ResolveError, addresses, first_answer

Maker = Callable[[Process, str], Mapping[int, App]]
"""From a process (its arguments and environment) and the image's tag to the applications by port."""

_TEXT: Headers = [("Content-Type", "text/plain; charset=utf-8")]


def _entry(
    repositories: tuple[str, ...],
    make: Maker,
    http_port: HttpPort,
    *,
    tags: tuple[str, ...] = (),
    program: str = "/usr/local/bin/app",
    args: tuple[str, ...] = (),
    listed: bool = True,
) -> Entry:
    def build(tag: str) -> Content:
        def ports(process: Process) -> Mapping[int, PodPort]:
            return {port: http_port(app) for port, app in make(process, tag).items()}

        rootfs = debian_layer({program: Executable(Server(ports))})
        return Content(CommandImage(entrypoint=(program,), cmd=args), rootfs)

    return Entry(repositories, build, tags=tags, listed=listed)


def fixed_text(text: str, log: Callable[[str], None], line: Callable[[Request], str] | None = None) -> App:
    """An application that answers the same to everything."""
    body = text.encode()

    def app(request: Request) -> Response:
        if line is not None:
            log(line(request))
        return Response(200, _TEXT.copy(), b"" if request.method == "HEAD" else body)

    return app


def kubia(process: Process, tag: str) -> Mapping[int, App]:
    """luksa/kubia, of Kubernetes in Action: `You've hit <pod>`."""
    log = process.system.context.log
    log("Kubia server starting...")
    text = f"You've hit {process.env.get('HOSTNAME', '')}\n"
    return {8080: fixed_text(text, log, lambda request: f"Received request from ::ffff:{request.flow.client[0]}")}


def hello_app(process: Process, tag: str) -> Mapping[int, App]:
    """gcr.io/google-samples/hello-app: version and hostname; PORT chooses the port."""
    log = process.system.context.log
    port = _port_of(process.env.get("PORT", "8080"))
    text = f"Hello, world!\nVersion: {tag}.0\nHostname: {process.env.get('HOSTNAME', '')}\n"
    log(f"Server listening on port {port}")
    return {port: fixed_text(text, log, lambda request: f"Serving request: {request.target.partition('?')[0]}")}


def _port_of(text: str) -> int:
    port = text.rpartition(":")[2]
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise Exit(1, f"listen {text}: no such port\n")
    return int(port)


def echo_nginx(process: Process, tag: str) -> Mapping[int, App]:
    """amsy810/echo-nginx: host, path, pod, client and X-Forwarded-For in one line."""
    hostname = process.env.get("HOSTNAME", "")

    def app(request: Request) -> Response:
        host = (request.header("Host") or "").partition(":")[0]
        path = request.target.partition("?")[0]
        forwarded = request.header("X-Forwarded-For") or ""
        text = f"Host={host}  Path={path}  From={hostname}  ClientIP={request.flow.client[0]}  XFF={forwarded}\n"
        return Response(200, [("Content-Type", "text/plain")], text.encode())

    return {80: app}


def http_echo(process: Process, tag: str) -> Mapping[int, App]:
    """hashicorp/http-echo: `-text=… [-listen=:5678] [-status-code=200]`."""
    flags = _flags(process.argv[1:], ("text", "listen", "status-code"))
    text = flags.get("text") or process.env.get("ECHO_TEXT", "")
    if not text:
        raise Exit(127, "Missing -text option!\n")
    port, log = _port_of(flags.get("listen", ":5678")), process.system.context.log
    status = int(flags.get("status-code", "200"))
    log(f"[INFO] server is listening on :{port}")
    body = f"{text}\n".encode()
    headers: Headers = [("X-App-Name", "http-echo"), ("X-App-Version", "1.0.0"), *_TEXT]

    def app(request: Request) -> Response:
        line = f'"{request.method} {request.target}" {status} {len(body)}'
        log(f"{request.header('Host')} {request.flow.client[0]} {line}")
        return Response(status, headers.copy(), b"" if request.method == "HEAD" else body)

    return {port: app}


def _flags(arguments: Sequence[str], known: tuple[str, ...]) -> dict[str, str]:
    """Go's flag package: `-name=value`, `-name value`, one or two dashes."""
    rest, flags = list(arguments), {}
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in known:
            raise Exit(2, f"flag provided but not defined: -{name}\n")
        flags[name] = value if equals else rest.pop(0) if rest else ""
    return flags


def agnhost(process: Process, tag: str) -> Mapping[int, App]:
    """e2e-test-images/agnhost: `netexec [--http-port=8080]`, `serve-hostname [--port=9376]`, `pause`."""
    command = process.argv[1] if len(process.argv) > 1 else "pause"
    hostname, log = process.env.get("HOSTNAME", ""), process.system.context.log
    if command == "pause":
        return {}
    if command == "serve-hostname":
        flags = _flags(process.argv[2:], ("port", "http", "tcp", "udp", "close"))
        return {_port_of(flags.get("port", "9376")): fixed_text(hostname, log)}
    if command != "netexec":
        raise Exit(1, f"agnhost: {command} is not known here; netexec, serve-hostname and pause are\n")
    flags = _flags(process.argv[2:], ("http-port", "udp-port", "sctp-port", "http-override", "delay-shutdown"))
    return {_port_of(flags.get("http-port", "8080")): _netexec(hostname)}


def _netexec(hostname: str) -> App:
    answers: dict[str, Callable[[Request], tuple[int, str]]] = {
        "/hostname": lambda request: (200, hostname),
        "/hostName": lambda request: (200, hostname),
        "/clientip": lambda request: (200, f"{request.flow.client[0]}:{request.flow.client[1]}"),
        "/echo": lambda request: (200, _query(request).get("msg", "")),
        "/healthz": lambda request: (200, ""),
        "/header": lambda request: (200, request.header(_query(request).get("key", "")) or ""),
    }

    def app(request: Request) -> Response:
        answer = answers.get(request.target.partition("?")[0])
        status, text = answer(request) if answer is not None else (200, f"NOW: {hostname}")
        return Response(status, _TEXT.copy(), text.encode())

    return app


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.target.partition("?")[2]))


def whoami(process: Process, tag: str) -> Mapping[int, App]:
    """traefik/whoami: hostname, addresses and the request."""
    context = process.system.context
    hostname = process.env.get("HOSTNAME", "")

    def app(request: Request) -> Response:
        if request.target.startswith("/api"):
            facts = {"hostname": hostname, "ip": [context.pod_ip], "method": request.method, "url": request.target}
            return Response(200, [("Content-Type", "application/json")], json.dumps(facts).encode() + b"\n")
        lines = [f"Hostname: {hostname}", "IP: 127.0.0.1", f"IP: {context.pod_ip}"]
        lines += [f"RemoteAddr: {request.flow.client[0]}:{request.flow.client[1]}"]
        lines += [f"{request.method} {request.target} HTTP/{request.version}"]
        lines += [f"{name}: {value}" for name, value in request.headers]
        return Response(200, _TEXT.copy(), ("\n".join(lines) + "\n\n").encode())

    return {80: app}


def subicura_echo(process: Process, tag: str) -> Mapping[int, App]:
    """ghcr.io/subicura/echo: says in which pod it runs."""
    text = f"{process.env.get('HOSTNAME', '')}\n"
    return {3000: fixed_text(text, process.system.context.log)}


def counter(process: Process, tag: str) -> Mapping[int, App]:
    """ghcr.io/subicura/counter: counts its requests in the redis at REDIS_HOST:REDIS_PORT."""
    host, port = process.env.get("REDIS_HOST", "localhost"), _port_of(process.env.get("REDIS_PORT", "6379"))

    async def app(request: Request) -> Response:
        try:
            count = await asyncio.wait_for(_increment(process, host, port), 5)
        except (ResolveError, OSError, ValueError) as error:
            process.system.context.log(f"redis at {host}:{port}: {error or type(error).__name__}")
            return Response(500, _TEXT.copy(), b"redis does not answer\n")
        return Response(200, _TEXT.copy(), f"{count}\n".encode())

    return {3000: app}


async def _increment(process: Process, host: str, port: int) -> int:
    connection = await first_answer(process, await addresses(process, host), port)
    try:
        await connection.write(b"*2\r\n$4\r\nINCR\r\n$5\r\ncount\r\n")
        data = b""
        while b"\r\n" not in data:
            piece = await connection.read()
            if not piece:
                raise ConnectionResetError("the connection was closed")
            data += piece
    finally:
        connection.close()
    return int(data.partition(b"\r\n")[0].removeprefix(b":"))


def app_images(http_port: HttpPort) -> list[Entry]:
    """The entries of these images."""
    agnhosts = ("registry.k8s.io/e2e-test-images/agnhost", "k8s.gcr.io/e2e-test-images/agnhost")
    return [
        _entry(("docker.io/luksa/kubia",), kubia, http_port),
        _entry(
            ("gcr.io/google-samples/hello-app", "us-docker.pkg.dev/google-samples/containers/gke/hello-app"),
            hello_app,
            http_port,
            tags=("1.0", "2.0"),
        ),
        _entry(("docker.io/amsy810/echo-nginx",), echo_nginx, http_port),
        _entry(("docker.io/hashicorp/http-echo",), http_echo, http_port, program="/http-echo"),
        _entry(agnhosts, agnhost, http_port, program="/agnhost", args=("pause",)),
        _entry(("docker.io/traefik/whoami", "docker.io/containous/whoami"), whoami, http_port, program="/whoami"),
        _entry(("ghcr.io/subicura/echo",), subicura_echo, http_port),
        _entry(("ghcr.io/subicura/counter",), counter, http_port),
    ]
