"""The API server: everything put together, and its HTTPS listener."""

from __future__ import annotations

import asyncio
import functools
from datetime import UTC, datetime
from pathlib import Path

from OpenSSL import SSL

from labctl.embedded.api.admission.caller import Connect, HookCaller
from labctl.embedded.api.admission.gate import Gate
from labctl.embedded.api.app import Api, Parts
from labctl.embedded.api.authentication import Authenticator
from labctl.embedded.api.authorization import Authorizer
from labctl.embedded.api.broadcast import Broadcaster
from labctl.embedded.api.catalog import Catalog
from labctl.embedded.api.certificates import CertificateSigner
from labctl.embedded.api.custom import openapi
from labctl.embedded.api.custom.definitions import CustomKinds, Definitions
from labctl.embedded.api.custom.kindrules import AllRules
from labctl.embedded.api.custom.resources import CustomResources
from labctl.embedded.api.discovery import Discovery
from labctl.embedded.api.kubelet import Kubelet
from labctl.embedded.api.openapi import OpenApi
from labctl.embedded.api.pki import Pki
from labctl.embedded.api.podrequests import PodRequests
from labctl.embedded.api.reading import Reader
from labctl.embedded.api.registry import Registry
from labctl.embedded.api.reviews import Reviews
from labctl.embedded.api.tokens import TokenSigner
from labctl.embedded.api.versions import Served
from labctl.embedded.api.watching import Watcher
from labctl.embedded.api.writing import Writer
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import App
from labctl.embedded.http.server import HttpOptions, HttpServer
from labctl.embedded.http.tls import verifying_context
from labctl.embedded.http.tlsport import TlsPort
from labctl.embedded.kinds import bootstrap, schema
from labctl.embedded.kinds.settings import ClusterSettings
from labctl.embedded.kinds.strategy import Strategy
from labctl.embedded.store import Store
from labctl.env import Clock

_BODY_LIMIT = 16 << 20
"""Above the API's own limit, so that it is the API that refuses a body and says so in a Status."""


def build_registry(path: Path, settings: ClusterSettings, clock: Clock) -> Registry:
    """Open the object store and create what every cluster begins with (namespaces, roles, …) where it is missing.

    Args:
        path: The SQLite file.
        settings: Flags of the API server.
        clock: The time of stamps.

    Raises:
        StoreError: The store cannot be opened or written.
    """
    registry = Registry(Store(path), Catalog(), AllRules(Strategy(settings), CustomKinds()), clock)
    for key, obj in bootstrap.objects(settings):
        _ensure(registry, key, obj)
    return registry


def _ensure(registry: Registry, key: str, obj: Obj) -> None:
    metadata = obj["metadata"]
    if registry.get(key, metadata.get("namespace", ""), metadata["name"]) is not None:
        return
    try:
        registry.create(key, obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


def version_document(version: str) -> Obj:
    """What `/version` answers for a version such as `v1.34.4+k3s1`: the build that the API was compared with."""
    major, minor = version.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": version,
        "gitCommit": "80b11e874",
        "gitTreeState": "clean",
        "buildDate": datetime(2026, 1, 1, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "goVersion": "go1.26.8",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


class ApiServer:
    """Serves a registry over HTTPS.

    Args:
        registry: What is served.
        pki: Certificates and keys.
        settings: Flags of the API server.
    """

    def __init__(self, registry: Registry, pki: Pki, settings: ClusterSettings) -> None:
        self.registry = registry
        self.signer = TokenSigner(pki.service_accounts)
        self._pki = pki
        self._broadcaster = Broadcaster(registry.store)
        rules = registry.rules
        assert isinstance(rules, AllRules)
        self._pods = PodRequests(registry, rules, None)
        self._gate = Gate(registry)
        self._server: asyncio.Server | None = None
        self._certificates: CertificateSigner | None = None
        self.app = Api(self._parts(rules, settings))

    def _parts(self, rules: AllRules, settings: ClusterSettings) -> Parts:
        registry = self.registry
        kinds = rules.kinds
        custom = CustomResources(kinds)
        served = Served(custom.is_custom, custom.list_kind)

        def document(group_version: str) -> Obj:
            wanted = [kind for kind in kinds if kind.resource.api_version == group_version]
            return openapi.document(wanted, schema.openapi_v3) if wanted else schema.openapi_v3(group_version)

        documents = OpenApi(registry.catalog, functools.partial(schema.openapi_v2, settings.version), document)

        def changed(gone: set[str]) -> None:
            documents.forget()
            for key in gone:
                self._broadcaster.end(key)

        self._definitions = Definitions(registry, kinds, registry.catalog, changed)
        reader = Reader(registry, custom, served)
        authenticator = Authenticator(self.signer, registry, registry.clock)
        authorizer = Authorizer(registry)
        host, port = settings.api_address
        return Parts(
            registry.catalog,
            authenticator,
            authorizer,
            self.signer,
            # k3s's API server listens behind its supervisor, one port higher, and says so.
            Discovery(registry.catalog, f"{host}:{port + 1}"),
            reader,
            Watcher(registry, self._broadcaster, custom, served),
            Writer(registry, reader, custom, served),
            self._pods,
            Reviews(registry, rules, authenticator, authorizer, self.signer),
            documents,
            self._gate,
            version_document(settings.version),
        )

    def connect_kubelet(self, kubelet: Kubelet) -> None:
        """Say who answers requests for logs, exec, attach and port-forward."""
        self._pods.kubelet = kubelet

    def connect_network(self, connect: Connect) -> None:
        """Say how Services are reached from the server's node: from then on admission webhooks are called."""
        self._gate.caller = HookCaller(self.registry, connect)

    async def start(self, host: str, port: int, front: App | None = None) -> int:
        """Listen; returns the port (the one chosen, for port 0). `front` answers in the place of `app`, if given.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._definitions.settle()
        self.registry.store.forget_history()
        self._certificates = CertificateSigner(self.registry, self._pki.client_ca)
        server = HttpServer(front or self.app, HttpOptions(max_body=_BODY_LIMIT))
        loop = asyncio.get_running_loop()
        port_of_tls = TlsPort(server, server_context(self._pki))
        self._server = await loop.create_server(port_of_tls, host, port, reuse_address=True, backlog=512)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, end all watches, and close the store."""
        self._definitions.close()
        if self._certificates is not None:
            self._certificates.close()
        self._broadcaster.close()
        if self._server is not None:
            self._server.close()
        # Ended watches get to write their last chunk, and what is due already is done.
        await asyncio.sleep(0)
        self.registry.store.close()


def server_context(pki: Pki) -> SSL.Context:
    """TLS 1.2 and newer; a client certificate is asked for, and counts when it is the client CA's."""
    pem = (pki.directory / "serving-chain.crt").read_bytes() + pki.serving.key_pem
    return verifying_context(pem, pki.client_ca.certificate_pem, [b"http/1.1"])
