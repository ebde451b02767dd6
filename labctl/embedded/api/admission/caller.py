"""Asking a webhook: HTTPS to a Service of the cluster or to a URL, trusting only the configured authority."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from labctl.embedded.api.admission.hooks import Hook
from labctl.embedded.api.admission.review import HookFailedError
from labctl.embedded.api.errors import quoted
from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.http.client import Answer, ProtocolError, TlsStream, read_answer
from labctl.embedded.http.messages import Duplex

Connect = Callable[[str, int], Awaitable[Duplex]]
"""Opens a TCP connection from the API server's node; Services are translated as kube-proxy does."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a webhook listens: the URL as messages show it, the name in its certificate, and its place."""

    url: str
    host: str
    port: int
    path: str
    address: str


class HookCaller:
    """Asks webhooks.

    Args:
        clientset: Where the Services are.
        connect: How they are reached.
    """

    def __init__(self, clientset: Clientset, connect: Connect) -> None:
        self._clientset = clientset
        self._connect = connect

    async def ask(self, hook: Hook, review: Obj) -> bytes:
        """Send a review; returns the answer's body.

        Raises:
            HookFailedError: It could not be asked, or did not answer in time.
        """
        client = hook.data["clientConfig"]
        target = self._target(client, hook.timeout)
        shown = f"failed to call webhook: Post {quoted(f'{target.url}?timeout={hook.timeout:g}s')}"
        try:
            answer = await asyncio.wait_for(self._post(target, _context(client), hook.timeout, review), hook.timeout)
        except TimeoutError:
            raise HookFailedError(f"{shown}: context deadline exceeded") from None
        except ssl.SSLCertVerificationError as error:
            raise HookFailedError(f"{shown}: tls: failed to verify certificate: x509: {_x509(error)}") from error
        except ssl.SSLError as error:
            raise HookFailedError(f"{shown}: tls: {error.reason or error}") from error
        except ConnectionRefusedError as error:
            place = f"dial tcp {target.address}:{target.port}"
            raise HookFailedError(f"{shown}: {place}: connect: connection refused") from error
        except ProtocolError as error:
            raise HookFailedError(f"{shown}: {error or 'EOF'}") from error
        except OSError as error:
            raise HookFailedError(f"{shown}: {error.strerror or error}") from error
        if answer.status != 200:
            raise HookFailedError(f"failed to call webhook: {_unexpected(answer)}")
        return answer.body

    def _target(self, client: Obj, timeout: float) -> _Target:
        service = client.get("service")
        if not service:
            parts = urlsplit(client["url"])
            host = parts.hostname or ""
            return _Target(client["url"], host, parts.port or 443, parts.path or "/", host)
        namespace, name, port = service["namespace"], service["name"], int(service.get("port") or 443)
        path = service.get("path") or "/"
        host = f"{name}.{namespace}.svc"
        url = f"https://{host}:{port}{path}"
        shown = f"failed to call webhook: Post {quoted(f'{url}?timeout={timeout:g}s')}"
        found = self._clientset.get("services", namespace, name)
        if found is None:
            raise HookFailedError(f"{shown}: service {quoted(name)} not found")
        if not self._has_endpoints(namespace, name):
            raise HookFailedError(f"{shown}: no endpoints available for service {quoted(name)}")
        return _Target(url, host, port, path, str((found.get("spec") or {}).get("clusterIP", "")))

    def _has_endpoints(self, namespace: str, name: str) -> bool:
        slices = self._clientset.list("endpointslices.discovery.k8s.io", namespace)
        mine = [item for item in slices if item["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name]
        return any(
            (endpoint.get("conditions") or {}).get("ready") is not False
            for item in mine
            for endpoint in item.get("endpoints") or ()
        )

    async def _post(self, target: _Target, context: ssl.SSLContext, seconds: float, review: Obj) -> Answer:
        body = json.dumps(review, separators=(",", ":")).encode()
        head = (
            f"POST {target.path}?timeout={seconds:g}s HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
            "User-Agent: kube-apiserver-admission\r\nAccept: application/json, */*\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        connection = await self._connect(target.address, target.port)
        try:
            stream = await TlsStream.open(connection, context, target.host)
            await stream.write(head.encode("latin-1") + body)
            return await read_answer(stream, "POST")
        finally:
            connection.close()


def _context(client: Obj) -> ssl.SSLContext:
    """What trusts the configured authority only; without one the system's."""
    bundle = client.get("caBundle")
    if not bundle:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=base64.b64decode(bundle).decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise HookFailedError("unable to load root certificates: unable to parse bytes as PEM block") from error


def _x509(error: ssl.SSLCertVerificationError) -> str:
    """Go's words for why a certificate is not believed."""
    if "hostname mismatch" in error.verify_message.lower():
        return f"certificate is not valid for the name asked for ({error.verify_message})"
    if "expired" in error.verify_message:
        return "certificate has expired or is not yet valid"
    return "certificate signed by unknown authority"


def _unexpected(answer: Answer) -> str:
    """client-go's words for a status that is not 200."""
    if answer.status == 404:
        return "the server could not find the requested resource"
    if answer.status >= 500:
        said = answer.body.decode(errors="replace").strip() or "unknown"
        return f"an error on the server ({quoted(said)}) has prevented the request from succeeding"
    return "the server rejected our request for an unknown reason"
