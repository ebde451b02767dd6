"""A kubelet with a fake API and network, and the questions tests ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.images.standard import standard_catalogue
from labctl.embedded.kubelet.kubelet import Kubelet
from labctl.embedded.kubelet.nodes import NodeSpec
from labctl.embedded.kubelet.settings import Settings
from tests.unit.embedded_kubelet.fakes import Clock, FakeClientset, FakeNetwork, http_port

NODE = NodeSpec("k3s-w1", "127.0.10.101", "127.16.1.0/24")
SETTINGS = Settings(backoff_scale=0.001, now=Clock(), jitter=lambda: 0.0)


class Cluster:
    def __init__(self, **settings: Any) -> None:
        self.api = FakeClientset()
        self.network = FakeNetwork()
        self.kubelet = self.new_kubelet(**settings)

    def new_kubelet(self, **settings: Any) -> Kubelet:
        return Kubelet(self.api, self.network, standard_catalogue(http_port), [NODE], replace(SETTINGS, **settings))

    def pod(self, name: str) -> Obj:
        return self.api.objects["pods", "default", name]

    def exists(self, name: str) -> bool:
        return ("pods", "default", name) in self.api.objects

    def phase(self, name: str) -> str:
        return str(self.pod(name)["status"]["phase"]) if self.exists(name) else "gone"

    def condition(self, name: str, kind: str) -> Obj:
        conditions = self.pod(name)["status"].get("conditions", []) if self.exists(name) else []
        found: Obj = next((item for item in conditions if item["type"] == kind), {"status": ""})
        return found

    def ready(self, name: str) -> bool:
        return bool(self.condition(name, "Ready")["status"] == "True")

    def container(self, name: str, at: int = 0, kind: str = "containerStatuses") -> Obj:
        statuses = self.pod(name)["status"].get(kind) or [{}] * (at + 1)
        status: Obj = statuses[at]
        return status

    def waiting(self, name: str) -> str:
        """The reason of the waiting state; empty when it does not wait."""
        return str(self.container(name).get("state", {}).get("waiting", {}).get("reason", ""))

    def ended(self, name: str) -> Obj:
        """The terminated state; empty when it has not ended."""
        state: Obj = self.container(name).get("state", {}).get("terminated", {})
        return state

    def messages(self, name: str) -> list[str]:
        return [f"{reason}: {message}" for _, reason, message, _ in self.api.events(name)]


def run(body: Callable[[Cluster], Awaitable[None]], **settings: Any) -> None:
    """Run a test's body against a started kubelet."""

    async def main() -> None:
        cluster = Cluster(**settings)
        cluster.kubelet.start()
        try:
            await asyncio.wait_for(body(cluster), 10)
        finally:
            await cluster.kubelet.stop()

    asyncio.run(main())
