"""What a k3s server answers besides the Kubernetes API, on the same port (pkg/server/handlers)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from labctl.embedded.api import pki
from labctl.embedded.http.messages import Request, Response
from labctl.embedded.network.routing import Fate
from tests.hosts.standin.program.cluster import CERTIFICATE_LIFETIME, Cluster

_REJECTED = (
    "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server "
    "node-passwd entry, try enabling a unique node name with the --with-node-id flag"
)


class Supervisor:
    """The application in front of the API.

    Args:
        cluster: The cluster.
        passwords: Password by user: `server` joins servers and agents, `node` agents only.
        secrets: What a joining server copies; asked for with the server's password.
    """

    def __init__(self, cluster: Cluster, passwords: dict[str, str], secrets: Callable[[], dict[str, str]]) -> None:
        self._cluster = cluster
        self._api = cluster.api.app
        self._passwords = passwords
        self._secrets = secrets

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request, or let the API answer it."""
        path = request.target.partition("?")[0]
        if path == "/ping":
            return Response(200, [("Content-Type", "text/plain")], b"pong")
        if path == "/cacerts":
            return Response(200, [("Content-Type", "text/plain")], self._cluster.pki.server_ca.certificate_pem)
        if path.startswith("/v1-k3s/"):
            return self._own(path.removeprefix("/v1-k3s/"), request)
        return self._api(request)

    def _own(self, name: str, request: Request) -> Response:
        if name == "ports":
            return self._ports(request)
        user = self._user(request)
        if not user:
            return _text(401, "Unauthorized")
        if name == "config":
            return _json({"ClusterIPRange": self._cluster.options.cluster_cidr})
        if name == "client-kubelet.crt":
            return self._kubelet_certificate(request)
        if name == "server-bootstrap":
            return _json(self._secrets()) if user == "server" else _text(403, "Forbidden")
        return _text(404, "404 page not found")

    def _user(self, request: Request) -> str:
        kind, _, text = (request.header("Authorization") or "").partition(" ")
        if kind.lower() != "basic":
            return ""
        user, _, password = base64.b64decode(text).decode(errors="replace").partition(":")
        if password == self._passwords["server"]:
            return "server" if user in ("server", "") else "node"
        return "node" if password == self._passwords["node"] else ""

    def _kubelet_certificate(self, request: Request) -> Response:
        name, password = request.header("k3s-Node-Name") or "", request.header("k3s-Node-Password") or ""
        if not name or not password:
            return _text(400, "node name and password are needed")
        if not self._node_password(name, password):
            return _text(403, _REJECTED)
        authority = self._cluster.pki.client_ca
        signed = pki.sign_client(authority, request.body, CERTIFICATE_LIFETIME, datetime.now(UTC))
        return Response(200, [("Content-Type", "text/plain")], signed)

    def _node_password(self, name: str, password: str) -> bool:
        """Whether it is the password that the node first came with; remembered as a hash, in a Secret."""
        registry, secret = self._cluster.registry, f"{name}.node-password.k3s"
        known = registry.get("secrets", "kube-system", secret)
        if known is not None:
            salt, _, wanted = base64.b64decode(known["data"]["hash"]).decode().removeprefix("$1:").partition(":")
            return _hashed(salt, password) == wanted
        salt = os.urandom(8).hex()
        text = f"$1:{salt}:{_hashed(salt, password)}"
        registry.create(
            "secrets",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret, "namespace": "kube-system"},
                "type": "Opaque",
                "immutable": True,
                "data": {"hash": base64.b64encode(text.encode()).decode()},
            },
        )
        return True

    def forget_password(self, name: str) -> None:
        """A node was deleted: the next one of that name is believed (pkg/nodepassword/controller.go)."""
        if self._cluster.registry.get("secrets", "kube-system", f"{name}.node-password.k3s") is not None:
            self._cluster.registry.delete("secrets", "kube-system", f"{name}.node-password.k3s")

    def _ports(self, request: Request) -> Response:
        """The stand-in's own: which ports an agent has to relay, for agents with a certificate."""
        if not request.flow.client_certificate:
            return _text(401, "Unauthorized")
        address = request.target.partition("address=")[2]
        fates = self._cluster.proxy.fates()
        return _json(
            {
                "served": sorted(
                    port for (host, port), fate in fates.items() if host == address and fate is Fate.SERVED
                ),
                "dropped": sorted(
                    port for (host, port), fate in fates.items() if host == address and fate is Fate.DROPPED
                ),
            }
        )


def _hashed(salt: str, password: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=1 << 10, r=8, p=1, dklen=32).hex()


def _text(status: int, text: str) -> Response:
    return Response(status, [("Content-Type", "text/plain")], text.encode())


def _json(content: Any) -> Response:
    return Response(200, [("Content-Type", "application/json")], json.dumps(content).encode())
