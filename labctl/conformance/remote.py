"""A corpus on a real cluster, with whatever ingress controller it has.

Everything lies in namespaces of the run's own: one with the echo pods, and one for each case with its Services, its
hand-written EndpointSlices (which point at those pods) and its Ingresses. Nothing else is changed: what would change
the controller itself or an IngressClass, or would take a host from somebody else's Ingress, is not asked, and the
report says so.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labctl.conformance import world
from labctl.conformance.corpus import Case
from labctl.conformance.echoed import IMAGE
from labctl.conformance.remote_world import Cluster, RemoteWorld
from labctl.conformance.target import View, World
from labctl.errors import ClusterError, WaitTimeoutError
from labctl.kube.client import KubeApi
from labctl.model.cluster import IngressEndpoints
from labctl.objects.manifests import Obj

RUN_LABEL = "labctl.dev/conformance-run"
_PAUSE_IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.39"
_PORT = 8080
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How a cluster is asked.

    Attributes:
        ingress_class: Class of the controller to compare.
        image: Echo image of the backend pods.
        timeout: Seconds that pods, routes and removals may take.
    """

    ingress_class: str = "nginx"
    image: str = IMAGE
    timeout: float = 120.0


class RemoteTarget:
    """An existing cluster.

    Args:
        api: Its API.
        ingress: Where its controller answers.
        options: How to ask.
        tell: Gets a line about each longer step.
    """

    view = View(wire=False)
    slots = 0

    def __init__(
        self, api: KubeApi, ingress: IngressEndpoints, options: RemoteOptions, tell: Callable[[str], None]
    ) -> None:
        self._api = api
        self._options = options
        self._tell = tell
        self._run = secrets.token_hex(3)
        self._cluster = Cluster(api, ingress, options.ingress_class, self._run, options.timeout)
        self._hosts: frozenset[str] = frozenset()
        self._made: list[str] = []
        self._numbers = iter(range(1, 1_000_000))

    def describe(self) -> str:
        """What it is."""
        return f"{self._api.server}, ingress class {self._options.ingress_class}"

    async def prepare(self, cases: Sequence[Case]) -> None:
        """Create the echo pods, and learn which hosts are taken.

        Raises:
            ClusterError: The cluster has no ingress class of that name, or pods cannot be created.
            WaitTimeoutError: A pod does not become ready.
        """
        classes = [obj["metadata"]["name"] for obj in self._api.list("networking.k8s.io/v1", "IngressClass")]
        if self._options.ingress_class not in classes:
            raise ClusterError(
                f"{self._api.server} has no IngressClass {self._options.ingress_class}",
                hint=f"--ingress-class: there is {', '.join(classes) or 'none'}",
            )
        self._hosts = frozenset(self._taken())
        namespace = self._namespace("pods")
        text = "".join(str(case.data) for case in cases)
        names = [name for name in world.pods() if name[1:] in "123" or f"'{name}'" in text]
        self._tell(f"{len(names) + 1} echo pods in namespace {namespace}")
        for name in names:
            self._api.apply(_pod(name, namespace, self._options.image))
        self._api.apply(_pod("refuse", namespace, _PAUSE_IMAGE, ["pause"]))
        self._cluster.addresses = await self._addresses(namespace, [*names, "refuse"])

    def _taken(self) -> Iterator[str]:
        for ingress in self._api.list("networking.k8s.io/v1", "Ingress"):
            yield from _hosts(ingress)

    def _namespace(self, suffix: str) -> str:
        name = f"labctl-conformance-{self._run}-{suffix}"
        labels = {RUN_LABEL: self._run, "app.kubernetes.io/managed-by": "labctl"}
        self._api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        self._made.append(name)
        return name

    async def _addresses(self, namespace: str, names: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.timeout
        while len(found) < len(names):
            pods = self._api.list("v1", "Pod", namespace)
            found = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods if _ready(pod)}
            if loop.time() > deadline:
                late = next(pod for pod in pods if not _ready(pod))
                raise WaitTimeoutError(
                    f"pod {namespace}/{late['metadata']['name']} is not ready after {self._options.timeout:.0f} s: "
                    f"{_state(late)}",
                    hint="--echo-image takes another registry's copy of echoserver",
                )
            await asyncio.sleep(_POLL)
        return found

    def refuses(self, case: Case) -> str:
        """Whether a case would touch what this run did not make, or needs what only the recording had."""
        data = case.data
        if data.get("configmap"):
            return "it sets the controller's ConfigMap"
        if data.get("controller_flags"):
            return f"it sets the controller's flags ({' '.join(data['controller_flags'])})"
        text = str(data)
        if "svc-black" in text or world.BLACK_HOLE in text:
            return "it needs an address that takes no connection and refuses none"
        for obj in data["manifests"]:
            if obj["kind"] not in {"Ingress", "Service", "EndpointSlice", "Secret", "ConfigMap"}:
                return f"it creates {obj['kind']} {obj['metadata']['name']}, which concerns the whole cluster"
            if obj["metadata"].get("namespace", "default") != "default":
                return f"it puts objects into namespace {obj['metadata']['namespace']}"
            for host in _hosts(obj):
                if host in self._hosts:
                    return f"another Ingress of this cluster serves {host or 'requests for any host'}"
        return ""

    def world(self, case: Case, slot: int) -> World:
        """A namespace for the case."""
        del slot
        return RemoteWorld(case, self._cluster, self._namespace(str(next(self._numbers))))

    async def close(self) -> None:
        """Delete the namespaces of this run, and wait until they are gone.

        Raises:
            WaitTimeoutError: One stays.
        """
        for name in self._made:
            self._api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.timeout
        while left := self._api.list("v1", "Namespace", selector=f"{RUN_LABEL}={self._run}"):
            if loop.time() > deadline:
                name = left[0]["metadata"]["name"]
                raise WaitTimeoutError(f"namespace {name} is still being deleted", hint=f"kubectl get namespace {name}")
            await asyncio.sleep(_POLL)


def _hosts(obj: Obj) -> Iterator[str]:
    """Hosts that an Ingress serves; empty for any."""
    if obj["kind"] != "Ingress":
        return
    spec = obj.get("spec") or {}
    rules = spec.get("rules") or []
    yield from (str(rule.get("host", "")) for rule in rules)
    if not rules and spec.get("defaultBackend"):
        yield ""


def _pod(name: str, namespace: str, image: str, arguments: Sequence[str] = ()) -> Obj:
    container: Obj = {"name": "echo", "image": image}
    if arguments:
        container["args"] = list(arguments)
    else:
        container["ports"] = [{"containerPort": _PORT}]
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": _PORT}, "periodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "echo"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


def _ready(pod: Obj) -> bool:
    status = pod.get("status") or {}
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    return bool(status.get("podIP")) and conditions.get("Ready") == "True"


def _state(pod: Obj) -> str:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        waiting = (status.get("state") or {}).get("waiting")
        if waiting:
            return f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": ")
    return str((pod.get("status") or {}).get("phase", "Pending"))
