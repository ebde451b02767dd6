"""`k3s agent`: joins over HTTPS, keeps its Node alive, and relays its node ports."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labctl.embedded.kubelet.nodes import NodeSpec, node_object
from labctl.embedded.kubelet.settings import Settings, rfc3339_micro
from labctl.embedded.network.listener import Blackhole, bound_socket
from labctl.errors import ClusterError
from tests.hosts.standin.program import log, node, relay, systemd, tokens
from tests.hosts.standin.program.client import RequestError, Server, basic
from tests.hosts.standin.program.options import Options
from tests.hosts.standin.program.release import VERSION

Answer = TypeVar("Answer")
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def run(options: Options) -> int:
    """Run until SIGTERM; the exit code.

    Raises:
        FatalError: It cannot start.
    """
    if not options.text("server"):
        raise log.FatalError("--server is required")
    if not options.secret("token"):
        raise log.FatalError("--token is required")
    log.info(f"Starting k3s agent {VERSION} (stand-in)")
    node.check_cgroups()
    tokens.node_password()
    held = node.hold([("0.0.0.0", node.KUBELET_PORT), ("127.0.0.1", node.LOAD_BALANCER_PORT)])
    asyncio.run(_serve(options))
    del held
    return 0


async def _serve(options: Options) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    work = asyncio.create_task(_work(options))
    ended = asyncio.create_task(stopped.wait())
    await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()


async def _work(options: Options) -> None:
    joined = Joined(node.spec(options, "agent"), await join(options))
    await repeat("Failed to register node", joined.register)
    systemd.ready()
    log.info("k3s agent is up and running")
    await asyncio.gather(joined.live(), joined.relay_ports())


async def join(options: Options) -> Server:
    """Check the server's CA against the token, and get a certificate; tried until it works."""
    url, token = options.text("server").rstrip("/"), tokens.parse(options.secret("token"))

    def authority() -> str:
        pem, _ = Server(url).request("GET", "/cacerts")
        if token.ca and tokens.ca_sum(pem) != token.ca:
            raise RequestError(
                f"token CA hash does not match the Cluster CA certificate hash: {token.ca} != {tokens.ca_sum(pem)}"
            )
        Server(url, pem.decode()).request("GET", "/ping")
        return pem.decode()

    if not token.ca:
        log.write(
            "warning",
            "Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash.",
        )
    ca = await repeat(f"Failed to validate connection to cluster at {url}", authority, 2.0)
    what = "Waiting to retrieve agent configuration; server is not ready"
    return await repeat(what, lambda: _certified(options, Server(url, ca), token, ca), 5.0)


def _certified(options: Options, server: Server, token: tokens.Token, ca: str) -> Server:
    """The server, with a client certificate for this node."""
    folder = options.data / "agent"
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{options.node_name}"),
    ]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    headers = {
        **basic(token.user or "node", token.password),
        "k3s-Node-Name": options.node_name,
        "k3s-Node-Password": tokens.node_password(),
    }
    pem = request.public_bytes(serialization.Encoding.PEM)
    signed, _ = server.request("POST", "/v1-k3s/client-kubelet.crt", pem, headers)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    tokens.write_private(folder / "client-kubelet.key", private.decode())
    tokens.write_private(folder / "client-kubelet.crt", signed.decode())
    tokens.write_private(folder / "server-ca.crt", ca)
    return Server(server.url, ca, (folder / "client-kubelet.crt", folder / "client-kubelet.key"))


async def repeat(what: str, attempt: Callable[[], Answer], pause: float = 1.0) -> Answer:
    """Try until it works, logging what is in the way."""
    while True:
        try:
            return await asyncio.to_thread(attempt)
        except RequestError as error:
            log.error(f"{what}: {error}")
        await asyncio.sleep(pause)


class Joined:
    """A node that the server has let in.

    Args:
        spec: The node.
        server: With the node's certificate.
    """

    def __init__(self, spec: NodeSpec, server: Server) -> None:
        self._spec = spec
        self._server = server
        self._boot_id = str(uuid.uuid4())
        self._open: dict[int, asyncio.Server | Blackhole] = {}

    def register(self) -> None:
        """Create the Node, or bring it up to date; mark it Ready, and renew its Lease.

        Raises:
            RequestError: The API refuses.
        """
        wanted = node_object(self._spec, [], Settings(), self._boot_id)
        for field in ("podCIDR", "podCIDRs"):
            wanted["spec"].pop(field, None)
        path = f"/api/v1/nodes/{self._spec.name}"
        try:
            stored = self._server.json("GET", path)
            metadata = {name: wanted["metadata"][name] for name in ("labels", "annotations")}
            self._server.json("PATCH", path, {"metadata": metadata})
        except RequestError as error:
            if error.code != 404:
                raise
            stored = self._server.json("POST", "/api/v1/nodes", {k: v for k, v in wanted.items() if k != "status"})
        self._server.json("PATCH", f"{path}/status", {"status": wanted["status"]})
        self._renew(stored["metadata"]["uid"])

    def _renew(self, uid: str) -> None:
        name = self._spec.name
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": int(node.GRACE),
            "renewTime": rfc3339_micro(datetime.now(UTC)),
        }
        try:
            self._server.json("PATCH", f"{_LEASES}/{name}", {"spec": spec})
        except RequestError as error:
            if error.code != 404:
                raise
            metadata = {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            self._server.json("POST", _LEASES, lease)

    def _beat(self) -> None:
        stored = self._server.json("GET", f"/api/v1/nodes/{self._spec.name}")
        ready = next(c for c in stored["status"]["conditions"] if c["type"] == "Ready")
        if ready["status"] == "True":
            self._renew(stored["metadata"]["uid"])
        else:
            self.register()

    async def live(self) -> None:
        """Heartbeats, for ever. A deleted Node is not made again: that takes a restart, as with k3s."""
        while True:
            await asyncio.sleep(node.HEARTBEAT)
            try:
                await asyncio.to_thread(self._beat)
            except RequestError as error:
                log.error(f"Error updating node status, will retry: {error}")

    async def relay_ports(self) -> None:
        """Keep the sockets of this node's ports in step with the server's."""
        while True:
            wanted: dict[str, Any] = {}
            with contextlib.suppress(RequestError):  # the heartbeat says so already
                path = f"/v1-k3s/ports?address={self._spec.address}"
                wanted = await asyncio.to_thread(self._server.json, "GET", path)
            if wanted:
                await self._listen(wanted["served"], wanted["dropped"])
            await asyncio.sleep(0.3)

    async def _listen(self, served: list[int], dropped: list[int]) -> None:
        kinds = {**dict.fromkeys(served, asyncio.Server), **dict.fromkeys(dropped, Blackhole)}
        for port, opened in list(self._open.items()):
            if kinds.get(port) is not type(opened):
                opened.close()
                del self._open[port]
        for port, kind in kinds.items():
            if port in self._open:
                continue
            with contextlib.suppress(OSError, ClusterError):  # taken by another program: tried again
                if kind is Blackhole:
                    self._open[port] = Blackhole(bound_socket(self._spec.address, port))
                else:
                    self._open[port] = await self._served(port)

    async def _served(self, port: int) -> asyncio.Server:
        return await relay.node_port(self._spec.address, port, self._server.host)


def agent_folder(options: Options) -> Path:
    """Where an agent's files are."""
    return options.data / "agent"
