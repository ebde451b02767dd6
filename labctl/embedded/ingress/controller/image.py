"""The image `registry.k8s.io/ingress-nginx/controller`."""

from __future__ import annotations

import asyncio
import re
import signal
from functools import partial

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Duplex
from labctl.embedded.images.catalogue import Content, Entry
from labctl.embedded.images.container import CommandImage
from labctl.embedded.images.filesystem import Executable, File
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.layers import debian_layer
from labctl.embedded.ingress.controller.certificates import fake_certificate
from labctl.embedded.ingress.controller.controller import Controller
from labctl.embedded.ingress.controller.flags import FlagError, Flags, parse_flags
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.controller.metrics import BUILD, RELEASE, REPOSITORY
from labctl.embedded.ingress.controller.ports import controller_ports, webhook_port
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.nginx.render import render
from labctl.embedded.ingress.proxy.passthrough import dial_directly

REPOSITORIES = ("registry.k8s.io/ingress-nginx/controller", "registry.k8s.io/ingress-nginx/controller-chroot")
_PROGRAM = "/nginx-ingress-controller"
_RULE = "-" * 79
_FATAL = 255


def controller_entry() -> Entry:
    """The catalogue's entry; any v1.x tag is controller 1.11.2."""
    return Entry(REPOSITORIES, _content, size_bytes=105_000_000)


def _content(tag: str) -> Content:
    del tag
    rootfs = debian_layer(
        {
            _PROGRAM: Executable(run_controller),
            "/usr/bin/dumb-init": Executable(_dumb_init),
            "/dbg": Executable(_not_here),
            "/wait-shutdown": Executable(_wait_shutdown),
            "/etc/nginx/nginx.conf": File(b""),
        }
    )
    image = CommandImage(entrypoint=("/usr/bin/dumb-init", "--"), cmd=(_PROGRAM,), workdir="/etc/nginx")
    return Content(image, rootfs, {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})


async def _dumb_init(process: Process) -> int:
    """Runs the command after `--` in its own place: signals go straight to it."""
    command = [word for word in process.argv[1:] if word != "--"]
    if not command:
        return 0
    _, executable = process.system.find(command[0], process.env, process.cwd)
    process.argv = tuple(command)
    return await executable.program(process)


async def _wait_shutdown(process: Process) -> int:
    del process
    return 0


async def _not_here(process: Process) -> int:
    await process.complain("not part of the embedded controller; see labctl ingress")
    return 1


def banner() -> str:
    """What the controller prints first."""
    lines = (
        _RULE,
        "NGINX Ingress controller",
        f"  Release:       {RELEASE}",
        f"  Build:         {BUILD}",
        f"  Repository:    {REPOSITORY}",
        "  nginx version: nginx/1.25.5",
        "",
        _RULE,
    )
    return "\n".join(lines) + "\n"


async def run_controller(process: Process) -> int:
    """The controller's program: reads flags and environment, serves until SIGTERM."""
    context = process.system.context
    await process.print(banner() + "\n")
    try:
        flags = parse_flags(process.argv[1:])
    except FlagError as error:
        raise Exit(_FATAL, f"F main.go:64] {error}") from error
    if flags.version:
        return 0
    namespace = process.env.get("POD_NAMESPACE") or context.namespace
    identity = Identity(
        namespace,
        process.env.get("POD_NAME") or context.pod,
        context.uid,
        context.pod_ip,
        {name: value for name, value in context.labels.items() if not re.match(r"controller-revision-hash$", name)},
        context.node,
    )
    fake = await asyncio.get_running_loop().run_in_executor(None, fake_certificate)
    client = context.client

    async def dial(host: str, port: int) -> Duplex:
        return await (client.connect(context.pod_ip, (host, port)) if client else dial_directly(host, port))

    controller = Controller(flags, identity, context.clientset, context.network, fake, output=context.log, dial=dial)
    _check_references(flags, controller, process)
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        process.handlers[number] = partial(_settle, stopped)
    _announce(controller)
    controller.start()
    for port, server in {**controller_ports(controller), **_webhook_port(controller, process)}.items():
        process.system.listen(process, port, server)
    process.files.put("/etc/nginx/nginx.conf", File(lambda: _configuration(controller)))
    try:
        return await stopped
    finally:
        controller.stop()


def _configuration(controller: Controller) -> bytes:
    """nginx.conf as it is now, written when somebody reads it."""
    configuration = controller.loaded
    return render(configuration).encode() if configuration is not None else b""


def _webhook_port(controller: Controller, process: Process) -> dict[int, PodPort]:
    """The validating webhook, when it is asked for and its certificate is there."""
    flags = controller.flags
    _, _, port = flags.validating_webhook.rpartition(":")
    if not port.isdigit():
        return {}
    try:
        pem = process.files.read(flags.validating_webhook_certificate)
        pem += b"\n" + process.files.read(flags.validating_webhook_key)
    except OSError as error:
        message = f'"Error listening for TLS connections" err={quote(str(error.strerror))}'
        controller.journal.log(LogLine("E", "nginx.go:340", message))
        return {}
    shown = f'address="{flags.validating_webhook}" certPath="{flags.validating_webhook_certificate}"'
    text = f'"Starting validation webhook" {shown} keyPath="{flags.validating_webhook_key}"'
    controller.journal.log(LogLine("I", "nginx.go:337", text))
    return {int(port): webhook_port(controller, pem)}


def _settle(future: asyncio.Future[int]) -> None:
    if not future.done():
        future.set_result(0)


def _check_references(flags: Flags, controller: Controller, process: Process) -> None:
    """Services and namespaces that flags name must exist.

    Raises:
        Exit: One does not.
    """
    clientset = process.system.context.clientset
    for flag, key in (
        ("default-backend-service", flags.default_backend_service),
        ("publish-service", flags.publish_service),
    ):
        namespace, _, name = key.partition("/")
        if key and clientset.get("services", namespace, name) is None:
            controller.journal.log(LogLine("F", "main.go:89", f"no service with name {key} found: --{flag}"))
            raise Exit(_FATAL)
    name = flags.watch_namespace
    if name and clientset.get("namespaces", "", name) is None:
        message = f'No namespace with name {name} found: namespaces "{name}" not found'
        controller.journal.log(LogLine("F", "main.go:96", message))
        raise Exit(_FATAL)


def _announce(controller: Controller) -> None:
    pem = "/etc/ingress-controller/ssl/default-fake-certificate.pem"
    controller.journal.log(LogLine("I", "main.go:101", f'"SSL fake certificate created" file="{pem}"'))
