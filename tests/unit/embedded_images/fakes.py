"""A container context without a cluster behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labctl.embedded.cri import ContainerContext
from labctl.embedded.http.messages import App, Flow, Headers, Request, Response
from labctl.embedded.images.catalogue import Catalogue
from labctl.embedded.images.filesystem import FileSystem, Volume
from labctl.embedded.images.process import DEFAULT_PATH
from labctl.embedded.images.standard import standard_catalogue
from tests.unit.embedded_kubelet.fakes import FakeClientset, FakeNetwork, http_port


def catalogue() -> Catalogue:
    """The standard images, with ports whose app can be called."""
    return standard_catalogue(http_port)


def context(
    image: str,
    *,
    log: Callable[[str], None] = lambda line: None,
    env: Mapping[str, str] | None = None,
    command: tuple[str, ...] = (),
    args: tuple[str, ...] = (),
) -> ContainerContext:
    """What the kubelet would start a container of pod `web-1` with."""
    pulled = catalogue().pull(image)
    network = FakeNetwork()
    ip = network.add_pod("uid-1", "k3s-w1")
    variables = {
        "PATH": DEFAULT_PATH,
        "HOSTNAME": "web-1",
        **pulled.content.environment,
        **(env or {}),
        "HOME": "/root",
    }
    return ContainerContext(
        namespace="default",
        pod="web-1",
        uid="uid-1",
        pod_ip=ip,
        node="k3s-w1",
        name="c",
        image=image,
        command=command,
        args=args,
        env=variables,
        ports=(),
        labels={},
        service_account="default",
        log=log,
        clientset=FakeClientset(),
        network=network,
        hostname="web-1",
        files=FileSystem(Volume(base=pulled.content.rootfs)),
    )


def app_of(made: ContainerContext, port: int) -> App:
    """The HTTP application that listens on a port of the pod."""
    server = made.network.port_at(made.pod_ip, port)
    assert server is not None, f"nothing listens on {port}"
    assert server.app is not None
    return server.app


def get(
    app: App, target: str = "/", headers: Headers | None = None, method: str = "GET", body: bytes = b""
) -> Response:
    """One request through an application, from 172.16.0.7 to 3.35.217.39:8080."""
    fields = [("Host", "3.35.217.39:30080"), ("User-Agent", "curl/7.79.1"), ("Accept", "*/*"), *(headers or [])]
    answer = app(Request(method, target, fields, body, Flow(("172.16.0.7", 40000), ("172.16.1.4", 8080))))
    assert isinstance(answer, Response)
    return answer


def text_of(response: Response) -> str:
    """A response's body as text."""
    assert isinstance(response.body, bytes)
    return response.body.decode()
