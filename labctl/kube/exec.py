"""A command in a pod's container, and what came of it: `kubectl exec` as a function.

Protocol: `v5.channel.k8s.io`, `v4.channel.k8s.io` (Kubernetes, KEP-4006): channel 0 is stdin, 1 stdout, 2 stderr, and 3
brings a Status when the command has ended. The official client speaks it; v5 can also close stdin.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL, WSClient
from websocket import WebSocketException

from labctl.errors import ClusterError, WaitTimeoutError
from labctl.kube.client import KubeApi

STDIN_CHUNK = 32 * 1024
"""Bytes of stdin in one message; kubelets take messages of at least 64 KiB."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command left: its exit code and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Its standard output as text."""
        return self.stdout.decode(errors="replace")


def exec_in_pod(
    api: KubeApi,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str = "",
    stdin: bytes | None = None,
    timeout: float = 30.0,
) -> ExecResult:
    """Run a command in a container and wait for its end.

    Args:
        api: The cluster's API.
        namespace: The pod's namespace.
        pod: Its name.
        command: Program and arguments; no shell is involved unless it names one.
        container: Container; empty takes the pod's first (or its default-container annotation's).
        stdin: What the command reads; None gives it no stdin. Servers before Kubernetes 1.30 cannot be told of its
            end: there a command must know by itself when it has read enough.
        timeout: Seconds until giving up; the command itself may then still run.

    Returns:
        Exit code, stdout and stderr. A command that fails is a value, not an error.

    Raises:
        ApiRefusedError: There is no such pod or container, exec is not allowed, or the program does not exist.
        ClusterError: The connection failed or broke.
        WaitTimeoutError: The command did not end in time; the message has what it wrote until then.
    """
    query = [("command", word) for word in command]
    query += [("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin is not None else []
    query += [("container", container)] if container else []
    socket = api.websocket(f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", query)
    what = f"`{' '.join(command)}` in pod {namespace}/{pod}"
    try:
        if stdin is not None:
            _send_stdin(socket, stdin)
        return _collect(socket, what, timeout)
    except (WebSocketException, OSError) as error:
        raise ClusterError(f"{what}: the connection broke: {error}", hint="is the pod's node up?") from error
    finally:
        socket.sock.shutdown()  # the connection itself; a closing handshake would wait for a server that has gone


def _send_stdin(socket: WSClient, data: bytes) -> None:
    for start in range(0, len(data), STDIN_CHUNK):
        socket.write_channel(0, data[start : start + STDIN_CHUNK])
    socket.close_channel(0)


def _collect(socket: WSClient, what: str, timeout: float) -> ExecResult:
    deadline = time.monotonic() + timeout
    written = {STDOUT_CHANNEL: bytearray(), STDERR_CHANNEL: bytearray(), ERROR_CHANNEL: bytearray()}
    while True:
        left = deadline - time.monotonic()
        if socket.is_open() and left > 0:
            socket.update(timeout=left)
        for channel, data in written.items():
            data.extend(socket.read_channel(channel))
        if written[ERROR_CHANNEL] or not socket.is_open():
            break
        if left <= 0:
            seen = (written[STDOUT_CHANNEL] + written[STDERR_CHANNEL]).decode(errors="replace").strip()
            raise WaitTimeoutError(f"waited {timeout:g} s for {what} to end; it wrote: {seen[-500:] or 'nothing'}")
    code = _exit_code(bytes(written[ERROR_CHANNEL]), what)
    return ExecResult(code, bytes(written[STDOUT_CHANNEL]), bytes(written[STDERR_CHANNEL]))


def _exit_code(status_json: bytes, what: str) -> int:
    """The exit code that the Status of the error channel tells.

    Source: k8s.io/apimachinery `NonZeroExitCodeReason`, cause `ExitCode`.
    """
    if not status_json:
        raise ClusterError(f"{what}: the connection was closed before the command ended")
    status = json.loads(status_json)
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ClusterError(f"{what}: {status.get('message', 'it could not be started')}")
