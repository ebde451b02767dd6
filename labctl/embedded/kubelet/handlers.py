"""Probe and hook handlers performed against a running container: httpGet, tcpSocket, exec, sleep."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass

from labctl.embedded.api.kubelet import ExecError
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.cni import PodNetwork
from labctl.embedded.http.messages import Flow, Headers, Request, Response
from labctl.embedded.images.streams import Buffer
from labctl.embedded.kubelet.execution import run_command
from labctl.embedded.kubelet.record import ContainerRecord
from labctl.embedded.kubelet.runtime import Sandbox

KUBELET_AGENT = "kube-probe/1.34+"
OUTPUT_LIMIT = 1024 * 1024
"""Bytes an exec handler may print."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a handler ended.

    Attributes:
        ok: Success.
        output: What an Unhealthy event says.
        errored: The probe itself could not be made; counts as no result.
    """

    ok: bool
    output: str = ""
    errored: bool = False


async def run_handler(handler: Obj, sandbox: Sandbox, record: ContainerRecord, network: PodNetwork) -> Outcome:
    """Perform a handler once.

    Args:
        handler: The probe's or hook's spec.
        sandbox: The container's pod.
        record: The container.
        network: Where the pod's ports are found.
    """
    if "httpGet" in handler:
        return await _http_get(handler["httpGet"], sandbox, record, network)
    if "tcpSocket" in handler:
        return _tcp_socket(handler["tcpSocket"], sandbox, record, network)
    if "exec" in handler:
        return await _exec(handler["exec"], record)
    if "sleep" in handler:
        await asyncio.sleep(handler["sleep"]["seconds"])
        return Outcome(True)
    return Outcome(False, "this kind of handler does not exist in the embedded cluster", errored=True)


def port_number(port: int | str, record: ContainerRecord) -> int:
    """A port by number or by the name of a containerPort; 0 for an unknown name."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for declared in record.spec.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    return 0


async def _http_get(action: Obj, sandbox: Sandbox, record: ContainerRecord, network: PodNetwork) -> Outcome:
    scheme, host, port, path = target(action, sandbox, record)
    url = f"{scheme}://{host}:{port}{path}"
    server = network.port_at(host, port)
    if server is None:
        return Outcome(False, f'Get "{url}": dial tcp {host}:{port}: connect: connection refused')
    if server.app is None or scheme == "https":
        return Outcome(False, f'Get "{url}": the embedded kubelet probes plain HTTP only', errored=True)
    headers: Headers = [(item["name"], item["value"]) for item in action.get("httpHeaders") or []]
    given = {name.lower() for name, _ in headers}
    first = [("Host", f"{host}:{port}"), ("User-Agent", KUBELET_AGENT), ("Accept", "*/*"), ("Connection", "close")]
    headers = [field for field in first if field[0].lower() not in given] + headers
    flow = Flow(client=(gateway(sandbox), 40000), server=(host, port), secure=False)
    response = await _call(server.app(Request("GET", path, headers, b"", flow)))
    if 200 <= response.status < 400:
        return Outcome(True)
    return Outcome(False, f"HTTP probe failed with statuscode: {response.status}")


def target(action: Obj, sandbox: Sandbox, record: ContainerRecord) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of an httpGet action."""
    path = action.get("path") or "/"
    host = action.get("host") or sandbox.ip
    scheme = action.get("scheme", "HTTP").lower()
    return scheme, host, port_number(action["port"], record), path if path.startswith("/") else "/" + path


def timed_out(handler: Obj, sandbox: Sandbox, record: ContainerRecord, seconds: float) -> Outcome:
    """The outcome of a handler that was cut off."""
    if "httpGet" in handler:
        scheme, host, port, path = target(handler["httpGet"], sandbox, record)
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Outcome(False, f'Get "{scheme}://{host}:{port}{path}": {text}')
    if "exec" in handler:
        command = " ".join(handler["exec"].get("command") or [])
        return Outcome(False, f'command timed out: "{command}" timed out after {seconds:g}s')
    return Outcome(False, "i/o timeout")


async def _call(answer: object) -> Response:
    result = await answer if inspect.isawaitable(answer) else answer
    assert isinstance(result, Response)
    return result


def gateway(sandbox: Sandbox) -> str:
    """The address a pod sees the kubelet's connections come from: its node's cni0."""
    return sandbox.node.pod_cidr.rsplit(".", 1)[0] + ".1"


def _tcp_socket(action: Obj, sandbox: Sandbox, record: ContainerRecord, network: PodNetwork) -> Outcome:
    host, port = action.get("host") or sandbox.ip, port_number(action["port"], record)
    if network.port_at(host, port) is None:
        return Outcome(False, f"dial tcp {host}:{port}: connect: connection refused")
    return Outcome(True)


async def _exec(action: Obj, record: ContainerRecord) -> Outcome:
    output = Buffer(OUTPUT_LIMIT)
    try:
        code = await run_command(record, action.get("command") or [], output)
    except ExecError as error:
        return Outcome(False, f"rpc error: code = Unknown desc = {error}", errored=True)
    except ApiError as error:
        return Outcome(False, error.message, errored=True)
    return Outcome(code == 0, output.data.decode("utf-8", "replace"))
