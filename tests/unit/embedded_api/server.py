"""An API server without sockets: requests in, responses out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from labctl.embedded.api import pki
from labctl.embedded.api.registry import Registry
from labctl.embedded.api.server import ApiServer, build_registry
from labctl.embedded.http.messages import Flow, Request, Response
from labctl.embedded.kinds.settings import ClusterSettings
from labctl.env import Clock

START = datetime(2026, 11, 21, 3, 0, 0, tzinfo=UTC)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    response: Response

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Server:
    """The API of one test."""

    def __init__(self, directory: Path) -> None:
        self.time = Time()
        self.pki = pki.load_or_create(directory / "pki", ["127.0.0.1"])
        settings = ClusterSettings()
        self.registry: Registry = build_registry(directory / "state.db", settings, self.time.clock())
        if self.registry.get("serviceaccounts", "default", "default") is None:
            self.registry.create("serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}})
        self.api = ApiServer(self.registry, self.pki, settings)
        self._admin = self.pki.admin.certificate.public_bytes(Encoding.DER)

    def close(self) -> None:
        asyncio.run(self.api.close())

    def respond(self, method: str, target: str, body: Any = None, **options: Any) -> Response:
        """The answer to a request that nothing has to be waited for."""
        answer = self.answer(method, target, body, **options)
        assert isinstance(answer, Response)
        return answer

    def answer(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        anonymous: bool = False,
    ) -> Response | Awaitable[Response]:
        fields = {"User-Agent": "tester/1.0", "Accept": "application/json", **(headers or {})}
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if data and "Content-Type" not in fields:
            fields["Content-Type"] = "application/json"
        certificate = b"" if anonymous or token is not None else self._admin
        flow = Flow(("127.0.0.1", 1), ("127.0.0.1", 2), client_certificate=certificate, secure=True)
        return self.api.app(Request(method, target, list(fields.items()), data, flow))

    def request(self, method: str, target: str, body: Any = None, **options: Any) -> Answer:
        response = self.respond(method, target, body, **options)
        assert isinstance(response.body, bytes)
        return Answer(response.status, dict(response.headers), response.body.decode(), response)

    def get(self, target: str, **options: Any) -> Answer:
        return self.request("GET", target, **options)

    def post(self, target: str, body: Any = None, **options: Any) -> Answer:
        return self.request("POST", target, body, **options)

    def put(self, target: str, body: Any = None, **options: Any) -> Answer:
        return self.request("PUT", target, body, **options)

    def delete(self, target: str, body: Any = None, **options: Any) -> Answer:
        return self.request("DELETE", target, body, **options)

    def patch(self, target: str, body: Any, kind: str = "strategic-merge-patch+json", **options: Any) -> Answer:
        headers = {"Content-Type": f"application/{kind}", **options.pop("headers", {})}
        return self.request("PATCH", target, body, headers=headers, **options)

    def apply(self, target: str, body: Any, manager: str = "tester", *, force: bool = False) -> Answer:
        query = f"?fieldManager={manager}" + ("&force=true" if force else "")
        return self.patch(target + query, body, "apply-patch+yaml")


async def events(stream: AsyncIterator[bytes], count: int, seconds: float = 2.0) -> list[dict[str, Any]]:
    """The first events of a watch."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(seconds):
        async for piece in stream:
            found += [json.loads(line) for line in piece.splitlines()]
            if len(found) >= count:
                break
    return found


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec}}


def deployment(name: str = "web", replicas: int = 2) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}]},
    }
    selector = {"matchLabels": {"app": name}}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": selector, "template": template}}


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
